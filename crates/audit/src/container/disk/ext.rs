//! ext2, ext3 and ext4: folders name inodes, and an inode says where its content lies, by a tree of extents or by tables of
//! blocks. Everything is borrowed from the image.
//!
//! Written by hand: the crate ext4-view panics on damage (the number of entries in the first block of an indexed folder is
//! used before its checksum is checked), reserves as much memory as a damaged field says, and takes a table of blocks that
//! lies in a hole for damage. Its journal is not played back; an image that needs that is a gap.

use super::{DEEPEST, First, Ledger, Pieces, Step, too_deep};
use crate::container::{Kind, Walk, broken, little, unsupported};
use crate::finding::{Gap, Place};
use std::collections::HashSet;
use std::ops::Range;
use std::rc::Rc;

/// Features without which an image cannot be read as it is here: everything but types in folders, extents, 64 bits, a second
/// mount, flexible groups, attributes in inodes of their own, the seed of checksums, large folders, and names in any case.
/// Encryption is of single files.
const KNOWN: u64 = 0x2 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x2000 | 0x4000 | 0x1_0000 | 0x2_0000;
const RECOVERY: u64 = 0x4;
/// Flags of an inode.
const ENCRYPTED: u64 = 0x800;
const EXTENTS: u64 = 0x8_0000;
const INLINE: u64 = 0x1000_0000;
/// The folder at the top.
const ROOT: u64 = 2;
/// No folder lies in more pieces.
const MOST_PIECES: usize = 1 << 14;

/// Where things are in an image.
struct Image<'a> {
    bytes: &'a [u8],
    ledger: &'a Ledger,
    block: usize,
    inodes: u64,
    inodes_per_group: u64,
    inode_size: usize,
    descriptors: usize,
    descriptor_size: usize,
}

/// What an inode says.
struct Inode<'a> {
    mode: u64,
    size: u64,
    flags: u64,
    /// The root of the tree of extents, or the first numbers of blocks.
    root: &'a [u8],
}

impl Walk<'_> {
    pub(super) fn ext(&mut self, place: &Place, bytes: &[u8], ledger: &Ledger) -> Result<(), Gap> {
        let mut first = First::default();
        let image = Image::new(bytes, ledger, &mut first)?;
        let mut seen = HashSet::from([ROOT]);
        let mut open = vec![(ROOT, None::<Rc<Step>>)];
        while let Some((number, step)) = open.pop() {
            let blocks = match image.inode(number).and_then(|inode| image.folder(&inode)) {
                Ok(blocks) => blocks,
                Err(gap) => {
                    first.add(gap);
                    continue;
                }
            };
            for block in blocks {
                let Some(block) = bytes.get(block) else {
                    first.add(broken("a folder lies beyond the end of the image"));
                    continue;
                };
                ledger.take(0..block.len()).map_err(broken)?;
                for entry in entries(block) {
                    let Some((number, name)) = entry else {
                        first.add(broken("a folder is damaged"));
                        break;
                    };
                    if matches!(name, b"." | b"..") {
                        continue;
                    }
                    ledger.take(0..64).map_err(broken)?;
                    // What has two names is read once.
                    if !seen.insert(number) {
                        continue;
                    }
                    let inode = match image.inode(number) {
                        Ok(inode) => inode,
                        Err(gap) => {
                            first.add(gap);
                            continue;
                        }
                    };
                    match inode.mode >> 12 {
                        4 => {
                            self.count()?;
                            let step = Step::new(step.clone(), name);
                            if step.depth >= DEEPEST {
                                first.add(too_deep());
                            } else {
                                open.push((number, Some(step)));
                            }
                        }
                        8 => match image.content(&inode) {
                            Ok(pieces) => {
                                let path = Step::path(step.as_deref(), name);
                                self.pieces(place, bytes, &path, pieces, (Kind::Ext, ledger), &mut first)?;
                            }
                            Err(gap) => first.add(gap),
                        },
                        // Devices, pipes, sockets, and links to other names.
                        1 | 2 | 6 | 10 | 12 => self.count()?,
                        _ => first.add(broken("an inode is of no kind")),
                    }
                }
            }
        }
        first.result()
    }
}

