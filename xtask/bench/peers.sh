#!/usr/bin/env bash
# Runs other tools that look into built binaries on inputs of the audit benchmark, and prints
# what each of them says as Markdown tables.
#
#   peers.sh FOLDER
#
# FOLDER receives a Python environment, the rules and all temporary files; a second run with the
# same folder does not install or generate anything again. The network is needed only to install
# from PyPI, in the first run. lintian is a Debian package and has to be there already
# (apt-get install lintian); without it, its rows say so. GNU time has to be there too.
#
# Inputs are environment variables. Each but the first two is a list, separated by white space,
# and may be empty:
#
#   CUDART_ARCHIVE  a libcudart_static.a, whose functions become YARA-X rules
#   MKL_ARCHIVE     a libmkl_core.a; rules are made of 10,000 and of 1,000 of its functions
#   PROGRAMS        small ELF programs and shared objects, for example with static cudart inside
#   LIBRARIES       large ELF files, for example unpacked from wheels
#   WHEELS          wheels for auditwheel, which reads nothing else
#   PEERS           which tools to run; all of them if it is not set
#   PEER_TIMEOUT    seconds after which a tool is stopped on one input; 1,800 if it is not set
#
# Room for three copies of the largest library is needed below FOLDER, because lintian reads
# nothing but packages and unpacks them.
#
# Times are of one run each and include starting the tool. The memory is the peak resident set,
# which for YARA-X includes the scanned file, because YARA-X maps it.
set -euo pipefail

