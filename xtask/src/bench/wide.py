# Truth beside verdict: what public packages hold by their names, symbols, messages and version resources, and what
# `narthex audit` says of them. Nothing here knows narthex's corpus: the tables below are read off the vendors' own
# libraries. Arguments: the program, a state folder, the list with paths, a folder for what is known, the page.
import hashlib
import io
import json
import os
import re
import struct
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections import Counter, defaultdict

program, state, listing, folder, page = sys.argv[1:6]

# What a file is by its name, in small letters and without folders.
NAMES = [
    ("headers", r"\.(h|hpp|cuh|fi|f90|inl)$"),
    ("driver", r"^lib(cuda|nvidia-.*|nvcuvid|nvoptix)\.so|^nvcuda\.dll|^nvidia-smi$|^libcuda\.so"),
    ("cudart", r"^(lib)?(cudart|cudadevrt|culibos|cudla)"),
    ("cuDNN", r"^(lib)?cudnn"),
    ("cuBLAS", r"^(lib)?(cublas|nvblas)"),
    ("cuFFT", r"^(lib)?cufft"),
    ("cuRAND", r"^(lib)?curand"),
    ("cuSOLVER", r"^(lib)?cusolver"),
    ("cuSPARSE", r"^(lib)?cusparse"),
    ("NPP", r"^(lib)?npp"),
    ("nvJPEG", r"^(lib)?nvjpeg"),
    ("NVRTC", r"^(lib)?nvrtc"),
    ("nvJitLink, nvPTXCompiler", r"nvjitlink|nvptxcompiler|nvfatbin"),
    ("CUPTI and profilers", r"cupti|nvperf|pcsampling|^(lib)?checkpoint\.|nvprof|nvvp|cuinj|accinj|^nsight|^nsys|^ncu$"),
    ("nvcc and tools", r"^(nvcc|ptxas|cicc|cudafe\+\+|fatbinary|nvlink|cuobjdump|nvdisasm|nvprune|bin2c|crt|cu\+\+filt|"
     r"tileiras|__nvcc.*|cuda-gdb.*|cuda-memcheck|compute-sanitizer|ptxas-blackwell)(\.exe)?$|nvvm|libdevice|cudacrt|"
     r"^sysmodule|sanitizer|treelauncher|interceptorinjection|cudacore"),
    ("TensorRT", r"nvinfer|nvonnxparser|tensorrt"),
    ("other CUDA libraries", r"^(lib)?(cufile|nvcomp|cutensor|nvshmem|cudss|nvimgcodec|nvtiff|cuquantum|custatevec)"),
    ("MKL", r"^(lib)?mkl(?!dnn)|onemkl|imalloc"),
    ("IPP", r"^(lib)?ipp"),
    ("Intel runtime", r"^(lib)?(iomp|irc|intlc|imf|svml|irng|ifcore|ifport|mmd|libm.*dll|decimal|istrconv|libicaf|"
     r"libifcore|libifport|libirng|libiomp|libmmd|svml_disp|cilkrts|qkmalloc|pdbx|libicaf|omptarget|libomp-)"),
    ("Intel MPI, oneDAL", r"^(lib)?(mpi|impi|imb-|onedal|daal|javaapi)"),
    ("Microsoft runtime", r"^(vcruntime|msvcp|msvcr|concrt|ucrtbase|vcomp|vccorlib|mfc|vcamp|api-ms-win|vcruntime)"),
    ("Direct3D", r"^(d3d|dxil|dxcompiler|d2d|xinput|directml)"),
]
# Free software in vendors' packages: theirs by name, and nobody is accused of it.
FREE = re.compile(
    r"opencl|(^|/)(libtbb|tbb|libhwloc|hwloc|libumf|umf|libtcm|tcm)|nvtx|nvtoolsext|cccl|/cub/|/thrust/|include/cuda/|"
    r"nccl|libfabric|libprotobuf|archer|xpti|(^|/)(lib)?ur_|cuda-gdb|mkldnn|python|\.pyd$|/CL/|onnx_parser|nvonnxparser|ze_loader|libur_|sycl|"
    r"fi\.so|/prov/|libelf|crypto|libssl|__init__|libgcc|libstdc", re.I)