impl<'a> Image<'a> {
    fn new(bytes: &'a [u8], ledger: &'a Ledger, first: &mut First) -> Result<Self, Gap> {
        let damaged = || broken("the first block is damaged");
        let long = |at: usize| little::<4>(bytes, 1024 + at).ok_or_else(damaged);
        let short = |at: usize| little::<2>(bytes, 1024 + at).ok_or_else(damaged);
        let features = long(0x60)?;
        if features & !(KNOWN | RECOVERY) != 0 {
            return Err(unsupported(&format!("ext4 with features {:#x}", features & !(KNOWN | RECOVERY))));
        }
        if features & RECOVERY != 0 {
            first.add(unsupported("ext4 that was not unmounted"));
        }
        let log = long(0x18)?;
        if log > 6 {
            return Err(damaged());
        }
        let block = 1024usize << log;
        let is_old = long(0x4c)? == 0;
        let image = Self {
            bytes,
            ledger,
            block,
            inodes: long(0)?,
            inodes_per_group: long(0x28)?,
            inode_size: if is_old { 128 } else { short(0x58)? as usize },
            descriptors: (long(0x14)? as usize + 1) * block,
            descriptor_size: if features & 0x80 == 0 { 32 } else { short(0xfe)? as usize },
        };
        let is_possible = image.inodes_per_group > 0
            && (128..=block).contains(&image.inode_size)
            && (32..=block).contains(&image.descriptor_size);
        if is_possible { Ok(image) } else { Err(damaged()) }
    }

