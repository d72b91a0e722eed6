#!/bin/sh
# Makes the images of disks and file systems, with Debian 12's e2fsprogs, dosfstools, mtools, genisoimage, erofs-utils,
# qemu-utils and zstd. All hold the same four files.
set -eu
here=$(pwd)
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
cd "$work"
mkdir -p tree/d/e
printf 'hello world\n' > tree/a.txt
# Bytes that do not compress.
openssl enc -aes-128-ctr -K 00000000000000000000000000000000 -iv 00000000000000000000000000000000 \
    -in /dev/zero 2> /dev/null | head -c 5000 > tree/d/e/bin
{ printf a; head -c 8198 /dev/zero; printf b; } > tree/holes
seq 1 3000 > tree/numbers.txt
ln -s a.txt tree/link
mke2fs -q -t ext2 -b 1024 -N 32 -d tree ext2.img 128k
mke2fs -q -t ext3 -b 1024 -N 32 -d tree ext3.img 4m
mke2fs -q -t ext4 -b 4096 -N 64 -d tree ext4.img 12m
# A file with a hole that a whole table of blocks would be about.
mkdir sparse
printf a > sparse/file
printf b | dd of=sparse/file bs=1 seek=600000 conv=notrunc 2> /dev/null
mke2fs -q -t ext2 -b 1024 -N 16 -d sparse sparse.img 128k
mkfs.fat -C -F 12 fat12.img 96 > /dev/null
mkfs.fat -C -F 16 -s 1 fat16.img 4500 > /dev/null
mkfs.fat -C -F 32 -s 1 fat32.img 34000 > /dev/null
for image in fat12 fat16 fat32; do
    MTOOLS_SKIP_CHECK=1 mcopy -s -i $image.img tree/a.txt tree/d tree/holes tree/numbers.txt ::/
done
genisoimage -quiet -R -J -o rock.iso tree
genisoimage -quiet -J -o joliet.iso tree
genisoimage -quiet -l -allow-lowercase -o plain.iso tree
mkfs.erofs --quiet erofs.img tree
mkfs.erofs --quiet -zlz4hc erofs-lz4.img tree
qemu-img convert -f raw -O qcow2 ext2.img plain.qcow2
qemu-img convert -c -f raw -O qcow2 ext2.img deflate.qcow2
qemu-img convert -c -o compression_type=zstd -f raw -O qcow2 ext2.img zstd.qcow2
for image in *.img *.iso *.qcow2; do
    zstd -q -19 -f "$image" -o "$here/$image.zst"
done
