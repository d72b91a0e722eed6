#!/bin/sh
# Makes the fixtures anew; README.md says with what.
set -eu
out=$(mktemp -d)
printf 'LIBRARY later.dll\nEXPORTS\n later\n' > "$out/later.def"
printf 'LIBRARY at_once.dll\nEXPORTS\n at_once\n' > "$out/at_once.def"
x86_64-w64-mingw32-windres -O coff version.rc -o "$out/version.o"
for arch in x86_64 aarch64; do
  case $arch in x86_64) machine=i386:x86-64 short=x64 ;; aarch64) machine=arm64 short=arm64 ;; esac
  target="--target=$arch-pc-windows-msvc -O2 -fno-asynchronous-unwind-tables -ffunction-sections -fno-ident"
  clang++ $target -fno-rtti -fno-exceptions -c vendor.cc -o "$out/vendor.obj"
  clang $target -c main.c -o "$out/main.obj"
  rm -f "vendor-$short.lib"
  llvm-ar-14 crD --format=gnu "vendor-$short.lib" "$out/vendor.obj"
  for name in later at_once; do llvm-dlltool-14 -m "$machine" -d "$out/$name.def" -l "$out/$name.lib"; done
  resource=; [ $arch = x86_64 ] && resource="$out/version.o"
  lld-link /nologo /dll /entry:start /nodefaultlib /opt:ref,icf /timestamp:0 /Brepro /delayload:later.dll \
    /machine:$short "/out:linked-$short.dll" "/implib:$out/linked.lib" "$out/main.obj" "vendor-$short.lib" \
    "$out/later.lib" "$out/at_once.lib" $resource
done
cp "$out/later.lib" import-arm64.lib
x86_64-w64-mingw32-gcc -x c -O2 -fno-asynchronous-unwind-tables -fno-ident -Wa,-mbig-obj -c vendor.cc \
  -o "$out/vendor.o"
rm -f vendor-big.lib
llvm-ar-14 crD --format=gnu vendor-big.lib "$out/vendor.o"
elf="--target=aarch64-linux-gnu -O2 -fPIC -fno-asynchronous-unwind-tables -fno-ident"
clang++ $elf -fno-exceptions -fno-rtti -ffunction-sections -c vendor.cc -o "$out/vendor.o"
clang $elf -ffunction-sections -c main.c -o "$out/main.o"
rm -f vendor-aarch64.a
aarch64-linux-gnu-ar crD vendor-aarch64.a "$out/vendor.o"
aarch64-linux-gnu-ld -shared --gc-sections --exclude-libs ALL -s -z max-page-size=4096 -z noseparate-code \
  --hash-style=gnu -o linked-aarch64.so "$out/main.o" vendor-aarch64.a
rm -r "$out"