    fn inode(&self, number: u64) -> Result<Inode<'a>, Gap> {
        let read = || {
            let number = number.checked_sub(1).filter(|_| number <= self.inodes)?;
            let group = usize::try_from(number / self.inodes_per_group).ok()?;
            let descriptor = self.descriptors.checked_add(group.checked_mul(self.descriptor_size)?)?;
            let high = if self.descriptor_size < 64 { 0 } else { little::<4>(self.bytes, descriptor + 0x28)? };
            let table = self.at(high << 32 | little::<4>(self.bytes, descriptor + 8)?)?;
            let place = (number % self.inodes_per_group).checked_mul(self.inode_size as u64)?;
            let begin = table.checked_add(usize::try_from(place).ok()?)?;
            let inode = self.bytes.get(begin..begin.checked_add(128)?)?;
            let size = little::<4>(inode, 0x6c)? << 32 | little::<4>(inode, 4)?;
            Some(Inode {
                mode: little::<2>(inode, 0)?,
                size,
                flags: little::<4>(inode, 0x20)?,
                root: &inode[0x28..0x64],
            })
        };
        read().ok_or_else(|| broken("an inode lies nowhere"))
    }

    /// Where a block begins; nothing lies in the first one, whose number means that there is none.
    fn at(&self, number: u64) -> Option<usize> {
        usize::try_from(number).ok().filter(|number| *number > 0)?.checked_mul(self.block)
    }

    /// The blocks of a folder.
    fn folder(&self, inode: &Inode<'_>) -> Result<impl Iterator<Item = Range<usize>> + use<>, Gap> {
        let pieces = self.content(inode)?;
        let Some(ranges) = pieces.ranges().filter(|ranges| ranges.len() <= MOST_PIECES) else {
            return Err(broken("a folder has holes or lies in too many pieces"));
        };
        let block = self.block;
        Ok(ranges.into_iter().flat_map(move |range| {
            range.clone().step_by(block).map(move |at| at..range.end.min(at.saturating_add(block)))
        }))
    }

    /// Where the content of an inode lies.
    fn content(&self, inode: &Inode<'_>) -> Result<Pieces, Gap> {
        if inode.flags & ENCRYPTED != 0 {
            return Err(unsupported("encrypted ext4"));
        }
        if inode.flags & INLINE != 0 {
            return Err(unsupported("ext4 with files inside inodes"));
        }
        // No sound file has more pieces than the image has blocks.
        let mut pieces = Pieces::new(inode.size, self.bytes.len() / self.block + 16);
        if inode.flags & EXTENTS != 0 {
            self.extents(inode.root, 5, &mut pieces)?;
        } else {
            for number in 0..12 {
                self.blocks(little::<4>(inode.root, 4 * number).unwrap_or(0), 0, &mut pieces)?;
            }
            for level in 1..=3 {
                let at = 4 * (11 + level as usize);
                self.blocks(little::<4>(inode.root, at).unwrap_or(0), level, &mut pieces)?;
            }
        }
        pieces.end()
    }

    /// Adds what a node of a tree of extents says, and all below it. Depths go down, so that no tree goes on for ever.
    fn extents(&self, node: &[u8], deepest: u64, pieces: &mut Pieces) -> Result<(), Gap> {
        let damaged = || broken("a tree of extents is damaged");
        let field = |at: usize| little::<2>(node, at).ok_or_else(damaged);
        let (count, depth) = (field(2)? as usize, field(6)?);
        if field(0)? != 0xf30a || depth > deepest {
            return Err(damaged());
        }
        for row in 1..=count {
            let row = node.get(12 * row..12 * row + 12).ok_or_else(damaged)?;
            let value = |at: usize, size: usize| {
                row[at..at + size].iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte))
            };
            self.ledger.take(0..64).map_err(broken)?;
            pieces.zeros_until(value(0, 4) * self.block as u64)?;
            if depth == 0 {
                let (length, start) = (value(4, 2), value(6, 2) << 32 | value(8, 4));
                // Longer ones are kept for the file, and nothing was written there.
                if length > 0x8000 {
                    pieces.zeros((length - 0x8000) * self.block as u64)?;
                } else {
                    pieces.add(self.at(start).ok_or_else(damaged)?, length as usize * self.block)?;
                }
                continue;
            }
            let begin = self.at(value(8, 2) << 32 | value(4, 4)).ok_or_else(damaged)?;
            let below = self.bytes.get(begin..begin.saturating_add(self.block)).ok_or_else(damaged)?;
            self.ledger.take(0..self.block).map_err(broken)?;
            self.extents(below, depth - 1, pieces)?;
        }
        Ok(())
    }

    /// Adds a block, or those that a table says, or a table of tables. Where there is none, there are zeros.
    fn blocks(&self, number: u64, level: u32, pieces: &mut Pieces) -> Result<(), Gap> {
        let damaged = || broken("a table of blocks is damaged");
        if pieces.is_full() {
            return Ok(());
        }
        let per_table = self.block as u64 / 4;
        if number == 0 {
            return pieces.zeros(per_table.pow(level) * self.block as u64);
        }
        let begin = self.at(number).ok_or_else(damaged)?;
        self.ledger.take(0..64).map_err(broken)?;
        if level == 0 {
            return pieces.add(begin, self.block);
        }
        let table = self.bytes.get(begin..begin.saturating_add(self.block)).ok_or_else(damaged)?;
        self.ledger.take(0..self.block).map_err(broken)?;
        for at in (0..table.len()).step_by(4) {
            self.blocks(little::<4>(table, at).ok_or_else(damaged)?, level - 1, pieces)?;
        }
        Ok(())
    }
}

/// The inode and the name of each entry of a block of a folder; nothing, once, where it is damaged. What indexes a folder
/// looks like entries that are not used.
fn entries(block: &[u8]) -> impl Iterator<Item = Option<(u64, &[u8])>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < block.len() {
            let entry = (|| {
                let (number, length) = (little::<4>(block, at)?, little::<2>(block, at + 4)? as usize);
                // Sixteen bits are too few for the largest blocks.
                let length = if matches!(length, 0 | 0xffff) { 1 << 16 } else { length };
                let name = block.get(at + 8..at + 8 + usize::from(*block.get(at + 6)?))?;
                let is_sound = length >= 8 + name.len() && at + length <= block.len();
                is_sound.then_some((number, length, name))
            })();
            let Some((number, length, name)) = entry else {
                at = block.len();
                return Some(None);
            };
            at += length;
            if number != 0 {
                return Some(Some((number, name)));
            }
        }
        None
    })
}
