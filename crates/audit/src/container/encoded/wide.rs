//! Texts in letters of two bytes, of which one is zero: what they stand for is read as of any other text.

use super::{Encoded, Look, SAMPLE, Sample, Scan};

pub(super) fn may_be(sample: &Sample<'_>) -> bool {
    zeros(sample.bytes).is_some()
}

/// Which of two bytes is the one that is zero, where it is so for all letters and the others are none that no text has.
fn zeros(bytes: &[u8]) -> Option<usize> {
    (0..2).find(|zero| {
        let mut pairs = bytes.chunks_exact(2);
        pairs.all(|pair| pair[*zero] == 0 && matches!(pair[1 - *zero], b'\t' | b'\n' | b'\r' | 0x20..=0x7e))
    })
}

/// Reads the text that the sample is in.
pub(super) fn read(look: &Look<'_>) -> Result<Encoded, usize> {
    let Look { bytes, probe, floor, most, .. } = *look;
    let Some(zero) = zeros(&bytes[probe..(probe + SAMPLE).min(bytes.len())]) else { return Err(probe) };
    let is_letter = |pair: &[u8]| zeros(pair) == Some(zero);
    let before = bytes[floor..probe].rchunks_exact(2).take_while(|pair| is_letter(pair)).count();
    let start = probe - 2 * before;
    let text: Vec<u8> = bytes[start..]
        .chunks_exact(2)
        .take(most)
        .take_while(|pair| is_letter(pair))
        .map(|pair| pair[1 - zero])
        .collect();
    let end = start + 2 * text.len();
    let found = Scan::new(&text, 0..text.len()).next(most);
    match found {
        Some(found) => {
            let range = start + 2 * found.range.start..start + 2 * found.range.end;
            Ok(Encoded { range, ..found })
        }
        None => Err(end.max(probe + 1)),
    }
}
