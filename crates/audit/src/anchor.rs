//! Anchors: 16 bytes of a function that no relocation touches, found by their hash.
//!
//! A scan looks at every 16-byte window of the code. A small table says for nearly all of them at
//! once that they are no anchor; only the rest are looked up.

use crate::chunks;

/// Bytes in an anchor window.
pub(crate) const WINDOW: usize = 16;

/// Hashes a window. Not cryptographic: a hit is a candidate, and the function's whole hash decides.
pub(crate) fn window_hash(window: &[u8; WINDOW]) -> u64 {
    let word = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&window[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    let product = u128::from(word(0) ^ 0x9e37_79b9_7f4a_7c15) * u128::from(word(8) ^ 0xd6e8_feb8_6659_fd93);
    (product as u64) ^ ((product >> 64) as u64)
}

/// Whether a window can tell functions apart: padding and runs of one byte cannot.
pub(crate) fn distinctive(window: &[u8; WINDOW]) -> bool {
    let mut seen = [false; 256];
    window.iter().filter(|byte| !std::mem::replace(&mut seen[usize::from(**byte)], true)).count() >= 6
}

/// What of a window's hash is kept.
pub(crate) fn anchor_of(window: &[u8; WINDOW]) -> u32 {
    (window_hash(window) >> 32) as u32
}

/// One window in so many is sampled.
const SAMPLED: u32 = 16;

/// Whether the content of a window makes it a favoured one. Functions take such a window as their anchor if they
/// have one, so that a scan asks the large table for a few windows only, and a small one for the others.
pub(crate) fn is_sampled(anchor: u32) -> bool {
    anchor.is_multiple_of(SAMPLED)
}

/// What a window can be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Met<'a> {
    /// The anchor of these functions: anchor and number.
    Anchor(&'a [(u32, u32)]),
    /// The begin of a chunk.
    Chunk,
}

/// Windows that are hashed before those among them are looked up that may be anchors.
const BLOCK: usize = 256;

/// Size of the table that stays in the nearest cache. A byte for each entry is asked faster than a bit.
const NEAR: usize = 1 << 15;

/// Anchors, ready for a scan.
#[derive(Debug)]
pub(crate) struct AnchorIndex {
    sampled: Anchors,
    /// The few of functions that have no sampled window.
    others: Anchors,
    /// By an anchor's lowest bits: 1 where it is a sampled one, or one of the others may be.
    near: Box<[u8; NEAR]>,
}

impl Default for AnchorIndex {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

/// Where an anchor stands in [`AnchorIndex::near`].
fn near(anchor: u32) -> usize {
    anchor as usize % NEAR
}

impl AnchorIndex {
    /// Takes anchors with the numbers of their functions.
    pub(crate) fn new(entries: Vec<(u32, u32)>) -> Self {
        let (sampled, others): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(anchor, _)| is_sampled(*anchor));
        let mut table = Box::new([0; NEAR]);
        table.iter_mut().step_by(SAMPLED as usize).for_each(|entry| *entry = 1);
        for (anchor, _) in &others {
            table[near(*anchor)] = 1;
        }
        Self { sampled: Anchors::new(sampled), others: Anchors::new(others), near: table }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sampled.entries.is_empty() && self.others.entries.is_empty()
    }

    /// Calls back with each window of the bytes that tells something: where it begins, and what it is.
    pub(crate) fn each_in(&self, bytes: &[u8], mut found: impl FnMut(usize, Met<'_>)) {
        let mut offsets = [0u8; BLOCK];
        for start in (0..bytes.len()).step_by(BLOCK) {
            let block = &bytes[start..(start + BLOCK + WINDOW - 1).min(bytes.len())];
            // Nothing here depends on what was found, so that no branch is ever guessed wrong.
            let mut count = 0;
            for (offset, window) in block.windows(WINDOW).enumerate() {
                let Some(window) = window.first_chunk::<WINDOW>() else { continue };
                let anchor = anchor_of(window);
                offsets[count % BLOCK] = offset as u8;
                count += usize::from(self.near[near(anchor)]);
            }
            // The same holds here: the words of the large table come from far away, many of them at a time.
            let mut left = 0;
            for index in 0..count {
                let offset = offsets[index];
                let anchor = anchor_at(bytes, start + usize::from(offset));
                offsets[left] = offset;
                left += usize::from(self.table(anchor).filter.may_have(anchor) | chunks::begins(anchor));
            }
            for offset in &offsets[..left] {
                let at = start + usize::from(*offset);
                let anchor = anchor_at(bytes, at);
                if chunks::begins(anchor) {
                    found(at, Met::Chunk);
                }
                let table = self.table(anchor);
                if table.filter.may_have(anchor) {
                    found(at, Met::Anchor(table.candidates(anchor)));
                }
            }
        }
    }

    fn table(&self, anchor: u32) -> &Anchors {
        if is_sampled(anchor) { &self.sampled } else { &self.others }
    }
}

/// What of a window's hash is kept, for the window that begins here. So few are hashed more than once that to keep what
/// came of all would cost more.
fn anchor_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, anchor_of)
}

/// Some anchors.
#[derive(Debug)]
struct Anchors {
    /// Which anchors there may be.
    filter: Filter,
    /// Anchor and number of the function, sorted.
    entries: Vec<(u32, u32)>,
    /// Where the entries begin whose anchor has these highest bits.
    buckets: Vec<u32>,
    bucket_shift: u32,
}

