//! ISO 9660, with the names of Rock Ridge or Joliet. Files lie in one piece, so that they are borrowed and take no memory.
//!
//! Written by hand: the crate cdfs takes what the image says for granted with assertions, and brings a file system in user
//! space and a command line with it; hadris-iso has no release yet.

use super::{DEEPEST, First, Ledger, Pieces, Step, too_deep};
use crate::container::{Kind, Walk, broken, little, unsupported};
use crate::finding::{Gap, Place};
use std::collections::HashSet;
use std::ops::Range;
use std::rc::Rc;

/// Descriptors begin behind the bytes that are left to boot loaders, one a sector.
const FIRST: usize = 16;
const SECTOR: usize = 2048;
/// No image has as many descriptors, or as many areas that continue one entry.
const MOST: usize = 64;

/// A folder that is to be read.
struct Folder {
    range: Range<usize>,
    step: Option<Rc<Step>>,
}

/// What an entry of a folder says.
struct Entry {
    name: Vec<u8>,
    range: Range<usize>,
    is_folder: bool,
    /// Whether the next entry is the rest of the same file.
    goes_on: bool,
    /// Why its content cannot be read as it lies.
    special: Option<&'static str>,
}

/// How a tree is written.
#[derive(Clone, Copy)]
struct Tree<'l> {
    block: usize,
    is_joliet: bool,
    ledger: &'l Ledger,
}

impl Walk<'_> {
    pub(super) fn iso(&mut self, place: &Place, bytes: &[u8], ledger: &Ledger) -> Result<(), Gap> {
        let mut first = First::default();
        let (mut folders, mut files) = (HashSet::new(), HashSet::new());
        let mut trees = Vec::new();
        for number in FIRST..FIRST + MOST {
            let Some(descriptor) = bytes.get(number * SECTOR..(number + 1) * SECTOR) else { break };
            match &descriptor[..6] {
                b"\x01CD001" | b"\x02CD001" => {
                    let block = little::<2>(descriptor, 128).unwrap_or(0) as usize;
                    if !block.is_power_of_two() || block < 512 {
                        first.add(broken("its blocks have no size"));
                        continue;
                    }
                    let is_joliet = descriptor[0] == 2 && matches!(&descriptor[88..91], b"%/@" | b"%/C" | b"%/E");
                    let tree = Tree { block, is_joliet, ledger };
                    match tree.entry(bytes, &descriptor[156..190]) {
                        Some(root) => trees.push((tree, root.range)),
                        None => first.add(broken("its root is damaged")),
                    }
                }
                // Files of UDF are in no folder of ISO 9660.
                b"\0NSR02" | b"\0NSR03" => first.add(unsupported("UDF")),
                b"\xffCD001" => {}
                other if other[1..] == *b"CD001" || other[1..] == *b"BEA01" || other[1..] == *b"TEA01" => {}
                _ => break,
            }
        }
        if trees.is_empty() {
            first.add(broken("it has no folders"));
        }
        for (tree, root) in trees {
            let mut open = vec![Folder { range: root, step: None }];
            while let Some(folder) = open.pop() {
                // What two trees have in common, or one has twice, is read once.
                if !folders.insert((folder.range.start, tree.is_joliet)) {
                    continue;
                }
                let Some(listing) = bytes.get(folder.range.clone()) else {
                    first.add(broken("a folder lies beyond the end of the image"));
                    continue;
                };
                ledger.take(0..listing.len()).map_err(broken)?;
                let (mut pieces, mut start) = (no_pieces(bytes), None);
                for entry in tree.entries(bytes, listing) {
                    let Some(entry) = entry else {
                        first.add(broken("a folder is damaged"));
                        break;
                    };
                    ledger.take(0..256).map_err(broken)?;
                    if entry.name == [0] || entry.name == [1] {
                        continue;
                    }
                    if entry.is_folder {
                        self.count()?;
                        let step = Step::new(folder.step.clone(), &entry.name);
                        if step.depth >= DEEPEST {
                            first.add(too_deep());
                        } else {
                            open.push(Folder { range: entry.range, step: Some(step) });
                        }
                        continue;
                    }
                    if let Some(special) = entry.special {
                        first.add(unsupported(special));
                    }
                    let begin = *start.get_or_insert(entry.range.start);
                    pieces.add(entry.range.start, entry.range.len())?;
                    if entry.goes_on {
                        continue;
                    }
                    let found = std::mem::replace(&mut pieces, no_pieces(bytes));
                    start = None;
                    // Links are empty, and stand in all trees but the one that knows links.
                    if found.is_empty() {
                        self.count()?;
                    } else if files.insert((begin, found.len())) {
                        let path = Step::path(folder.step.as_deref(), &entry.name);
                        self.pieces(place, bytes, &path, found, (Kind::Iso, ledger), &mut first)?;
                    }
                }
            }
        }
        first.result()
    }
}

