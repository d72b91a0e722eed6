//! FAT with 12, 16 and 32 bits, as boot partitions and floppy disks have it: a table says of each cluster which one follows.
//!
//! Written by hand: the crate fatfs computes with 32 bits what an image says, and a damaged one goes beyond them.

use super::{DEEPEST, First, Ledger, Pieces, Step, too_deep};
use crate::container::{Kind, Walk, broken, little};
use crate::finding::{Gap, Place};
use std::collections::HashSet;
use std::rc::Rc;

/// Bytes of an entry of a folder.
const ENTRY: usize = 32;
/// Folders have at most so many entries.
const MOST: usize = 1 << 16;

/// Where things are in an image.
struct Image<'a> {
    bytes: &'a [u8],
    ledger: &'a Ledger,
    /// Bits of an entry of the table.
    bits: usize,
    table: usize,
    /// Bytes of a cluster, where the first one lies, and how many there are.
    cluster: usize,
    data: usize,
    clusters: u64,
}

/// What an entry of a folder says.
struct Entry {
    name: Vec<u8>,
    is_folder: bool,
    first: u64,
    size: u64,
}

/// A folder of which the first cluster is known, or the one at the top, which may lie before them.
enum Folder {
    At(u64),
    Top(usize, usize),
}

impl Walk<'_> {
    pub(super) fn fat(&mut self, place: &Place, bytes: &[u8], ledger: &Ledger) -> Result<(), Gap> {
        let mut first = First::default();
        let (image, top) = Image::new(bytes, ledger).ok_or_else(|| broken("the first sector is damaged"))?;
        let mut seen = HashSet::new();
        let mut open = vec![(top, None::<Rc<Step>>)];
        while let Some((folder, step)) = open.pop() {
            let pieces = match folder {
                // A folder that is in two others is read once.
                Folder::At(start) if !seen.insert(start) => continue,
                Folder::At(start) => image.chain(start, None),
                Folder::Top(begin, size) => {
                    let mut pieces = Pieces::new(size as u64, 1);
                    pieces.add(begin, size).and_then(|()| pieces.end())
                }
            };
            let ranges = match pieces {
                Ok(pieces) => pieces.ranges().unwrap_or_default(),
                Err(gap) => {
                    first.add(gap);
                    continue;
                }
            };
            let mut entries = Entries { image: &image, long: Vec::new(), is_over: false };
            for range in ranges {
                let range = range.start.min(bytes.len())..range.end.min(bytes.len());
                ledger.take(range.clone()).map_err(broken)?;
                for record in bytes[range].chunks_exact(ENTRY) {
                    let Some(entry) = entries.read(record) else { continue };
                    if !entry.is_folder {
                        let pieces = match image.chain(entry.first, Some(entry.size)) {
                            Ok(pieces) => pieces,
                            Err(gap) => {
                                first.add(gap);
                                continue;
                            }
                        };
                        let path = Step::path(step.as_deref(), &entry.name);
                        self.pieces(place, bytes, &path, pieces, (Kind::Fat, ledger), &mut first)?;
                        continue;
                    }
                    self.count()?;
                    let step = Step::new(step.clone(), &entry.name);
                    if step.depth >= DEEPEST {
                        first.add(too_deep());
                    } else {
                        open.push((Folder::At(entry.first), Some(step)));
                    }
                }
            }
            if !entries.is_over && image.is_cut() {
                first.add(broken("a folder goes on beyond the end of the image"));
            }
        }
        first.result()
    }
}

impl<'a> Image<'a> {
    fn new(bytes: &'a [u8], ledger: &'a Ledger) -> Option<(Self, Folder)> {
        let byte = |at: usize| bytes.get(at).map(|byte| usize::from(*byte));
        let short = |at: usize| little::<2>(bytes, at).map(|value| value as usize);
        let long = |at: usize| little::<4>(bytes, at).map(|value| value as usize);
        let or = |short: usize, long: usize| if short == 0 { long } else { short };
        let (sector, cluster) = (short(11)?, byte(13)?);
        let is_large = short(22)? == 0;
        let table_sectors = or(short(22)?, long(36)?);
        let top_sectors = (short(17)? * ENTRY).div_ceil(sector.max(1));
        let top = short(14)? + byte(16)? * table_sectors;
        let data = top + top_sectors;
        let all = or(short(19)?, long(32)?);
        if !(512..=4096).contains(&sector) || cluster == 0 || table_sectors == 0 || all < data {
            return None;
        }
        let clusters = ((all - data) / cluster) as u64;
        // Which table is the one that is used, if they are not all alike.
        let flags = if is_large { short(40)? } else { 0 };
        let used = if flags & 0x80 == 0 { 0 } else { flags & 15 };
        let image = Self {
            bytes,
            ledger,
            bits: if is_large {
                32
            } else if clusters < 4085 {
                12
            } else {
                16
            },
            table: (short(14)? + used * table_sectors) * sector,
            cluster: cluster * sector,
            data: data * sector,
            clusters,
        };
        let folder =
            if is_large { Folder::At(long(44)? as u64) } else { Folder::Top(top * sector, short(17)? * ENTRY) };
        Some((image, folder))
    }

