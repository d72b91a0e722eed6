//! Anchors: 16 bytes of a function that no relocation touches, found by their hash.
//!
//! A scan looks at every 16-byte window of the code. A bit field says for nearly all of them at
//! once that they are no anchor; only the rest are looked up.

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

/// Anchors, ready for a scan.
#[derive(Debug)]
pub(crate) struct AnchorIndex {
    /// Which anchors there may be.
    filter: Filter,
    /// Anchor and number of the function, sorted.
    entries: Vec<(u32, u32)>,
    /// Where the entries begin whose anchor has these highest bits.
    buckets: Vec<u32>,
    bucket_shift: u32,
}

impl Default for AnchorIndex {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl AnchorIndex {
    /// Takes anchors with the numbers of their functions.
    pub(crate) fn new(mut entries: Vec<(u32, u32)>) -> Self {
        entries.sort_unstable();
        let filter = Filter::new(entries.len(), entries.iter().map(|(anchor, _)| *anchor));
        let bucket_bits = entries.len().max(2).next_power_of_two().trailing_zeros().min(22);
        let bucket_shift = 32 - bucket_bits;
        let mut buckets = vec![0u32; (1 << bucket_bits) + 1];
        for (anchor, _) in &entries {
            buckets[(anchor >> bucket_shift) as usize + 1] += 1;
        }
        for bucket in 1..buckets.len() {
            buckets[bucket] += buckets[bucket - 1];
        }
        Self { filter, entries, buckets, bucket_shift }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether some function may have this anchor.
    #[inline]
    pub(crate) fn may_have(&self, anchor: u32) -> bool {
        self.filter.may_have(anchor)
    }

    /// The functions that have this anchor.
    pub(crate) fn candidates(&self, anchor: u32) -> &[(u32, u32)] {
        let bucket = (anchor >> self.bucket_shift) as usize;
        let entries = &self.entries[self.buckets[bucket] as usize..self.buckets[bucket + 1] as usize];
        let start = entries.partition_point(|(known, _)| *known < anchor);
        let length = entries[start..].partition_point(|(known, _)| *known == anchor);
        &entries[start..start + length]
    }
}

/// Says of most hashes at once that they are not among those that it was made of.
#[derive(Debug)]
pub(crate) struct Filter {
    bits: Vec<u64>,
    shift: u32,
    count: usize,
}

impl Filter {
    /// Takes the highest 32 bits of hashes.
    pub(crate) fn new(count: usize, hashes: impl Iterator<Item = u32>) -> Self {
        // 32 bits a hash let about three others in a hundred through.
        let bit_count = (count * 32).next_power_of_two().clamp(1 << 16, 1 << 28);
        let shift = 32 - bit_count.trailing_zeros();
        let mut bits = vec![0u64; bit_count / 64];
        for hash in hashes {
            let bit = (hash >> shift) as usize;
            bits[bit / 64] |= 1 << (bit % 64);
        }
        Self { bits, shift, count }
    }

    /// Whether it was made of nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[inline]
    pub(crate) fn may_have(&self, hash: u32) -> bool {
        let bit = (hash >> self.shift) as usize;
        self.bits[bit / 64] & (1 << (bit % 64)) != 0
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
    fn all_functions_of_one_anchor_are_candidates() {
        let index = AnchorIndex::new(vec![(7, 1), (u32::MAX, 2), (7, 3), (0, 4)]);
        let numbers = |anchor| {
            assert!(index.may_have(anchor) || index.candidates(anchor).is_empty());
            index.candidates(anchor).iter().map(|(_, n)| *n).collect::<Vec<_>>()
        };
        assert_eq!(numbers(7), [1, 3]);
        assert_eq!(numbers(u32::MAX), [2]);
        assert_eq!(numbers(0), [4]);
        assert_eq!(numbers(8), [0u32; 0]);
        assert!(AnchorIndex::default().candidates(7).is_empty());
    }

    #[test]
    fn padding_is_not_distinctive() {
        assert!(!distinctive(&[0xcc; WINDOW]));
        assert!(distinctive(b"0123456789abcdef"));
    }
}
