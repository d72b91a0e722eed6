//! Texts as numbers: each text is kept once, in one piece of memory.
//!
//! A standard map would need an allocation and some fifty bytes more for each of millions of paths.

use std::hash::{DefaultHasher, Hasher};

/// A number that stands for no text.
pub(crate) const NONE: u32 = u32::MAX;

#[derive(Clone, Debug, Default)]
pub(crate) struct Interner {
    bytes: String,
    /// Where each text ends.
    ends: Vec<usize>,
    /// Open addressing: the number in the lower half, a part of the hash in the upper. Its length is a power of two.
    slots: Vec<u64>,
}

/// No number ever is `NONE`, so that this is no slot in use.
const FREE: u64 = u64::MAX;

impl Interner {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn text(&self, number: u32) -> &str {
        self.bytes.get(self.range(number)).unwrap_or_default()
    }

    pub(crate) fn find(&self, text: &str) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        self.probe(text, hash(text)).ok()
    }

    /// The number of a text. `None` when there are no numbers left.
    pub(crate) fn intern(&mut self, text: &str) -> Option<u32> {
        self.intern_if(text, || Ok::<(), ()>(())).ok().flatten()
    }

    /// The same, where a text that is not known yet is let in by `check` only.
    pub(crate) fn intern_if<E>(&mut self, text: &str, check: impl FnOnce() -> Result<(), E>) -> Result<Option<u32>, E> {
        if self.slots.len() < 2 * (self.ends.len() + 1) {
            self.grow();
        }
        let hash = hash(text);
        let slot = match self.probe(text, hash) {
            Ok(number) => return Ok(Some(number)),
            Err(slot) => slot,
        };
        check()?;
        let Some(number) = u32::try_from(self.ends.len()).ok().filter(|number| *number != NONE) else {
            return Ok(None);
        };
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len());
        self.slots[slot] = entry(number, hash);
        Ok(Some(number))
    }

    /// The numbers of many texts at once, `NONE` where one is not known or does not lie in its first slot.
    ///
    /// In a large table every step of a search waits for memory. Here each step is taken for all texts before
    /// the next one, so that the processor waits for all of them together.
    pub(crate) fn find_many(&self, texts: &[&str], found: &mut Vec<u32>) {
        found.clear();
        if self.slots.is_empty() {
            found.resize(texts.len(), NONE);
            return;
        }
        let mask = self.slots.len() - 1;
        let hashes: Vec<u64> = texts.iter().map(|text| hash(text)).collect();
        let slots: Vec<u64> = hashes.iter().map(|hash| self.slots[*hash as usize & mask]).collect();
        let number = |(slot, hash): (&u64, &u64)| {
            let number = *slot as u32;
            if *slot != FREE && *slot == entry(number, *hash) { number } else { NONE }
        };
        found.extend(slots.iter().zip(&hashes).map(number));
        let ranges: Vec<std::ops::Range<usize>> = found.iter().map(|number| self.range(*number)).collect();
        // One byte of each, so that the comparisons below find them at hand.
        let bytes = self.bytes.as_bytes();
        let touched = ranges.iter().filter_map(|range| bytes.get(range.start)).fold(0u8, |all, byte| all ^ byte);
        std::hint::black_box(touched);
        for ((number, range), text) in found.iter_mut().zip(ranges).zip(texts) {
            if bytes.get(range) != Some(text.as_bytes()) {
                *number = NONE;
            }
        }
    }

    fn range(&self, number: u32) -> std::ops::Range<usize> {
        let index = number as usize;
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.ends.get(index).map_or(0..0, |end| start..*end)
    }

    /// The number of the text, or the slot where it belongs.
    fn probe(&self, text: &str, hash: u64) -> Result<u32, usize> {
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            let found = self.slots[slot];
            if found == FREE {
                return Err(slot);
            }
            let number = found as u32;
            if found == entry(number, hash) && self.text(number) == text {
                return Ok(number);
            }
            slot = (slot + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let length = (self.slots.len() * 2).max(64);
        self.slots = vec![FREE; length];
        for number in 0..self.ends.len() as u32 {
            let hash = hash(self.text(number));
            let mut slot = hash as usize & (length - 1);
            while self.slots[slot] != FREE {
                slot = (slot + 1) & (length - 1);
            }
            self.slots[slot] = entry(number, hash);
        }
    }
}

fn entry(number: u32, hash: u64) -> u64 {
    (hash & 0xffff_ffff_0000_0000) | u64::from(number)
}

/// Always the same for a text, so that nothing ever depends on chance.
fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(text.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equal_texts_have_equal_numbers(texts in proptest::collection::vec("[ab]{0,6}", 0..300)) {
            let mut interner = Interner::default();
            let numbers: Vec<u32> = texts.iter().map(|text| interner.intern(text).unwrap()).collect();
            for (text, number) in texts.iter().zip(&numbers) {
                prop_assert_eq!(interner.text(*number), text);
                prop_assert_eq!(interner.find(text), Some(*number));
            }
            let all: Vec<&str> = texts.iter().map(String::as_str).chain(["c"]).collect();
            let mut found = Vec::new();
            interner.find_many(&all, &mut found);
            for (index, found) in found.into_iter().enumerate() {
                prop_assert!(found == NONE || found == numbers[index]);
            }
            let distinct: std::collections::BTreeSet<&String> = texts.iter().collect();
            prop_assert_eq!(interner.len(), distinct.len());
            prop_assert_eq!(interner.find("c"), None);
        }
    }
}
