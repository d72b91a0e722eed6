//! Disks and file systems, most of which is empty.

use super::steer::little;
use narthex_audit::fuzz_container;

/// What a piece lies at a multiple of.
const UNIT: usize = 128;

/// A disk in pieces: the size of all, then of each piece where it lies, its length less one, and its bytes. Places and sizes
/// are two bytes and count units of 128 bytes, lengths are one byte.
pub fn disk(bytes: &[u8]) {
    let Some(size) = little(bytes, 0, 2) else { return };
    let mut disk = vec![0; size as usize * UNIT];
    let mut at = 2;
    while let (Some(place), Some(length)) = (little(bytes, at, 2), little(bytes, at + 2, 1)) {
        let (place, length) = (place as usize * UNIT, length as usize % UNIT + 1);
        at += 3;
        let piece = bytes.get(at..bytes.len().min(at + length)).unwrap_or_default();
        at += length;
        if let Some(target) = disk.get_mut(place..place + piece.len()) {
            target.copy_from_slice(piece);
        }
    }
    fuzz_container(&disk);
}