CUDART = [b"API call is not supported in the installed CUDA driver", b"CUDA driver is a stub library",
          b"the provided PTX was compiled with an unsupported toolchain", b"driver shutting down"]
# Older releases name the errors and do not explain them all.
CUDART_OLD = [b"CUDA driver version is insufficient for CUDA runtime version", b"invalid device symbol",
              b"__global__ function call is not configured"]

# The import library of CUDA 13 for Windows has code that finds the runtime in the driver.
CUDART_SHIM = b"nvcudart_hybrid64.dll"

# Interfaces: eight of their functions, each longer than a stub, are the library itself.
SYMBOLS = [
    ("cuDNN", r"cudnn[A-Z]\w+"),
    ("cuBLAS", r"cublas(Lt)?[A-Z]\w+"),
    ("cuFFT", r"cufft(Xt)?[A-Z]\w+"),
    ("cuRAND", r"curand[A-Z]\w+"),
    ("cuSOLVER", r"cusolver(Dn|Sp|Rf|Mg)\w+"),
    ("cuSPARSE", r"cusparse[A-Z]\w+"),
    ("NPP", r"npp[is][A-Z]\w+"),
    ("nvJPEG", r"nvjpeg[A-Z]\w+"),
    ("NVRTC", r"nvrtc[A-Z]\w+"),
    ("nvJitLink, nvPTXCompiler", r"(nvPTXCompiler|__?nvJitLink)\w+"),
    ("CUPTI and profilers", r"cupti[A-Z]\w+|NVPW_\w+"),
    ("MKL", r"mkl_(blas|lapack|dft|serv|vml|sparse|pds|trans)_\w+"),
    ("IPP", r"(ippi|ipps|ippcv|ippicv|icv_|mfxipp)[A-Z_]\w+"),
    ("Intel runtime", r"__svml_\w+|__intel_(new_)?\w*mem(cpy|set)\w*|_intel_fast_mem\w+|__libirc_\w+"),
]
STUB, ENOUGH = 256, 8
MESSAGES = [
    ("MKL", [b"Intel MKL ERROR:", b"Intel oneMKL ERROR:"]),
    ("IPP", [b"ippicviCopy_8u_C1R_L)(", b"ippSP AVX2", b"ippIP AVX2"]),
    ("Intel runtime", [b"Intel(R) OMP Copyright", b"Intel(R) OMP version", b"compatible Intel(R) libirc",
                       b"This program was not built to run on the processor", b"_intel_fast_memset"]),
    ("nvJitLink, nvPTXCompiler", [b"__cuda_sm20_div_s16", b"Compile only, do not link", b"Unsupported .version %s; current version"]),
]
COMPILED = [(family, re.compile(pattern)) for family, pattern in NAMES]
INTERFACES = [(family, re.compile(r"_?(" + pattern + r")$")) for family, pattern in SYMBOLS]


def family_of(name):
    name = name.replace("\\", "/").rsplit("/", 1)[-1].lower()
    return next((family for family, pattern in COMPILED if pattern.search(name)), None)


def kind_of(head):
    if head.startswith(b"\x7fELF"):
        return "elf"
    if head.startswith(b"MZ"):
        return "pe"
    if head.startswith(b"!<arch>\n"):
        return "ar"
    return "bitcode" if head.startswith(b"BC\xc0\xde") else None


def platform_of(kind, data, fallback):
    if kind == "pe":
        return "windows"
    if kind == "elf" and len(data) > 20:
        return {62: "x86_64", 183: "aarch64"}.get(struct.unpack_from("<H", data, 18)[0], "other")
    return fallback


