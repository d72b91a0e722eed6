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
    /// Bytes of code that are no vendor's.
    pub(crate) beside: u64,
    /// Bytes of code that are vendors'.
    vendors: u64,
    /// Names and addresses of exported functions.
    exported: Vec<(u64, u64)>,
}

impl<'a> Bearer<'a> {
    pub(crate) fn new(subject: &'a Subject<'a>, layout: Layout, put: &[Put]) -> Self {
        let bytes = total(&merge(put.iter().flat_map(|put| put.ranges.iter().copied()).collect(), 0));
        let exported = if put.is_empty() { Vec::new() } else { exported(subject, &layout) };
        Self {
            subject,
            beside: own::code_beside(&layout, put.iter().map(|put| put.ranges.as_slice())),
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
        let of_vendor = |(name, address): &&(u64, u64)| {
            starts.contains(address)
                || corpus.interface.may_have((name >> 32) as u32)
                    && !corpus.is_free(*name)
                    && corpus.originals(Part::Interface, *name).next().is_some()
        };
        let vendors = self.exported.iter().filter(of_vendor).count();
        if vendors >= INTERFACE && vendors * 2 >= self.exported.len() {
            return Some(Form::SameInterface);
        }
        (self.vendors >= ALL_THERE_IS && !own::is_enough(self.beside)).then_some(Form::NothingElse)
    }

    /// What the library calls itself, and what its file is called.
    fn names(&self) -> impl Iterator<Item = &str> {
        let name = self.subject.place.innermost().rsplit('/').next().unwrap_or_default();
        let is_library = name.contains(".so") || name.to_ascii_lowercase().ends_with(".dll");
        self.subject.links.soname.as_deref().into_iter().chain(is_library.then_some(name))
    }
}

/// Exported functions: their names' prints and their addresses.
fn exported(subject: &Subject<'_>, layout: &Layout) -> Vec<(u64, u64)> {
    let exports = subject.binary.as_ref().and_then(|file| file.exports().ok()).unwrap_or_default();
    // Exports may share names, but not each a name that is as long as the file.
    let mut room = subject.bytes.len().saturating_mul(8);
    let code: Vec<_> = layout.code.iter().map(|(from, to)| (layout.address(*from), to - from)).collect();
    let runs = |address: u64| code.iter().any(|(from, size)| address.wrapping_sub(*from) < *size);
    let exports = exports.into_iter().filter(|export| runs(export.address()));
    exports
        .map_while(|export| {
            room = room.checked_sub(export.name().len())?;
            Some((hash64(Kind::Symbol, export.name()), export.address()))
        })
        .collect()
}

/// The finding that a file is a copy, in place of the one that it includes the same.
pub(crate) fn copy(finding: Finding, form: Form) -> Finding {
    let (place, original, parts, found, known) = match finding {
        Finding::StaticCode { place, archive, members, .. } => {
            let sum = |count: fn(&crate::MemberHits) -> u32| members.iter().map(count).sum();
            let (found, known) = (sum(|member| member.functions_found), sum(|member| member.functions_known));
            (place, archive, Parts::Functions, found, known)
        }
        Finding::DeviceCode { place, original, entries_found, entries, kernels_found, kernels, .. } => {
            let (found, known) = if entries_found > 0 { (entries_found, entries) } else { (kernels_found, kernels) };
            (place, original, Parts::DeviceCode, found, known)
        }
        other => return other,
    };
    let changes = vec![Change::Parts { parts, found, known, form }];
    Finding::ModifiedCopy { place, original, same: Vec::new(), changed: Vec::new(), changes }
}