    fn is_cut(&self) -> bool {
        self.data as u64 + self.clusters * self.cluster as u64 > self.bytes.len() as u64
    }

    /// The cluster behind another one; nothing if it is the last.
    fn next(&self, cluster: u64) -> Result<Option<u64>, Gap> {
        let damaged = || broken("the table of clusters is damaged");
        let place = usize::try_from(cluster).ok().and_then(|cluster| cluster.checked_mul(self.bits));
        let place = place.and_then(|bit| self.table.checked_add(bit / 8)).ok_or_else(damaged)?;
        let value = match self.bits {
            12 => little::<2>(self.bytes, place)
                .map(|pair| if cluster.is_multiple_of(2) { pair & 0xfff } else { pair >> 4 }),
            16 => little::<2>(self.bytes, place),
            _ => little::<4>(self.bytes, place).map(|value| value & 0xfff_ffff),
        };
        let value = value.ok_or_else(damaged)?;
        let last = (1u64 << self.bits.min(28)) - 8;
        if value >= last { Ok(None) } else { Ok(Some(value)) }
    }

    /// Where the clusters of a file of some size lie, or those of a folder.
    fn chain(&self, first: u64, size: Option<u64>) -> Result<Pieces, Gap> {
        let most = size.unwrap_or((MOST * ENTRY) as u64);
        let mut pieces = Pieces::new(most, self.bytes.len() / self.cluster + 16);
        let mut next = Some(first);
        let mut length = 0;
        while length < most {
            let Some(cluster) = next else {
                if size.is_some() {
                    return Err(broken("a file is shorter than its folder says"));
                }
                break;
            };
            let number = cluster.checked_sub(2).filter(|number| *number < self.clusters);
            let number = number.ok_or_else(|| broken("a chain of clusters leads nowhere"))? as usize;
            self.ledger.take(0..64).map_err(broken)?;
            pieces.add(self.data + number * self.cluster, self.cluster)?;
            length += self.cluster as u64;
            next = self.next(cluster)?;
        }
        let pieces = pieces.cut(length);
        if pieces.overlap() || size.is_none() && next.is_some() {
            return Err(broken("a chain of clusters leads round in circles"));
        }
        Ok(pieces)
    }
}

/// The entries of a folder, of which some have a long name that stands before them in pieces.
struct Entries<'i, 'a> {
    image: &'i Image<'a>,
    long: Vec<u16>,
    /// Whether the one was read behind which there are none.
    is_over: bool,
}

impl Entries<'_, '_> {
    fn read(&mut self, record: &[u8]) -> Option<Entry> {
        self.is_over |= record[0] == 0;
        if self.is_over || record[0] == 0xe5 {
            self.long.clear();
            return None;
        }
        let unit = |at: usize| u16::from_le_bytes([record[at], record[at + 1]]);
        if record[11] & 0x3f == 0x0f {
            // The last piece stands first.
            if record[0] & 0x40 != 0 || self.long.len() > 512 {
                self.long.clear();
            }
            let places = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
            self.long.splice(0..0, places.map(unit));
            return None;
        }
        let long = std::mem::take(&mut self.long);
        if record[11] & 8 != 0 || matches!(&record[..11], b".          " | b"..         ") {
            return None;
        }
        let end = long.iter().position(|unit| *unit == 0).unwrap_or(long.len());
        let name = if end == 0 { short_name(record) } else { String::from_utf16_lossy(&long[..end]).into_bytes() };
        let high = if self.image.bits == 32 { u64::from(unit(20)) << 16 } else { 0 };
        let size = u64::from(unit(30)) << 16 | u64::from(unit(28));
        Some(Entry { name, is_folder: record[11] & 0x10 != 0, first: high | u64::from(unit(26)), size })
    }
}

/// Eight letters and three, of which both may be meant as small ones.
fn short_name(record: &[u8]) -> Vec<u8> {
    let part = |part: &[u8], flag: u8| {
        let part = part.trim_ascii_end();
        if record[12] & flag != 0 { part.to_ascii_lowercase() } else { part.to_vec() }
    };
    let (mut name, ending) = (part(&record[..8], 8), part(&record[8..11], 0x10));
    if name.first() == Some(&5) {
        name[0] = 0xe5;
    }
    if !ending.is_empty() {
        name.push(b'.');
        name.extend(ending);
    }
    name
}