fn no_pieces(bytes: &[u8]) -> Pieces {
    Pieces::new(u64::MAX, bytes.len() / SECTOR + 16)
}

impl Tree<'_> {
    /// The entries of a folder; nothing, once, where it is damaged. None goes over the end of a sector.
    fn entries(self, bytes: &[u8], listing: &[u8]) -> impl Iterator<Item = Option<Entry>> {
        let mut at = 0;
        std::iter::from_fn(move || {
            while at < listing.len() {
                let length = usize::from(listing[at]);
                if length == 0 {
                    at = (at / SECTOR + 1) * SECTOR;
                    continue;
                }
                let entry = listing.get(at..at + length).and_then(|record| self.entry(bytes, record));
                at = if entry.is_some() { at + length } else { listing.len() };
                return Some(entry);
            }
            None
        })
    }

    fn entry(self, bytes: &[u8], record: &[u8]) -> Option<Entry> {
        let field = |at: usize| little::<4>(record, at).map(|value| value as usize);
        let length = usize::from(*record.get(32)?);
        let name = record.get(33..33 + length)?;
        let (flags, is_interleaved) = (record[25], record[26] != 0);
        // Attributes of its own stand before the content of a file.
        let start = (field(2)? + usize::from(record[1])).checked_mul(self.block)?;
        let mut entry = Entry {
            name: name.to_vec(),
            range: start..start.checked_add(field(10)?)?,
            is_folder: flags & 2 != 0,
            goes_on: flags & 0x80 != 0,
            special: is_interleaved.then_some("ISO 9660 with interleaved files"),
        };
        let rest = record.get(33 + length + usize::from(length % 2 == 0)..).unwrap_or_default();
        let is_special_name = matches!(name, [0] | [1]);
        if self.is_joliet && !is_special_name {
            let units = name.chunks_exact(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]]));
            let text = char::decode_utf16(units).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER));
            entry.name = text.collect::<String>().into_bytes();
        } else if !is_special_name {
            self.rock_ridge(bytes, rest, &mut entry);
        }
        // Versions of a file have one number in practice.
        if let Some(name) = entry.name.strip_suffix(b";1") {
            entry.name = name.strip_suffix(b".").unwrap_or(name).to_vec();
        }
        Some(entry)
    }

    /// The name that Rock Ridge gives an entry, and whether its content is compressed.
    fn rock_ridge(self, bytes: &[u8], rest: &[u8], entry: &mut Entry) {
        let (mut area, mut long) = (rest, Vec::new());
        for _ in 0..MOST {
            let mut next = None;
            while let [a, b, length, _, ..] = area {
                let Some(field) = area.get(..usize::from(*length)).filter(|field| field.len() >= 4) else { break };
                match (&[*a, *b], field) {
                    (b"NM", [_, _, _, _, 0 | 1, name @ ..]) => long.extend_from_slice(name),
                    (b"ZF", _) => entry.special = Some("ISO 9660 with compressed files"),
                    (b"CE", _) => {
                        let value = |at: usize| little::<4>(field, at).map(|value| value as usize);
                        next = (|| {
                            let begin = value(4)?.checked_mul(self.block)?.checked_add(value(12)?)?;
                            let area = begin..begin.checked_add(value(20)?.min(SECTOR))?;
                            // Many entries may go on in the same area.
                            self.ledger.take(area.clone()).ok()?;
                            bytes.get(area)
                        })();
                    }
                    _ => {}
                }
                area = &area[field.len()..];
            }
            match next {
                Some(next) => area = next,
                None => break,
            }
        }
        if !long.is_empty() {
            entry.name = long;
        }
    }
}
