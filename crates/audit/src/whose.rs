//! Whether a file that has a vendor's code in it is the vendor's, or something else that includes it.
//!
//! Only a linked program or library includes code. An object or an archive is the vendor's with another name, however
//! it was stripped, joined or renamed, and so is a library that has the vendor's name or interface, and whatever has
//! hardly any other code. A program that uses all of a static library is mostly the vendor's code as well, so that not
//! the share counts, but whether there is anything else.

use crate::binary::is_linked;
use crate::corpus::{Corpus, OriginalRef, Part};
use crate::finding::{Change, Finding, Form, Parts};
use crate::functions::{Hit, Put};
use crate::loader::Layout;
use crate::own;
use crate::prints::{Kind, hash64};
use crate::ranges::{merge, total};
use crate::scan::Subject;
use crate::strings::family;
use object::Object;
use std::collections::HashSet;

/// Fewer exported functions are a coincidence.
const INTERFACE: usize = 8;

/// Of less code than this it does not count that there is nothing else: a stub of the vendor's is in many libraries.
const ALL_THERE_IS: u64 = 4096;

/// A file, and what of it is known to be vendors'.
pub(crate) struct Bearer<'a> {
    subject: &'a Subject<'a>,
    pub(crate) layout: Layout,
    /// Whether it has code of its own, that is no vendor's.
    pub(crate) has_own_code: bool,
    /// Bytes of code that are vendors'.
    vendors: u64,
    /// Exported functions.
    exported: Vec<Exported>,
}

impl<'a> Bearer<'a> {
    /// `is_claimed` says of an archive that whoever made the file calls it its own: its functions are no vendor's here.
    pub(crate) fn new(
        subject: &'a Subject<'a>,
        layout: Layout,
        put: &[Put],
        is_claimed: &dyn Fn(OriginalRef) -> bool,
    ) -> Self {
        let bytes = total(&merge(put.iter().flat_map(|put| put.ranges.iter().copied()).collect(), 0));
        let others = put.iter().filter(|put| !is_claimed(put.archive));
        let exported = if put.is_empty() { Vec::new() } else { exported(subject, &layout) };
        Self {
            subject,
            has_own_code: subject.binary.as_ref().is_some_and(|file| {
                own::is_enough(file, &layout, subject.bytes, others.map(|put| put.ranges.as_slice()))
            }),
            layout,
            vendors: bytes,
            exported,
        }
    }

    /// Bytes of code in the file.
    pub(crate) fn code_bytes(&self) -> u64 {
        total(&self.layout.code)
    }

    /// Why the file is a copy of what these functions, or this device code, are from; `None` where it includes them.
    pub(crate) fn form(&self, original: OriginalRef, put: Option<(&Put, &[Hit])>, corpus: &Corpus) -> Option<Form> {
        let Some(file) = &self.subject.binary else { return Some(Form::Data) };
        if !is_linked(file) {
            return Some(Form::NotLinked);
        }
        if self.names().any(|name| corpus.is_library_of(original, family(name))) {
            return Some(Form::SameName);
        }
        let (put, hits) = put?;
        let starts: HashSet<u64> = (hits.iter())
            .filter(|hit| put.functions.contains(&hit.function))
            .map(|hit| self.layout.address(hit.range.0))
            .collect();
        let of_vendor = |Exported { name, address, leads_to }: &&Exported| {
            starts.contains(address)
                || leads_to.is_some_and(|function| starts.contains(&function))
                || corpus.interface.may_have((name >> 32) as u32)
                    && !corpus.is_free(*name)
                    && corpus.originals(Part::Interface, *name).next().is_some()
        };
        let vendors = self.exported.iter().filter(of_vendor).count();
        if vendors >= INTERFACE && vendors * 2 >= self.exported.len() {
            return Some(Form::SameInterface);
        }
        (self.vendors >= ALL_THERE_IS && !self.has_own_code).then_some(Form::NothingElse)
    }

