//! A vendor's file inside something that is no archive, or none that anybody names: each must be found or withheld.

use crate::attack::{Attack, is};
use crate::world::target;
use std::process::Command;

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

/// Images and data without marks that hold the vendor's `cuda.h`, which has no mark either, so that only who reads the image
/// finds it. Each is made of the folder `tree` as the file `made`.
const IMAGES: [(&str, &str); 16] = [
    // Its tables of blocks lie between the blocks of the file.
    ("ext2", "mke2fs -q -t ext2 -b 1024 -d tree made 8m"),
    ("ext3", "mke2fs -q -t ext3 -d tree made 16m"),
    ("ext4", "mke2fs -q -t ext4 -d tree made 16m"),
    ("fat12", "mkfs.fat -C -F 12 -s 4 made 4096; mcopy -s -i made tree/* ::/"),
    ("fat32", "mkfs.fat -C -F 32 -s 1 made 40000; mcopy -s -i made tree/* ::/"),
    ("rock-ridge", "genisoimage -quiet -R -o made tree"),
    ("joliet", "genisoimage -quiet -J -o made tree"),
    ("erofs", "mkfs.erofs --quiet made tree"),
    ("erofs-lz4", "mkfs.erofs --quiet -zlz4hc made tree"),
    ("qcow2", "mke2fs -q -t ext4 -d tree raw 16m; qemu-img convert -c -f raw -O qcow2 raw made"),
    (
        "partition",
        "mke2fs -q -t ext2 -d tree raw 8m; truncate -s 1M made; cat raw >> made; \
         printf '\\203\\000\\000\\000\\000\\010\\000\\000\\000\\100' | dd of=made bs=1 seek=450 conv=notrunc; \
         printf '\\125\\252' | dd of=made bs=1 seek=510 conv=notrunc",
    ),
    ("brotli", "brotli -c tree/a/cuda.h > made"),
    ("deflate", "gzip -9nc tree/a/cuda.h | tail -c +11 | head -c -8 > made"),
    // A frame of one block, without the frame.
    ("lz4", "lz4 -c -B7 --no-frame-crc tree/a/cuda.h | tail -c +12 | head -c -4 > made"),
    ("packed-in-ext4", "brotli -c --rm tree/a/cuda.h > tree/data; mke2fs -q -t ext4 -d tree made 8m"),
    ("header", "{ printf 'DATA\\001\\000\\000\\000'; gzip -nc tree/a/cuda.h | tail -c +11; } > made"),
];

#[test]
fn images_and_data_without_marks_are_looked_into() {
    let attack = Attack::new();
    let script = "set -e; mkdir -p \"$2/tree/a\"; cd \"$2\"; unzip -q -j \"$1\"/nvidia_cuda_runtime*.whl '*/cuda.h' -d tree/a\n\
        printf 'of no interest\\n' > tree/own; export PATH=\"$PATH:/usr/sbin:/sbin\"; eval \"$3\"";
    for (name, command) in IMAGES {
        let folder = attack.world.folder(name);
        let mut made = Command::new("sh");
        made.args(["-c", script, "sh"]).arg(target().join("wheels")).arg(&folder).arg(command);
        let made = made.output().unwrap();
        assert!(made.status.success(), "{name}: {}", String::from_utf8_lossy(&made.stderr));
        std::fs::rename(folder.join("made"), attack.world.extra().join(name)).unwrap();
    }
    let packages: String =
        IMAGES.iter().map(|(name, _)| format!("{name} = package \"{name}\" /extra/{name};\n")).collect();
    let set = format!(
        "let package = name: src: mkDerivation {{ pname = name; version = \"1\"; inherit src; nativeBuildInputs = [ coreutils ];\n\
         meta.license = licenses.mit; buildCommand = ''mkdir -p \"$out/bin\" \"$out/share\"; cp \"$src\" \"$out/share/data\"\n\
         printf '#!/bin/sh\\necho a program of its own\\n' > \"$out/bin/own\"''; }};\n\
         in {{ inherit (cuda) cuda_nvcc;\n{packages} }}"
    );
    let rows = attack.run("state", &set, &[]).expect(0).rows();
    for (name, _) in IMAGES {
        is(&rows, name, "withhold", "terms-file-not-listed");
    }
}
