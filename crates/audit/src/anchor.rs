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

/// Anchors, ready for a scan.
#[derive(Debug, Default)]
pub(crate) struct AnchorIndex {
    /// Hash and number of the function, sorted.
    entries: Vec<(u64, u32)>,
    bits: Vec<u64>,
    shift: u32,
}

impl AnchorIndex {
    pub(crate) fn new(anchors: impl Iterator<Item = (u64, u32)>) -> Self {
        let mut entries: Vec<_> = anchors.collect();
        entries.sort_unstable();
        // 32 bits an anchor let about three windows in a hundred through.
        let bit_count = (entries.len() * 32).next_power_of_two().max(1 << 16);
        let shift = 64 - bit_count.trailing_zeros();
        let mut bits = vec![0u64; bit_count / 64];
        for (hash, _) in &entries {
            let bit = (hash >> shift) as usize;
            bits[bit / 64] |= 1 << (bit % 64);
        }
        Self { entries, bits, shift }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The numbers of the functions whose anchor has this hash.
    pub(crate) fn candidates(&self, hash: u64) -> &[(u64, u32)] {
        let bit = (hash >> self.shift) as usize;
        if self.bits[bit / 64] & (1 << (bit % 64)) == 0 {
            return &[];
        }
        let start = self.entries.partition_point(|(known, _)| *known < hash);
        let length = self.entries[start..].partition_point(|(known, _)| *known == hash);
        &self.entries[start..start + length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_functions_of_one_anchor_are_candidates() {
        let index = AnchorIndex::new([(7, 1), (u64::MAX, 2), (7, 3)].into_iter());
        let numbers = |hash| index.candidates(hash).iter().map(|(_, n)| *n).collect::<Vec<_>>();
        assert_eq!(numbers(7), [1, 3]);
        assert_eq!(numbers(u64::MAX), [2]);
        assert_eq!(numbers(8), [0u32; 0]);
    }

    #[test]
    fn padding_is_not_distinctive() {
        assert!(!distinctive(&[0xcc; WINDOW]));
        assert!(distinctive(b"0123456789abcdef"));
    }
}