impl Anchors {
    fn new(entries: Vec<(u32, u32)>) -> Self {
        let filter = Filter::new(entries.len(), entries.iter().map(|(anchor, _)| *anchor));
        let bucket_bits = entries.len().max(2).next_power_of_two().trailing_zeros().min(22);
        let bucket_shift = 32 - bucket_bits;
        let bucket = |anchor: u32| (anchor >> bucket_shift) as usize;
        let mut buckets = vec![0u32; (1 << bucket_bits) + 1];
        for (anchor, _) in &entries {
            buckets[bucket(*anchor) + 1] += 1;
        }
        for bucket in 1..buckets.len() {
            buckets[bucket] += buckets[bucket - 1];
        }
        // There are few in each bucket, so that they are sorted as soon as each is in its own.
        let (mut sorted, mut next) = (vec![(0, 0); entries.len()], buckets.clone());
        for entry in entries {
            let next = &mut next[bucket(entry.0)];
            sorted[*next as usize] = entry;
            *next += 1;
        }
        for ends in buckets.windows(2) {
            sorted[ends[0] as usize..ends[1] as usize].sort_unstable();
        }
        let entries = sorted;
        Self { filter, entries, buckets, bucket_shift }
    }

    fn candidates(&self, anchor: u32) -> &[(u32, u32)] {
        let bucket = (anchor >> self.bucket_shift) as usize;
        let entries = &self.entries[self.buckets[bucket] as usize..self.buckets[bucket + 1] as usize];
        let start = entries.partition_point(|(known, _)| *known < anchor);
        let length = entries[start..].partition_point(|(known, _)| *known == anchor);
        &entries[start..start + length]
    }
}

/// Says of most hashes at once that they are not among those that it was made of: a Bloom filter that
/// looks at one word.
#[derive(Debug)]
pub(crate) struct Filter {
    words: Vec<u64>,
    shift: u32,
    count: usize,
}

impl Filter {
    /// Takes the highest 32 bits of hashes.
    pub(crate) fn new(count: usize, hashes: impl Iterator<Item = u32>) -> Self {
        // Three of 11 to 21 bits a hash let at most one other in sixty through. More bits would let fewer through, and would not
        // stay in the second cache.
        let word_count = (count / 6).next_power_of_two().clamp(1 << 8, 1 << 22);
        let shift = 64 - word_count.trailing_zeros();
        let mut filter = Self { words: vec![0; word_count], shift, count };
        for hash in hashes {
            let (word, bits) = filter.place(hash);
            filter.words[word] |= bits;
        }
        filter
    }

    /// Whether it was made of nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[inline]
    pub(crate) fn may_have(&self, hash: u32) -> bool {
        let (word, bits) = self.place(hash);
        self.words[word] & bits == bits
    }

    /// The word that a hash belongs to, and its bits there.
    #[inline]
    fn place(&self, hash: u32) -> (usize, u64) {
        let mixed = u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let bit = |at: u32| 1u64 << (mixed >> at & 63);
        ((mixed >> self.shift) as usize, bit(20) | bit(26) | bit(32))
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self::new(0, std::iter::empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_anchor_is_found_wherever_it_stands() {
        let mut bytes = vec![0; 5 * BLOCK + 7];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        let windows: Vec<u32> = bytes.windows(WINDOW).map(|w| anchor_of(w.first_chunk().unwrap())).collect();
        assert!(windows.iter().any(|anchor| is_sampled(*anchor)));
        let numbered = |anchors: &[u32]| anchors.iter().copied().zip(0..).collect::<Vec<_>>();
        let looked = |index: &AnchorIndex| {
            let mut found = Vec::new();
            index.each_in(&bytes, |at, met| {
                if let Met::Anchor(functions) = met {
                    found.extend(functions.iter().map(|(_, number)| (at, *number)));
                }
            });
            found
        };
        // Every window is an anchor, then every tenth.
        let all: Vec<_> = (0..windows.len()).map(|at| (at, at as u32)).collect();
        assert_eq!(looked(&AnchorIndex::new(numbered(&windows))), all);
        let some: Vec<u32> = windows.iter().copied().step_by(10).collect();
        let tenth: Vec<_> = (0..windows.len()).step_by(10).map(|at| (at, at as u32 / 10)).collect();
        assert_eq!(looked(&AnchorIndex::new(numbered(&some))), tenth);
        assert!(looked(&AnchorIndex::default()).is_empty());
        // Two functions with one anchor.
        assert_eq!(looked(&AnchorIndex::new(vec![(windows[3], 8), (windows[3], 9)])), [(3, 8), (3, 9)]);
    }

    #[test]
    fn a_filter_has_what_it_was_made_of_and_little_else() {
        let hash = |number: u32| (xxhash_rust::xxh3::xxh3_64(&number.to_le_bytes()) >> 32) as u32;
        for count in [1, 1000, 40_000] {
            let filter = Filter::new(count as usize, (0..count).map(hash));
            assert!((0..count).all(|number| filter.may_have(hash(number))));
            let others = (count..count + 100_000).filter(|number| filter.may_have(hash(*number))).count();
            assert!(others < 2000, "{others} of 100000 with {count}");
        }
    }

    #[test]
    fn padding_is_not_distinctive() {
        assert!(!distinctive(&[0xcc; WINDOW]));
        assert!(distinctive(b"0123456789abcdef"));
    }
}