def symbols(path):
    """Functions that are defined, with their sizes."""
    found = {}
    for flags in ([], ["-D"]):
        said = subprocess.run(["nm", *flags, "-S", "--defined-only", path], capture_output=True)
        for line in said.stdout.splitlines():
            words = line.split()
            if len(words) == 4 and words[2] in (b"t", b"T", b"i", b"W"):
                name = words[3].split(b"@")[0].decode("latin1")
                found[name] = max(found.get(name, 0), int(words[1], 16))
    return found


def soname(path):
    said = subprocess.run(["readelf", "-dW", path], capture_output=True).stdout.decode("latin1")
    named = re.search(r"SONAME.*\[(.*)\]", said)
    return named.group(1) if named else ""


def version_field(data, field):
    """A field of a PE file's version resource."""
    mark = field.encode("utf-16le") + b"\0\0"
    at = data.find(mark)
    if at < 0:
        return ""
    at += len(mark)
    text = data[at:at + 400].decode("utf-16le", "replace").lstrip("\0")
    return text.split("\0")[0]


def truth(path, data, kind, name, vendor):
    """The families whose code is in a file, each with what shows it."""
    found = {}
    base = name.rsplit("/", 1)[-1]
    by_name = family_of(base)
    if vendor and not FREE.search(name) and len(data) >= 1024:
        found[by_name or "others of vendors"] = "file of the vendor's own package"
        return found
    if kind in ("elf", "ar"):
        counts = Counter()
        for symbol, size in symbols(path).items():
            if size <= STUB:
                continue
            for family, pattern in INTERFACES:
                if pattern.match(symbol):
                    counts[family] += 1
        for family, count in counts.items():
            if count >= ENOUGH:
                found[family] = f"{count} functions by their symbols"
        named = soname(path) if kind == "elf" else ""
        by_soname = family_of(named) if named else None
        if by_soname and not FREE.search(named) and by_soname not in ("headers", "Intel MPI, oneDAL"):
            found.setdefault(by_soname, f"soname {named}")
    if kind == "pe":
        company = version_field(data, "CompanyName")
        original = version_field(data, "OriginalFilename") or base
        family = family_of(original) or by_name
        product = version_field(data, "ProductName")
        if re.match(r"(nvidia|intel)", company + " " + product, re.I) or product.startswith("NVIDIA"):
            family = family or "others of vendors"
            found[family] = f"version resource: {company}, {product}"
        wine = any(mark in data[64:128] for mark in (b"Wine builtin DLL", b"Wine placeholder DLL"))
        if not wine and company.startswith("Microsoft") and (family in ("Microsoft runtime", "Direct3D")):
            found[family] = f"version resource: {company}, {original}"
        closed = re.search(r"operating system|visual studio|directx|installer|directml", version_field(data, "ProductName"),
                           re.I)
        if not wine and not found and company.startswith("Microsoft") and closed:
            found["others of vendors"] = f"version resource: {company}, {original}"
    tool = by_name == "nvcc and tools" and (b"NVIDIA" in data or kind == "bitcode")
    if tool or by_name == "CUPTI and profilers" and b"NVIDIA" in data:
        found.setdefault(by_name, f"name {base}")
    if kind in ("elf", "pe", "ar"):
        is_driver = by_name == "driver" or "driver" in found
        if is_driver:
            found = {"driver": "name"}
        elif CUDART_SHIM in data or sum(text in data for text in CUDART) >= 3 or all(text in data for text in CUDART_OLD):
            # NVIDIA's own libraries have one inside, and are what they are.
            if not any(why.startswith(("soname", "version")) for why in found.values()):
                found["cudart"] = "its messages"
        for family, texts in MESSAGES:
            needed = 2 if family == "nvJitLink, nvPTXCompiler" else 1
            if sum(text in data for text in texts) >= needed and not found.get("nvcc and tools"):
                found.setdefault(family, "its messages")
    return found