if [ $# -ne 1 ]; then
  echo "usage: peers.sh FOLDER" >&2
  exit 2
fi
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
work=$(cd "$1" && pwd)
peers=${PEERS:-lintian auditwheel cve-bin-tool yara-x}
limit=${PEER_TIMEOUT:-1800}
# The lists are split into words on purpose.
read -r -d '' -a programs <<<"${PROGRAMS:-}" || true
read -r -d '' -a libraries <<<"${LIBRARIES:-}" || true
read -r -d '' -a wheels <<<"${WHEELS:-}" || true
export LC_ALL=C.UTF-8
# The tools unpack into the folder for temporary files, which goes when the run ends.
export TMPDIR=$work/tmp
trap 'rm -rf "$work/tmp" "$work/deb" "$work/input.deb"' EXIT
mkdir -p "$TMPDIR"

# --- Tools ---------------------------------------------------------------------------------

python=$work/venv/bin/python
if [ ! -e "$work/venv/installed" ]; then
  python3 -m venv "$work/venv"
  "$work/venv/bin/pip" install --quiet \
    auditwheel==6.8.2 cve-bin-tool==3.4 yara-x==1.23.0 pyelftools==0.33 >&2
  touch "$work/venv/installed"
fi

# cve-bin-tool keeps its databases below the home folder. This gives it one of its own.
cve_home=$work/cve-home

# cve-bin-tool refuses to start without a database of vulnerabilities, which it would download.
# Its checkers, which find products and versions in binaries, do not need one. So its own classes
# create a database with one made-up entry, because it refuses an empty one as well, and an empty
# table of SQLite's releases, which its sqlite checker would download while it is loaded. After
# that, the unchanged command works with --offline.
cve_databases() {
  HOME=$cve_home "$python" - <<'PYTHON'
from pathlib import Path

from cve_bin_tool.cvedb import CVEDB
from cve_bin_tool.version_signature import VersionSignatureDb

database = CVEDB(sources=[])
Path(database.cachedir).mkdir(parents=True, exist_ok=True)
database.init_database()
cursor = database.db_open_and_get_cursor()
cursor.execute(
    CVEDB.INSERT_QUERIES["insert_severity"],
    ["CVE-0000-0000", "LOW", "placeholder", 0, 3, "", "NVD", "2000-01-01"],
)
database.connection.commit()
database.db_close()
releases = VersionSignatureDb("sqlite", lambda: [], 30)
with releases:
    releases.get_mapping_data()
PYTHON
}

# --- Measuring -----------------------------------------------------------------------------

# Runs a command; leaves its output in $work/output, and wall seconds, processor seconds and MiB
# in $wall, $cpu and $memory. $status is the exit status, which is 124 if it ran out of time.
measure() {
  status=0
  /usr/bin/time -q -f '%e %U %S %M' -o "$work/time" \
    timeout "$limit" "$@" >"$work/output" 2>&1 || status=$?
  local user system kib
  read -r wall user system kib < <(tail -n 1 "$work/time")
  cpu=$(awk -v a="$user" -v b="$system" 'BEGIN { printf "%.1f", a + b }')
  memory=$((kib / 1024))
}

# Prints one row: tool, input, what it says, whether that names the vendor's code.
row() {
  local said=$3
  said=${said//|/\\|}
  printf '| %s | `%s` | %s | %s | %s | %s | %s |\n' \
    "$1" "$2" "$said" "$4" "$wall" "$cpu" "$memory"
}

# A name for a file; where two inputs have the same name, the start of a hash tells them apart.
label() {
  local name
  name=$(basename "$1")
  local same=0 other
  for other in "${programs[@]}" "${libraries[@]}"; do
    if [ "$(basename "$other")" = "$name" ]; then same=$((same + 1)); fi
  done
  if [ "$same" -gt 1 ]; then
    name="$name, $(sha256sum "$1" | cut -c 1-8)"
  fi
  printf '%s' "$name"
}

# Says whether text that a tool printed names the vendors' libraries at all.
names_vendor() {
  if grep -qiE 'cuda|cublas|cudnn|cufft|cusparse|cusolver|nvidia|[^a-z]mkl' <<<"$1"; then
    echo yes
  else
    echo no
  fi
}

# --- The tools, each on one input ----------------------------------------------------------

# Wraps a file into a Debian package. The package's name must not be a library's name, because
# lintian exempts the source package of a library from its check for that library.
debian_package() {
  local tree=$work/deb
  rm -rf "$tree" "$work/input.deb"
  mkdir -p "$tree/DEBIAN" "$tree/usr/lib/input"
  cp "$1" "$tree/usr/lib/input/"
  cat >"$tree/DEBIAN/control" <<'CONTROL'
Package: input
Version: 1.0-1
Architecture: amd64
Maintainer: Nobody <nobody@example.org>
Section: misc
Priority: optional
Description: input of a benchmark
 A package around one file.
CONTROL
  dpkg-deb -Znone --root-owner-group --build "$tree" "$work/input.deb" >/dev/null
  rm -rf "$tree"
}

run_lintian() {
  debian_package "$1"
  measure lintian --allow-root --check-part libraries/embedded "$work/input.deb"
  rm -f "$work/input.deb"
  local tags said
  tags=$(grep -E '^[EWIPXC]: ' "$work/output" | sed 's/ \[.*//' | sort -u || true)
  said=${tags:+\`${tags//$'\n'/\`, \`}\`}
  if [ "$status" -eq 124 ]; then said="stopped after $limit s"; fi
  row lintian "$(label "$1")" "${said:-nothing}" "$(names_vendor "$tags")"
}

# Wraps a file into a wheel, since auditwheel reads nothing else.
wheel_around() {
  "$python" - "$1" "$2" <<'PYTHON'
import os
import sys
import zipfile

source, target = sys.argv[1:]
with zipfile.ZipFile(target, "w") as wheel:
    name = "input/" + os.path.basename(source)
    wheel.write(source, name)
    wheel.writestr("input-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: input\nVersion: 1.0\n")
    wheel.writestr(
        "input-1.0.dist-info/WHEEL",
        "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-linux_x86_64\n",
    )
    # auditwheel looks only at files that the record lists.
    wheel.writestr("input-1.0.dist-info/RECORD", f"{name},,\n")
PYTHON
}

run_auditwheel() {
  local input=$1
  if [[ $input != *.whl ]]; then
    input=$work/input-1.0-py3-none-linux_x86_64.whl
    wheel_around "$1" "$input"
  fi
  measure "$work/venv/bin/auditwheel" show "$input"
  if [ "$input" != "$1" ]; then rm -f "$input"; fi
  local text tag listed named
  text=$(tr '\n' ' ' <"$work/output")
  tag=$(grep -oE 'platform tag: "[^"]*"' <<<"$text" | head -n 1 | cut -d '"' -f 2 || true)
  listed=$(grep -oE '[A-Za-z0-9_.+-]+\.so[.0-9]* with versions' <<<"$text" | cut -d ' ' -f 1 | sort -u || true)
  named=$(grep -iE 'cu(da|blas|dnn|fft|rand|solver|sparse|tensor|pti)|nv(rtc|Tools|shmem)|mkl' <<<"$listed" | paste -sd ' ' || true)
  local verdict=no
  if [ -n "$named" ]; then verdict="only as dependencies: $named"; fi
  local said="\`$tag\`, $(grep -c . <<<"$listed" || true) libraries with versioned symbols"
  if [ "$status" -ne 0 ]; then said="status $status: $(tail -n 1 "$work/output")"; fi
  local name
  name=$(basename "$1")
  if [ "$input" = "$1" ]; then name=${name%%-py*}; name=${name%%-cp*}.whl; else name=$(label "$1"); fi
  row auditwheel "$name" "$said" "$verdict"
}

run_cve_bin_tool() {
  # The messages wrap at the width of the terminal, which is why it is given.
  measure env HOME="$cve_home" COLUMNS=1000 \
    "$work/venv/bin/cve-bin-tool" --offline --log debug "$1"
  local found said
  found=$(grep -oE 'VersionScanner - .* (is|contains) [^ ]+ [^ ]+ |[^ ]+ was detected with version UNKNOWN' "$work/output" |
    sed -E 's/.* ((is|contains) [^ ]+ [^ ]+) $/\1/' | sort -u || true)
  said=${found:+\`${found//$'\n'/\`, \`}\`}
  if [ "$status" -eq 124 ]; then said="stopped after $limit s"; fi
  row cve-bin-tool "$(label "$1")" "${said:-nothing}" "$(names_vendor "$found")"
}

# Scans with one set of rules and prints what of the set it found.
run_yara() {
  measure "$python" "$here/yara_rules.py" scan "$work/$2.yarc" "$1" --rules "$work/$2.yar"
  local said verdict
  if [ "$status" -ne 0 ]; then
    said="status $status"
    verdict="-"
  else
    # The comparison with the file's symbols takes a scan of its own, because it is not measured.
    "$python" "$here/yara_rules.py" scan "$work/$2.yarc" "$1" --rules "$work/$2.yar" --symbols \
      >>"$work/output"
    read -r said verdict < <("$python" - "$work/output" <<'PYTHON'
import json
import sys

line, compared = map(json.loads, open(sys.argv[1]))
said = f"{line['found']:,}&nbsp;of&nbsp;{line['of']:,}&nbsp;functions,&nbsp;{line['found_bytes']:,}&nbsp;bytes;"
said += f"&nbsp;the&nbsp;scan&nbsp;alone&nbsp;{line['seconds']}&nbsp;s,&nbsp;{line['cpu_seconds']}&nbsp;s&nbsp;processor;"
said += f"&nbsp;{line['anonymous_kib'] // 1024}&nbsp;MiB&nbsp;besides&nbsp;the&nbsp;file"
if compared["named"]:
    said += f";&nbsp;of&nbsp;{compared['named']:,}&nbsp;known&nbsp;by&nbsp;symbol"
    said += f"&nbsp;{compared['named_and_found']:,}"
print(said, "yes" if line["found"] == line["of"] else "partly" if line["found"] else "no")
PYTHON
    )
    said=${said//&nbsp;/ }
  fi
  row "YARA-X, $2" "$(label "$1")" "$said" "$verdict"
}

# --- The run -------------------------------------------------------------------------------

has() { [[ " $peers " == *" $1 "* ]]; }

echo "Tools: $(
  if command -v lintian >/dev/null; then lintian --version; else echo 'lintian is not installed'; fi
), $("$work/venv/bin/pip" list --format freeze 2>/dev/null |
  grep -E '^(auditwheel|cve-bin-tool|yara-x|pyelftools)=' | paste -sd ' '), $("$python" --version)."
echo "Date: $(date -u +%F). Load average at the start: $(cut -d ' ' -f 1-3 /proc/loadavg), on $(nproc) cores."
echo

sets=()
if has yara-x; then
  echo "| rules | functions ≥ 64 B | distinct | their bytes | source, bytes | compiled, bytes | generate, s | compile, s | compile, processor s | compile, peak MiB | rejected |"
  echo "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
  rules() {
    if [ ! -e "$work/$1.json" ]; then
      "$python" "$here/yara_rules.py" generate "$2" "$work/$1.yar" "${@:3}" >"$work/$1.json.new"
      "$python" "$here/yara_rules.py" compile "$work/$1.yar" "$work/$1.yarc" >>"$work/$1.json.new"
      mv "$work/$1.json.new" "$work/$1.json"
    fi
    "$python" - "$1" "$work/$1.json" <<'PYTHON'
import json
import sys

made, compiled = (json.loads(line) for line in open(sys.argv[2]))
cells = [
    sys.argv[1],
    *(f"{made[key]:,}" for key in ("functions", "rules", "code_bytes", "source_bytes")),
    f"{compiled['compiled_bytes']:,}",
    made["seconds"],
    compiled["seconds"],
    compiled["cpu_seconds"],
    compiled["peak_kib"] // 1024,
    compiled["rejected"],
]
print("|", " | ".join(str(cell) for cell in cells), "|")
PYTHON
    sets+=("$1")
  }
  if [ -n "${CUDART_ARCHIVE:-}" ]; then rules cudart "$CUDART_ARCHIVE"; fi
  if [ -n "${MKL_ARCHIVE:-}" ]; then
    rules mkl-1000 "$MKL_ARCHIVE" --limit 1000
    rules mkl-10000 "$MKL_ARCHIVE" --limit 10000
  fi
  echo
fi

echo "| tool | input | what it says | names the vendor's code | wall, s | processor, s | peak, MiB |"
echo "| --- | --- | --- | --- | --- | --- | --- |"
if has lintian; then
  if command -v lintian >/dev/null; then
    for file in "${programs[@]}" "${libraries[@]}"; do run_lintian "$file"; done
  else
    echo "| lintian | - | not installed | - | - | - | - |"
  fi
fi
if has auditwheel; then
  for file in "${programs[@]}" "${wheels[@]}"; do run_auditwheel "$file"; done
fi
if has cve-bin-tool; then
  cve_databases
  for file in "${programs[@]}" "${libraries[@]}"; do run_cve_bin_tool "$file"; done
fi
for set in "${sets[@]}"; do
  for file in "${programs[@]}" "${libraries[@]}"; do run_yara "$file" "$set"; done
done
