#!/usr/bin/env python3
"""Generate, compile and run YARA-X rules, one rule a function of a static archive.

A rule holds the bytes of one function as a hex string, with `??` for every byte that a
relocation patches, so that it matches the function wherever a linker put it. Only x86-64
ELF archives are understood.

  yara_rules.py generate ARCHIVE RULES [--limit N] [--min-bytes N]
  yara_rules.py compile RULES COMPILED
  yara_rules.py scan COMPILED FILE... [--rules RULES]

Every command prints one JSON object a line. `generate` needs pyelftools, the other two
need yara-x; neither command needs the network.
"""

import argparse
import hashlib
import io
import json
import os
import re
import resource
import subprocess
import sys
import time

# x86-64 relocation types by number, because pyelftools does not name all of them. The value
# is the range of bytes, relative to the relocation's offset, that a linker may change.
FIELD_8 = (0, 1)
FIELD_16 = (0, 2)
FIELD_32 = (0, 4)
FIELD_64 = (0, 8)
# A linker may turn a load through the global offset table into a direct one, and for that it
# rewrites the opcode before the field.
GOT_LOAD = (-3, 4)
# A linker may rewrite a whole sequence of thread-local storage instructions.
THREAD_LOCAL = (-4, 12)
MASKS = {
    0: (0, 0),  # NONE
    1: FIELD_64,  # 64
    2: FIELD_32,  # PC32
    3: FIELD_32,  # GOT32
    4: FIELD_32,  # PLT32
    9: GOT_LOAD,  # GOTPCREL
    10: FIELD_32,  # 32
    11: FIELD_32,  # 32S
    12: FIELD_16,  # 16
    13: FIELD_16,  # PC16
    14: FIELD_8,  # 8
    15: FIELD_8,  # PC8
    17: THREAD_LOCAL,  # DTPOFF64
    18: THREAD_LOCAL,  # TPOFF64
    19: THREAD_LOCAL,  # TLSGD
    20: THREAD_LOCAL,  # TLSLD
    21: THREAD_LOCAL,  # DTPOFF32
    22: THREAD_LOCAL,  # GOTTPOFF
    23: THREAD_LOCAL,  # TPOFF32
    24: FIELD_64,  # PC64
    25: FIELD_64,  # GOTOFF64
    26: FIELD_32,  # GOTPC32
    27: FIELD_64,  # GOT64
    28: FIELD_64,  # GOTPCREL64
    29: FIELD_64,  # GOTPC64
    31: FIELD_64,  # PLTOFF64
    34: THREAD_LOCAL,  # GOTPC32_TLSDESC
    35: THREAD_LOCAL,  # TLSDESC_CALL
    41: GOT_LOAD,  # GOTPCRELX
    42: GOT_LOAD,  # REX_GOTPCRELX
}
SHF_EXECINSTR = 4


def members(path):
    """Yield the name, offset and length of every member of an ar archive."""
    with open(path, "rb") as archive:
        if archive.read(8) != b"!<arch>\n":
            sys.exit(f"{path} is not an ar archive")
        names = b""
        position = 8
        while True:
            archive.seek(position)
            header = archive.read(60)
            if len(header) < 60:
                return
            length = int(header[48:58])
            name = header[:16].rstrip()
            if name == b"//":
                names = archive.read(length)
            elif name not in (b"/", b"/SYM64/"):
                if re.fullmatch(rb"/\d+", name):
                    name = names[int(name[1:]) :].split(b"\n", 1)[0]
                yield name.rstrip(b"/").decode("utf-8", "replace"), position + 60, length
            position += 60 + length + length % 2


def functions(data):
    """Yield the name, bytes and mask of every function that an object file defines."""
    from elftools.elf.elffile import ELFFile

    elf = ELFFile(io.BytesIO(data))
    if elf["e_machine"] != "EM_X86_64":
        return
    wanted = {}
    for table in elf.iter_sections("SHT_SYMTAB"):
        for symbol in table.iter_symbols():
            index = symbol["st_shndx"]
            if symbol["st_info"]["type"] == "STT_FUNC" and isinstance(index, int) and symbol["st_size"]:
                wanted.setdefault(index, {})[(symbol["st_value"], symbol["st_size"])] = symbol.name
    patched = {}
    for table in elf.iter_sections("SHT_RELA"):
        if table["sh_info"] in wanted:
            patched.setdefault(table["sh_info"], []).extend(
                (entry["r_offset"], entry["r_info_type"]) for entry in table.iter_relocations()
            )
    for index, found in wanted.items():
        section = elf.get_section(index)
        if not section["sh_flags"] & SHF_EXECINSTR or section["sh_type"] == "SHT_NOBITS":
            continue
        code = section.data()
        mask = bytearray(len(code))
        for offset, kind in patched.get(index, ()):
            if kind not in MASKS:
                raise ValueError(f"relocation type {kind} is unknown")
            first, last = MASKS[kind]
            for byte in range(max(0, offset + first), min(len(code), offset + last)):
                mask[byte] = 1
        for (start, size), name in sorted(found.items()):
            if start + size <= len(code):
                yield name, code[start : start + size], mask[start : start + size]


