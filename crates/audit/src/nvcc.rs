//! What nvcc writes into everybody's programs: functions that register device code, and those that launch kernels.
//!
//! They depend on the program's kernels and variables alone. Two programs with kernels of the same arguments have the
//! same ones, so that they are no vendor's, though a vendor's archives have them as well.

use object::{File, Object, ObjectSection, ObjectSymbol, RelocationTarget, SymbolIndex};
use std::collections::HashMap;

/// Parts of the names of such functions, with those of compilers' constructors.
const NAMES: [&[u8]; 8] = [
    b"__device_stub__",
    b"__sti____cudaRegisterAll",
    b"__cudaUnregisterBinaryUtil",
    b"__nv_cudaEntityRegisterCallback",
    b"__cudaRegisterLinkedBinary",
    b"__nv_init_managed_rt",
    b"_GLOBAL__sub_I_",
    b"_GLOBAL__I_",
];

/// What only such functions call.
const REGISTERING: [&[u8]; 6] = [
    b"__cudaRegisterFatBinary",
    b"__cudaRegisterFatBinaryEnd",
    b"__cudaUnregisterFatBinary",
    b"__cudaRegisterFunction",
    b"__cudaRegisterVar",
    b"__cudaInitModule",
];

/// A function that launches a kernel asks for what its caller configured. One that configures it as well has the other
/// one in it, and something of its own.
const LAUNCHES: &[u8] = b"__cudaPopCallConfiguration";
const CONFIGURES: &[u8] = b"__cudaPushCallConfiguration";

/// What a call in such a function says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Registers,
    Launches,
    Configures,
}

/// Whether a function has a name that nvcc gives.
pub(crate) fn is_name(name: &[u8]) -> bool {
    NAMES.iter().any(|part| memchr::memmem::find(name, part).is_some())
}

/// The calls of an object that tell what nvcc wrote.
pub(crate) struct Calls(HashMap<SymbolIndex, Call>);

impl Calls {
    /// Reads the names that an object refers to. The runtime itself defines them.
    pub(crate) fn of(file: &File<'_>) -> Self {
        let call = |name: &[u8]| match name {
            LAUNCHES => Some(Call::Launches),
            CONFIGURES => Some(Call::Configures),
            name => REGISTERING.contains(&name).then_some(Call::Registers),
        };
        let undefined = file.symbols().filter(|symbol| symbol.is_undefined());
        Self(undefined.filter_map(|symbol| Some((symbol.index(), call(symbol.name_bytes().ok()?)?))).collect())
    }

    /// Where in a section they stand, in order.
    pub(crate) fn within(&self, section: &object::Section<'_, '_>) -> Places {
        let mut places = Vec::new();
        if !self.0.is_empty() {
            let calls = section.relocations().filter_map(|(at, relocation)| match relocation.target() {
                RelocationTarget::Symbol(symbol) => Some((at, *self.0.get(&symbol)?)),
                _ => None,
            });
            places.extend(calls);
        }
        places.sort_unstable_by_key(|(at, _)| *at);
        Places(places)
    }
}

/// Where in a section calls stand.
#[derive(Default)]
pub(crate) struct Places(Vec<(u64, Call)>);

impl Places {
    /// Whether nvcc wrote the function that lies there.
    pub(crate) fn made(&self, from: u64, to: u64) -> bool {
        let first = self.0.partition_point(|(at, _)| *at < from);
        let calls = || self.0[first..].iter().take_while(|(at, _)| *at < to).map(|(_, call)| *call);
        let has = |one| calls().any(|call| call == one);
        has(Call::Registers) || has(Call::Launches) && !has(Call::Configures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nvcc_writes_is_told_by_names_and_calls() {
        for name in [
            "_ZL24__sti____cudaRegisterAllv",
            "_ZL45__device_stub__Z6kernelPfS_PfS_",
            "_ZL26__cudaUnregisterBinaryUtilv",
            "_GLOBAL__sub_I_file.cu",
        ] {
            assert!(is_name(name.as_bytes()), "{name}");
        }
        assert!(!is_name(b"cudaMalloc") && !is_name(b"__cudaRegisterFunction"));
        use Call::{Configures, Launches, Registers};
        let places =
            Places(vec![(10, Registers), (120, Launches), (210, Configures), (220, Launches), (310, Configures)]);
        let made = [(0, 100), (100, 200), (200, 300), (300, 400), (400, 500)].map(|(from, to)| places.made(from, to));
        assert_eq!(made, [true, true, false, false, false]);
    }
}