def members(path):
    if path.endswith(".deb"):
        data = subprocess.run(["dpkg-deb", "--fsys-tarfile", path], capture_output=True, check=True).stdout
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            for member in tar:
                if member.isfile():
                    yield member.name.removeprefix("./"), tar.extractfile(member).read()
        return
    if path.endswith(".tgz"):
        with tarfile.open(path) as tar:
            for member in tar:
                if member.isfile():
                    yield member.name, tar.extractfile(member).read()
        return
    with zipfile.ZipFile(path) as wheel:
        for member in wheel.infolist():
            if not member.is_dir():
                yield member.filename, wheel.read(member)


NOTICES = [b'"Licensed Deliverables"', b"NVIDIA CORPORATION and its licensors retain all intellectual property",
           b"INTEL CONFIDENTIAL", b"This software and the related documents are Intel copyrighted"]


def headers(name, data, vendor):
    """A vendor's header: one of its own package, or one with its notice."""
    if not name.endswith((".h", ".hpp", ".cuh", ".fi", ".f90")) or FREE.search(name):
        return None
    if vendor and len(data) >= 1024:
        return "file of the vendor's own package"
    return "the notice at its head" if any(notice in data[:6000] for notice in NOTICES) else None


def look(path, vendor, platform):
    """Files with code, or with what only a vendor may pass on: platform, families, hash."""
    known = {}
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for name, data in members(path):
            kind = kind_of(data[:16])
            hash = hashlib.sha256(data).hexdigest()[:32] if len(data) >= 1024 else ""
            if kind is None:
                why = headers(name, data, vendor)
                known[name] = [platform, {"headers": why} if why else {}, hash, False]
                continue
            file = os.path.join(scratch, "file")
            with open(file, "wb") as out:
                out.write(data)
            found = truth(file, data, kind, name, vendor)
            known[name] = [platform_of(kind, data, platform), found, hash, True]
    return known


def cached(path, hash, vendor, platform):
    mark = hashlib.sha256(SOURCE.split(b"def origins")[0] + hash.encode()).hexdigest()[:24]
    file = os.path.join(folder, mark + ".json")
    if not os.path.exists(file):
        found = look(path, vendor, platform)
        with open(file + ".new", "w") as out:
            json.dump(found, out)
        os.rename(file + ".new", file)
    with open(file) as known:
        return json.load(known)


def origins(line):
    """Every original that a finding may be about."""
    yield line.get("material") or {}
    kin = (line.get("detail") or {}).get("kin") or {}
    yield from kin.get("shared_by") or []


def verdicts(path):
    said = subprocess.run([program, "--state", state, "audit", "--format", "json", path], capture_output=True)
    if said.returncode:
        sys.exit(f"{path}: {said.stderr.decode()[-400:]}")
    for line in said.stdout.decode().splitlines():
        line = json.loads(line)
        if not line.get("restricted"):
            continue
        names = [part.removeprefix("./") for part in line["file"][1:]]
        if line["kind"] == "not-audited":
            yield names, "gap", line["kind"], json.dumps(line.get("detail"))[:160]
        elif line["kind"] == "driver":
            yield names, "driver", line["kind"], ""
        else:
            for origin in origins(line):
                file, name = origin.get("file") or "", origin.get("name", "")
                what = f"{line['kind']}: {file.rsplit('/', 1)[-1]} of {name} {origin.get('version', '')}"
                yield names, family_of(file) or family_of(name) or "others of vendors", line["kind"], what


