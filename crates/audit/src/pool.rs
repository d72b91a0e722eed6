//! What single files have too little of, added up over a path.
//!
//! Somebody may spread a library over five hundred object files, each of which has too little of it to say anything.
//! What no file was reported for is kept here, and the same thresholds hold for all of it together. Of each part one
//! place is kept, so that this stays small however many files there are.

use crate::corpus::Corpus;
use crate::device::Device;
use crate::finding::{Finding, Form, Place};
use crate::functions::{self, Hit};
use crate::strings::Seen;
use crate::{chunks, passages, whose};
use foldhash::HashSet;
use std::collections::{BTreeMap, BTreeSet};

/// A file with something in it, and whether a linker made it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Holder {
    pub(crate) place: Place,
    pub(crate) linked: bool,
}

/// What is left over of one file.
#[derive(Default)]
pub(crate) struct Rest {
    pub(crate) hits: Vec<Hit>,
    pub(crate) kernels: Vec<(u64, String)>,
    pub(crate) strings: BTreeMap<u64, String>,
    pub(crate) chunks: BTreeSet<u64>,
    pub(crate) passages: HashSet<u64>,
}

/// What is left over of many files.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    holders: Vec<Holder>,
    /// By the function's number: where one of it lies, and the number of its holder.
    hits: BTreeMap<u32, (Hit, usize)>,
    kernels: BTreeMap<u64, (String, usize)>,
    strings: BTreeMap<u64, (String, usize)>,
    chunks: BTreeMap<u64, usize>,
    passages: BTreeMap<u64, usize>,
}

/// Files may be so large in what is added up; no file is larger.
const LARGEST: u32 = 40;

impl Pool {
    /// Adds what is left over of a file.
    pub(crate) fn add(&mut self, place: &Place, linked: bool, rest: Rest) {
        let number = self.holders.len();
        let before = self.len();
        for hit in rest.hits {
            self.hits.entry(hit.function).or_insert((hit, number));
        }
        for (hash, kernel) in rest.kernels {
            self.kernels.entry(hash).or_insert((kernel, number));
        }
        for (hash, text) in rest.strings {
            self.strings.entry(hash).or_insert((text, number));
        }
        for hash in rest.chunks {
            self.chunks.entry(hash).or_insert(number);
        }
        for hash in rest.passages {
            self.passages.entry(hash).or_insert(number);
        }
        if self.len() > before {
            self.holders.push(Holder { place: place.clone(), linked });
        }
    }

    /// Adds what is left over of further files.
    pub(crate) fn merge(&mut self, other: Self) {
        let first = self.holders.len();
        self.holders.extend(other.holders);
        for (function, (hit, number)) in other.hits {
            self.hits.entry(function).or_insert((hit, first + number));
        }
        for (hash, (kernel, number)) in other.kernels {
            self.kernels.entry(hash).or_insert((kernel, first + number));
        }
        for (hash, (text, number)) in other.strings {
            self.strings.entry(hash).or_insert((text, first + number));
        }
        for (hash, number) in other.chunks {
            self.chunks.entry(hash).or_insert(first + number);
        }
        for (hash, number) in other.passages {
            self.passages.entry(hash).or_insert(first + number);
        }
    }

    /// Forgets what came from a file.
    pub(crate) fn forget(&mut self, file: &str) {
        let kept = |number: &usize| self.holders[*number].place.file != file;
        self.hits.retain(|_, (_, number)| kept(number));
        self.kernels.retain(|_, (_, number)| kept(number));
        self.strings.retain(|_, (_, number)| kept(number));
        self.chunks.retain(|_, number| kept(number));
        self.passages.retain(|_, number| kept(number));
    }

    fn len(&self) -> usize {
        self.hits.len() + self.kernels.len() + self.strings.len() + self.chunks.len() + self.passages.len()
    }

    /// What all of it together says.
    pub(crate) fn report(self, corpus: &Corpus, findings: &mut Vec<Finding>) {
        // Places in different files are different places.
        let apart = |(hit, number): &(Hit, usize)| {
            let shift = (*number as u64) << LARGEST;
            Hit { range: (hit.range.0 | shift, hit.range.1 | shift), ..*hit }
        };
        let hits: Vec<Hit> = self.hits.values().map(apart).collect();
        for put in functions::put_down(&hits, corpus) {
            let of_put = self.hits.values().filter(|(hit, _)| put.functions.contains(&hit.function));
            let (place, form) = self.common(of_put.map(|(_, number)| *number));
            let finding = functions::finding(&place, &put, 0, &|at| at & ((1 << LARGEST) - 1), corpus);
            findings.extend(finding.map(|finding| form.map_or(finding.clone(), |form| whose::copy(finding, form))));
        }
        let (mut device, mut gaps) = (Vec::new(), Vec::new());
        let (place, form) = self.common(self.kernels.values().map(|(_, number)| *number));
        let kernels = self.kernels.iter().map(|(hash, (kernel, _))| (*hash, kernel.clone()));
        Device::of_kernels(kernels).report(&place, corpus, &mut device, &mut gaps);
        let device = device.into_iter().map(|(finding, _)| finding);
        findings.extend(device.map(|finding| form.map_or(finding.clone(), |form| whose::copy(finding, form))));
        let (place, _) = self.common(self.strings.values().map(|(_, number)| *number));
        let strings = self.strings.iter().map(|(hash, (text, _))| (*hash, text.clone())).collect();
        Seen { strings }.report(&place, corpus, findings);
        let (place, _) = self.common(self.chunks.values().copied());
        let mut chunks: BTreeSet<u64> = self.chunks.keys().copied().collect();
        chunks::report(&place, &mut chunks, &|_| false, corpus, findings);
        let mut texts: BTreeMap<usize, HashSet<u64>> = BTreeMap::new();
        for (passage, number) in &self.passages {
            texts.entry(*number).or_default().insert(*passage);
        }
        let texts: Vec<_> =
            texts.into_iter().map(|(number, found)| (self.holders[number].place.clone(), found)).collect();
        findings.extend(passages::cut(texts.iter(), corpus));
    }

    /// What several holders have in common: their file and the members that lead to all of them, or else the holder of
    /// most; and why they are no program that includes something, if one of them is none.
    fn common(&self, numbers: impl Iterator<Item = usize>) -> (Place, Option<Form>) {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for number in numbers {
            *counts.entry(number).or_default() += 1;
        }
        let form = counts.keys().any(|number| !self.holders[*number].linked).then_some(Form::NotLinked);
        let places = || counts.keys().map(|number| &self.holders[*number].place);
        let Some(first) = places().next() else {
            return (Place { file: String::new(), members: Vec::new() }, form);
        };
        if places().all(|place| place.file == first.file) {
            let same = |at: usize| places().all(|place| place.members.get(at) == first.members.get(at));
            let members = first.members.iter().enumerate().take_while(|(at, _)| same(*at));
            let members = members.map(|(_, member)| member.clone()).collect();
            return (Place { file: first.file.clone(), members }, form);
        }
        let most = counts.iter().max_by_key(|(number, count)| (**count, std::cmp::Reverse(**number)));
        (most.map_or_else(|| first.clone(), |(number, _)| self.holders[*number].place.clone()), form)
    }
}