    /// What the library calls itself, and what its file is called.
    fn names(&self) -> impl Iterator<Item = &str> {
        let name = self.subject.place.innermost().rsplit('/').next().unwrap_or_default();
        let is_library = name.contains(".so") || name.to_ascii_lowercase().ends_with(".dll");
        self.subject.links.soname.as_deref().into_iter().chain(is_library.then_some(name))
    }
}

/// A function that a library exports.
struct Exported {
    /// The print of its name.
    name: u64,
    address: u64,
    /// Where it only hands over to another function: that one.
    leads_to: Option<u64>,
}

fn exported(subject: &Subject<'_>, layout: &Layout) -> Vec<Exported> {
    let Some(file) = &subject.binary else { return Vec::new() };
    let is_x86 = file.architecture() == object::Architecture::X86_64;
    // Exports may share names, but not each a name that is as long as the file.
    let mut room = subject.bytes.len().saturating_mul(8);
    let code: Vec<_> = layout.code.iter().map(|(from, to)| (layout.address(*from), *from, *to)).collect();
    let bytes_at = |address: u64| {
        let (first, from, to) = code.iter().find(|(first, from, to)| address.wrapping_sub(*first) < to - from)?;
        subject.bytes.get((from + (address - first)) as usize..*to as usize)
    };
    let exports = file.exports().unwrap_or_default().into_iter();
    exports
        .filter_map(|export| Some((bytes_at(export.address())?, export)))
        .map_while(|(code, export)| {
            room = room.checked_sub(export.name().len())?;
            let (name, address) = (hash64(Kind::Symbol, export.name()), export.address());
            let leads_to = handed_over(code).filter(|_| is_x86);
            Some(Exported { name, address, leads_to: leads_to.map(|by| address.wrapping_add_signed(by)) })
        })
        .collect()
}

/// Where a function of x86-64 that does nothing else hands over to, counted from its own beginning: a jump, or a call
/// with a return right behind it.
fn handed_over(code: &[u8]) -> Option<i64> {
    /// Longer functions do something before.
    const BEFORE: usize = 16;
    const AFTER: usize = 8;
    (0..BEFORE.min(code.len())).find_map(|at| {
        let (jump, rest) = code[at..].split_first()?;
        let (by, after) = rest.split_first_chunk()?;
        let returns = || after[..after.len().min(AFTER)].contains(&0xc3);
        let hands_over = *jump == 0xe9 || *jump == 0xe8 && returns();
        hands_over.then(|| at as i64 + 5 + i64::from(i32::from_le_bytes(*by)))
    })
}

/// The finding that a file is a copy, in place of the one that it includes the same.
pub(crate) fn copy(finding: Finding, form: Form) -> Finding {
    let (place, original, kin, parts, found, known) = match finding {
        Finding::StaticCode { place, archive, members, kin, .. } => {
            let sum = |count: fn(&crate::MemberHits) -> u32| members.iter().map(count).sum();
            let (found, known) = (sum(|member| member.functions_found), sum(|member| member.functions_known));
            (place, archive, kin, Parts::Functions, found, known)
        }
        Finding::DeviceCode { place, original, entries_found, entries, kernels_found, kernels, kin, .. } => {
            let (found, known) = if entries_found > 0 { (entries_found, entries) } else { (kernels_found, kernels) };
            (place, original, kin, Parts::DeviceCode, found, known)
        }
        other => return other,
    };
    let changes = vec![Change::Parts { parts, found, known, form }];
    Finding::ModifiedCopy { place, original, same: Vec::new(), changed: Vec::new(), changes, kin }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_that_only_hand_over() {
        let check = |code: &[u8], to: Option<i64>| assert_eq!(handed_over(code), to, "{code:x?}");
        check(b"\xe9\x10\0\0\0", Some(21));
        check(b"\xf3\x0f\x1e\xfa\xe9\xf0\xff\xff\xff\x90", Some(-7));
        check(b"\x48\x83\xec\x08\xe8\0\x01\0\0\x48\x83\xc4\x08\xc3", Some(265));
        check(b"\xe8\0\x01\0\0\x85\xc0\x74\x05\x89\x05\0\0\0\0\xc3", None);
        check(&[0x90; 40], None);
        check(b"\xe9\x10", None);
        check(b"", None);
    }
}
