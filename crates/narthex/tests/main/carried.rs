//! A vendor's file inside something that is no archive, or none that anybody names: each must be found or withheld.

use crate::attack::{Attack, is};

/// Ways to carry a file, with the reason that withholds each. The build has the vendor's `ptxas` beside it.
const WAYS: [(&str, &str, &str); 8] = [
    ("behind", "/usr/bin/cat /usr/bin/dd ptxas > \"$out/bin/tool\"", "terms-file-not-listed"),
    ("packed", "{ /usr/bin/cat /usr/bin/dd; /usr/bin/gzip -1 -c ptxas; } > \"$out/bin/tool\"", "terms-file-not-listed"),
    (
        "asar",
        "{ printf '\\004\\000\\000\\000{\"files\":{\"ptxas\":{\"offset\":\"0\"}}}'; cat ptxas own; } > \"$out/bin/app.asar\"",
        "terms-file-not-listed",
    ),
    (
        "installer",
        "{ echo '#!/bin/sh'; echo 'base64 -d <<END | gunzip > ptxas'; /usr/bin/gzip -1 -c ptxas | /usr/bin/base64; echo END; } \
         > \"$out/bin/install\"",
        "terms-file-not-listed",
    ),
    (
        "unnamed",
        "/usr/bin/zip -q -1 one.zip ptxas; /usr/bin/zip -q two.zip own; cat one.zip two.zip > \"$out/bin/data.zip\"",
        "terms-file-not-listed",
    ),
    (
        "image",
        "/usr/bin/truncate -s 4096 disk; printf '\\020\\000\\000\\000\\100\\000\\000\\000' | /usr/bin/dd of=disk bs=1 seek=1024 conv=notrunc; \
         printf '\\123\\357\\001\\000' | /usr/bin/dd of=disk bs=1 seek=1080 conv=notrunc; cp disk \"$out/bin/disk.img\"",
        "audit-incomplete",
    ),
    (
        "file",
        "/usr/bin/rm -r \"$out\"; /usr/bin/xz --format=lzma --lzma1=preset=0,lc=0,lp=2,pb=0 -c ptxas > \"$out\"",
        "terms-file-not-listed",
    ),
    // Nobody knows what this is; it could be the vendor's, since the build had that.
    ("opaque", "/usr/bin/head -c 600000 /dev/urandom > \"$out/bin/blob\"", "audit-incomplete"),
];

#[test]
fn what_carries_a_vendors_file_is_looked_into() {
    let attack = Attack::new();
    let ways: String =
        (WAYS.iter()).map(|(name, command, _)| format!("{name} = package \"{name}\" ''{command}'';\n")).collect();
    let set = format!(
        "let package = name: command: mkDerivation {{ pname = name; version = \"1\"; src = cuda.cuda_nvcc.src;\n\
         nativeBuildInputs = [ coreutils unzip ]; meta.license = licenses.mit; buildCommand = ''\n\
         unzip -q -j \"$src\" nvidia/cuda_nvcc/bin/ptxas; echo own > own; mkdir -p \"$out/bin\"; cp own \"$out/own\"\n\
         ${{command}}''; }};\n\
         free = mkDerivation {{ pname = \"free\"; version = \"1\"; nativeBuildInputs = [ coreutils ]; meta.license = licenses.mit;\n\
         buildCommand = ''mkdir -p \"$out/bin\"; /usr/bin/head -c 600000 /dev/urandom > \"$out/bin/blob\"''; }};\n\
         in {{ inherit (cuda) cuda_nvcc; inherit free;\n{ways} }}"
    );
    let rows = attack.run("state", &set, &[]).expect(0).rows();
    for (name, _, code) in WAYS {
        is(&rows, name, "withhold", code);
    }
    // Without anything withheld beside it, the same says nothing.
    is(&rows, "free", "publish", "license-free");
}