def generate(arguments):
    """Write one rule a distinct function, in an order that does not depend on the archive's."""
    began = time.monotonic()
    listed = list(members(arguments.archive))
    if arguments.limit:
        # A hash of the name picks members from all over the archive, the same ones every time.
        listed.sort(key=lambda member: hashlib.sha256(member[0].encode()).digest())
    seen = set()
    rules = total = bytes_ = 0
    with open(arguments.archive, "rb") as archive, open(arguments.rules, "w") as out:
        for member, offset, length in listed:
            archive.seek(offset)
            data = archive.read(length)
            if data[:4] != b"\x7fELF":
                continue
            for name, code, mask in functions(data):
                if len(code) < arguments.min_bytes:
                    continue
                total += 1
                pattern = ["??" if masked else f"{byte:02X}" for byte, masked in zip(code, mask)]
                # Wildcards at the ends say nothing.
                while pattern and pattern[-1] == "??":
                    pattern.pop()
                while pattern and pattern[0] == "??":
                    pattern.pop(0)
                text = " ".join(pattern)
                if not pattern or text in seen:
                    continue
                seen.add(text)
                quoted = re.sub(r'[^ -!#-\[\]-~]', "?", name)
                out.write(
                    f'rule f{rules} {{ meta: name = "{quoted}" bytes = {len(code)} '
                    f"strings: $f = {{ {text} }} condition: $f }}\n"
                )
                rules += 1
                bytes_ += len(code)
                if arguments.limit and rules == arguments.limit:
                    break
            if arguments.limit and rules == arguments.limit:
                break
    report(
        command="generate",
        functions=total,
        rules=rules,
        code_bytes=bytes_,
        source_bytes=os.path.getsize(arguments.rules),
        seconds=round(time.monotonic() - began, 2),
    )


def compile_(arguments):
    """Compile a rule file and store what the compiler made of it."""
    import yara_x

    began, cpu = time.monotonic(), time.process_time()
    compiler = yara_x.Compiler(ignore_invalid_rules=True)
    with open(arguments.rules) as source:
        compiler.add_source(source.read())
    rules = compiler.build()
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    with open(arguments.compiled, "wb") as out:
        rules.serialize_into(out)
    ignored = compiler.ignored_rules()
    warnings = {}
    for warning in compiler.warnings():
        kind = warning.get("type", "?") if isinstance(warning, dict) else str(warning)
        warnings[kind] = warnings.get(kind, 0) + 1
    report(
        command="compile",
        seconds=round(seconds, 2),
        cpu_seconds=round(cpu, 2),
        peak_kib=peak_kib(),
        compiled_bytes=os.path.getsize(arguments.compiled),
        rejected=len(ignored),
        rejected_because=sorted({str(rule.message).splitlines()[0] for rule in ignored})[:3],
        warnings=warnings,
    )


def defined_functions(path):
    """Return name and size of the functions that a file's symbol table defines under a name of
    their own; nothing if the file is stripped."""
    listing = subprocess.run(["nm", "-S", path], capture_output=True, text=True, errors="replace").stdout
    found = {}
    for fields in (line.split() for line in listing.splitlines()):
        if len(fields) == 4 and fields[2] in "TtWwi":
            found.setdefault(fields[3], []).append(int(fields[1], 16))
    return {(name, sizes[0]) for name, sizes in found.items() if len(sizes) == 1}


def scan(arguments):
    """Scan files with compiled rules; each file is scanned once by a scanner made for it."""
    import yara_x

    with open(arguments.compiled, "rb") as compiled:
        began = time.monotonic()
        rules = yara_x.Rules.deserialize_from(compiled)
        load = time.monotonic() - began
    sizes = {}
    if arguments.rules:
        with open(arguments.rules) as source:
            for line in source:
                identifier, name, size = re.match(r'rule (\w+) \{ meta: name = "(.*?)" bytes = (\d+) ', line).groups()
                sizes[identifier] = (name, int(size))
    for path in arguments.files:
        scanner = yara_x.Scanner(rules)
        if arguments.fast:
            scanner.fast_scan(True)
        began, cpu = time.monotonic(), time.process_time()
        results = scanner.scan_file(path)
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
        matched = [rule.identifier for rule in results.matching_rules]
        line = dict(
            command="scan",
            file=os.path.basename(path),
            file_bytes=os.path.getsize(path),
            found=len(matched),
            load_seconds=round(load, 2),
            seconds=round(seconds, 3),
            cpu_seconds=round(cpu, 3),
            peak_kib=peak_kib(),
            anonymous_kib=anonymous_kib(),
        )
        if sizes:
            line["of"] = len(sizes)
            line["found_bytes"] = sum(sizes[rule][1] for rule in matched)
            line["of_bytes"] = sum(size for _, size in sizes.values())
            line["sample"] = [sizes[rule][0] for rule in matched[:3]]
            if arguments.symbols:
                # Where the file kept its symbols, they say which of the functions are in it. Names
                # that several functions of the file share prove nothing and are left out.
                present = defined_functions(path)
                there = {rule for rule, named in sizes.items() if named in present}
                line["named"] = len(there)
                line["named_and_found"] = len(there.intersection(matched))
        report(**line)


def peak_kib():
    """Return the peak resident memory of this process, mapped files included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def anonymous_kib():
    """Return this process's resident memory without mapped files, as it is now."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
    return None


def report(**fields):
    print(json.dumps(fields), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("generate")
    command.add_argument("archive")
    command.add_argument("rules")
    command.add_argument("--limit", type=int, help="stop after this many rules, from members spread over the archive")
    command.add_argument("--min-bytes", type=int, default=64)
    command.set_defaults(run=generate)
    command = commands.add_parser("compile")
    command.add_argument("rules")
    command.add_argument("compiled")
    command.set_defaults(run=compile_)
    command = commands.add_parser("scan")
    command.add_argument("compiled")
    command.add_argument("files", nargs="+")
    command.add_argument("--rules", help="the rule file, for names and sizes")
    command.add_argument("--symbols", action="store_true", help="compare with the file's symbol table")
    command.add_argument("--fast", action="store_true", help="use YARA-X's fast scan mode")
    command.set_defaults(run=scan)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