def main():
    rows, gaps, wrong = [], [], []
    families, platforms = defaultdict(Counter), defaultdict(Counter)
    packages = []
    for line in open(listing):
        source, package, version, system, hash, kind, path = line.rstrip("\n").split("\t")
        known = cached(path, hash, kind == "vendor", system)
        packages.append((package, version, system, kind, path, known))
        print("looked at", package, version, system, file=sys.stderr, flush=True)
    # What a vendor's package has is the vendor's wherever it lies, unless a free package has it as well.
    hashes = {}
    for package, _, _, kind, _, known in packages:
        for name, (_, found, hash, _) in known.items():
            if kind == "vendor" and found and hash:
                hashes[hash] = (next(iter(found)), package)
    for package, _, _, kind, _, known in packages:
        for name, (_, found, hash, _) in known.items():
            if kind == "free" or FREE.search(name):
                hashes.pop(hash, None)
    for package, version, system, kind, path, known in packages:
        for name, (_, found, hash, _) in known.items():
            if hash in hashes and not found:
                family, owner = hashes[hash]
                found[family] = f"the same file is in {owner}"
        # A package that is known as a whole is known with everything in it.
        said, whole = defaultdict(dict), False
        for names, family, how, what in verdicts(path):
            place = next((name for name in names if name in known), names[-1] if names else "")
            if not names and how == "copy":
                whole = True
            elif family == "gap":
                gaps.append((package, version, place, what))
            else:
                said[place].setdefault(family, what)
        counts = Counter()

        def count(platform, family, state):
            families[family][state] += 1
            platforms[platform][state] += 1
            counts[state] += 1

        for place in sorted(set(known) | (set() if whole else set(said))):
            platform, there, _, code = known.get(place, [system, {}, "", True])
            heard = dict.fromkeys(there, "the whole package") if whole else said.get(place, {})
            reasons = "; ".join(f"{family} ({why})" for family, why in there.items()) or "nothing"
            if not there and not heard:
                counts["clean"] += code
                platforms[platform]["clean"] += code
                continue
            for family in there:
                state = "found" if family in heard else "another name" if heard else "silent"
                count(platform, family, state)
                if state != "found":
                    wrong.append((package, version, system, place, state, reasons, "; ".join(heard.values())))
            for family, what in heard.items():
                # What a vendor's own package has without being code is the vendor's all the same.
                own = kind == "vendor" and not FREE.search(place)
                if family not in there and not (own and not there):
                    state = "beside" if there else "accused"
                    count(platform, family, state)
                    wrong.append((package, version, system, place, state, reasons, what))
        rows.append((package, version, system, kind, sum(code for *_, code in known.values()), known, counts))
        print(package, version, system, dict(counts), file=sys.stderr, flush=True)
    write(rows, families, platforms, wrong, gaps)


STATES = ["found", "another name", "silent", "beside", "accused"]


def write(rows, families, platforms, wrong, gaps):
    out = []
    head = "| {} | in files | found | under another name only | silent | named beside | files without it accused |"
    for title, table in (("family", families), ("platform", platforms)):
        out.append(head.format(title))
        out.append("| --- | --- | --- | --- | --- | --- | --- |")
        for key in sorted(table):
            count = table[key]
            total = sum(count[state] for state in STATES[:3])
            out.append("| " + " | ".join([key, str(total)] + [str(count[state]) for state in STATES]) + " |")
        out.append("")
    out.append("| package | for | files with code | truth: families, in files | found | another name | silent | beside | accused |")
    out.append("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for package, version, system, kind, total, known, counts in rows:
        there = Counter(family for _, found, *_ in known.values() for family in found)
        words = ", ".join(f"{family} {number}" for family, number in sorted(there.items())) or "nothing of a vendor's"
        out.append("| " + " | ".join([f"{package} {version}", system, str(total), words] +
                                     [str(counts[state]) for state in STATES]) + " |")
    with open(page, "w") as file:
        file.write("\n".join(out) + "\n")
    with open(page + ".wrong", "w") as file:
        for line in wrong:
            file.write("\t".join(line) + "\n")
        for line in gaps:
            file.write("\t".join(("gap",) + line) + "\n")


SOURCE = open(sys.argv[0], "rb").read()
main()
