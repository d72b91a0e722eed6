//! Zip, and so wheels, jars and whatever else is one.
//!
//! Every entry of the directory is opened, also those whose name another entry has; what it does not name is searched for.

use super::beside::{Ended, Queue};
use super::content::{Content, IN_MEMORY};
use super::image::crc32;
use super::{DECODER_MEMORY, Kind, Walk, broken, compressed, little, shown_name, unsupported};
use crate::finding::{Gap, Place};
use flate2::{Decompress, FlushDecompress, Status};
use liblzma::{bufread::XzDecoder, stream::Stream};
use memchr::memmem;
use rawzip::{CompressionMethod as Method, ZipArchive, ZipSliceArchive, ZipSliceEntry};
use std::io::Read;
use std::ops::Range;

impl Walk<'_> {
    pub(super) fn zip(&mut self, place: &Place, bytes: &[u8]) -> Result<(), Gap> {
        let archive = match ZipArchive::from_slice(bytes) {
            Ok(archive) => archive,
            // Without a directory each entry still says itself what it is, the first one too.
            Err(error) => {
                self.gap(place.clone(), broken(error));
                self.carve(place, bytes, 0..bytes.len());
                return Ok(());
            }
        };
        if is_one_of_several(bytes, archive.eocd_offset() as usize) {
            return Err(unsupported("multi-disk zip"));
        }
        let mut read = Vec::new();
        let whole = self.entries(place, bytes, &archive, &mut read);
        if whole.as_ref().is_err_and(|gap| !matches!(gap, Gap::BrokenArchive(_) | Gap::UnsupportedArchive(_))) {
            return whole;
        }
        // What the directory leaves out, for damage or not, is searched for: entries, and whatever else stands between those
        // that it names.
        self.carve_rest(place, bytes, read);
        if let Err(gap) = whole {
            self.gap(place.clone(), gap);
        }
        Ok(())
    }

    /// Shows the entries of the directory, and says where they lie.
    fn entries(
        &mut self,
        place: &Place,
        bytes: &[u8],
        archive: &ZipSliceArchive<&[u8]>,
        read: &mut Vec<Range<usize>>,
    ) -> Result<(), Gap> {
        let show = |walk: &mut Walk<'_>, entry: &Entry<'_>| walk.zip_entry(place, entry);
        let mut queue = Queue::new(&show);
        // The field has two bytes where the archive has no larger ones.
        let (stated, mut count) = (archive.entries_hint(), 0);
        let mut entries = archive.entries();
        let end = loop {
            let header = match entries.next_entry() {
                Ok(Some(header)) => header,
                // More entries than are stated are seen as well.
                Ok(None) if count >= stated => break Ok(()),
                Ok(None) => break Err(broken("entries are missing")),
                // In Firefox's archives the directory stands first, and contents follow it.
                Err(_) if count > 0 && count % (1 << 16) == stated % (1 << 16) => break Ok(()),
                Err(error) => break Err(broken(error)),
            };
            count += 1;
            let is_folder = header.is_dir() && header.uncompressed_size_hint() == 0;
            if !is_folder && header.flags().is_encrypted() {
                break Err(unsupported("encrypted zip"));
            }
            let entry = match archive.get_entry(header.wayfinder()) {
                Err(_) if is_folder => continue,
                Err(error) => break Err(broken(error)),
                Ok(entry) => entry,
            };
            read.push(range_of(bytes, entry.data(), header.local_header_offset()));
            if is_folder {
                continue;
            }
            let size = header.uncompressed_size_hint();
            let entry = Entry {
                name: shown_name(header.file_path().as_ref()),
                method: header.compression_method(),
                size,
                crc: header.crc32(),
                entry,
                read: read.len(),
            };
            self.show(&mut queue, entry, size).map_err(|ended| cut_off(read, ended))?;
        };
        self.show_queued(&mut queue).map_err(|ended| cut_off(read, ended))?;
        end
    }

    fn zip_entry(&mut self, place: &Place, entry: &Entry<'_>) -> Result<(), Gap> {
        let (name, data) = (entry.name.clone(), entry.entry.data());
        if entry.method == Method::STORE {
            self.member(place, name, data, Kind::Zip)?;
            if data.len() as u64 != entry.size || crc32(data) != entry.crc {
                return Err(broken("an entry is not what its checksum says"));
            }
            return Ok(());
        }
        let window = window(entry.method, data);
        if entry.method == Method::DEFLATE
            && let Some(content) = self.inflate_at_once(data, entry, window)
        {
            self.count()?;
            self.take(&content, window);
            self.content(&place.member(name), &content, Kind::Zip);
            self.release(content);
            return Ok(());
        }
        let reader = decoder(entry.method, data, entry.size)?;
        self.window = window;
        self.unpacked(place, name, entry.entry.verifying_reader(reader), Kind::Zip)
    }

    /// Inflates an entry that is small and as the directory says, within all bounds; whatever is not is read piece by piece.
    fn inflate_at_once(&mut self, data: &[u8], entry: &Entry<'_>, window: u64) -> Option<Content> {
        let (size, crc) = (entry.size, entry.crc);
        let memory = self.limits.memory.checked_sub(self.live + window)?;
        let most = self.limits.member_bytes.min(self.bytes_left).min(memory).min(IN_MEMORY as u64);
        // Deflated data stands for up to 1,032 times its size.
        if size > most || size > (data.len() as u64).saturating_mul(1032) {
            return None;
        }
        let held = Content::room(size as usize)?;
        let mut content = Vec::with_capacity(size as usize);
        let inflate = self.inflate.get_or_insert_with(|| Decompress::new(false));
        inflate.reset(false);
        let status = inflate.decompress_vec(data, &mut content, FlushDecompress::Finish);
        let is_whole = matches!(status, Ok(Status::StreamEnd)) && content.len() as u64 == size;
        (is_whole && crc32(&content) == crc).then(|| Content::held(content, held))
    }
}

/// An entry of the directory.
struct Entry<'a> {
    name: String,
    method: Method,
    size: u64,
    crc: u32,
    entry: ZipSliceEntry<'a>,
    /// How many ranges were read with it.
    read: usize,
}

/// Takes back what was read behind the entry that ended the archive.
fn cut_off(read: &mut Vec<Range<usize>>, (entry, gap): Ended<Entry<'_>>) -> Gap {
    read.truncate(entry.read);
    gap
}

/// Where an entry lies: its data, and the header before it.
fn range_of(bytes: &[u8], data: &[u8], stated: u64) -> Range<usize> {
    let begin = (data.as_ptr() as usize).saturating_sub(bytes.as_ptr() as usize);
    let stated = usize::try_from(stated).unwrap_or(usize::MAX);
    let is_header = |rest: &[u8]| rest.starts_with(LOCAL) && local_length(rest) == begin.checked_sub(stated);
    if bytes.get(stated..).is_some_and(is_header) {
        return stated..begin + data.len();
    }
    let before = begin.saturating_sub(30 + 2 * usize::from(u16::MAX));
    let mut headers = memmem::rfind_iter(&bytes[before..begin], LOCAL).map(|at| before + at);
    let header = headers.find(|at| local_length(&bytes[*at..]) == Some(begin - at));
    header.unwrap_or(begin)..begin + data.len()
}

/// The mark of an entry.
const LOCAL: &[u8] = b"PK\x03\x04";

/// How long the header of an entry is.
fn local_length(bytes: &[u8]) -> Option<usize> {
    Some(30 + little::<2>(bytes, 26)? as usize + little::<2>(bytes, 28)? as usize)
}

/// What an entry says of itself, without a directory.
pub(super) struct Local {
    pub(super) name: String,
    pub(super) method: Method,
    pub(super) encrypted: bool,
    /// Size of its data, where the header knows it.
    pub(super) packed: Option<usize>,
    pub(super) unpacked: u64,
    /// Where its data begins, counted from the header.
    pub(super) data: usize,
}

/// Reads the header of an entry, if its fields are possible.
pub(super) fn local(bytes: &[u8]) -> Option<Local> {
    let rest = bytes.strip_prefix(LOCAL)?;
    let (version, flags, method) = (little::<2>(rest, 0)?, little::<2>(rest, 2)?, little::<2>(rest, 4)?);
    let name_length = little::<2>(bytes, 26)? as usize;
    let data = local_length(bytes).filter(|data| *data <= bytes.len())?;
    let name = bytes.get(30..30 + name_length)?;
    let usual = matches!(method, 0 | 8 | 9 | 12 | 14 | 93 | 95 | 98 | 99);
    let is_sound = version & 0xff <= 63 && usual && !name.is_empty() && name.iter().all(|byte| *byte >= b' ');
    if !is_sound {
        return None;
    }
    let (packed, mut unpacked) = (little::<4>(bytes, 18)?, little::<4>(bytes, 22)?);
    let mut size = (flags & 8 == 0 || packed > 0).then_some(packed);
    // Larger sizes stand in a field behind the name.
    if packed == 0xffff_ffff || unpacked == 0xffff_ffff {
        let extra = &bytes[30 + name_length..data];
        (unpacked, size) = match little::<2>(extra, 0) {
            Some(1) => (little::<8>(extra, 4)?, Some(little::<8>(extra, 12)?)),
            _ => (unpacked, None),
        };
    }
    let packed = size.and_then(|size| usize::try_from(size).ok());
    let method = Method::from(method as u16);
    Some(Local { name: shown_name(name), method, encrypted: flags & 1 != 0, packed, unpacked, data })
}

/// How much is stored where only what stands behind it says so: it has to agree with where it stands.
pub(super) fn stored(rest: &[u8]) -> Option<usize> {
    const DESCRIPTOR: &[u8] = b"PK\x07\x08";
    memmem::find_iter(rest, DESCRIPTOR).find(|at| {
        let is_short = little::<4>(rest, at + 8) == Some(*at as u64) && little::<4>(rest, at + 12) == Some(*at as u64);
        let is_long = || little::<8>(rest, at + 8) == Some(*at as u64);
        is_short || is_long()
    })
}

pub(super) fn decoder(method: Method, data: &[u8], size: u64) -> Result<Box<dyn Read + '_>, Gap> {
    Ok(match method {
        Method::STORE => Box::new(data),
        Method::DEFLATE => Box::new(flate2::bufread::DeflateDecoder::new(data)),
        Method::DEFLATE64 => Box::new(deflate64::Deflate64Decoder::with_buffer(data)),
        Method::BZIP2 => Box::new(bzip2::bufread::BzDecoder::new(data)),
        Method::ZSTD => Box::new(zstd::stream::read::Decoder::with_buffer(data).map_err(broken)?),
        Method::XZ => {
            Box::new(XzDecoder::new_stream(data, Stream::new_stream_decoder(DECODER_MEMORY, 0).map_err(broken)?))
        }
        Method::LZMA => lzma(data, size)?,
        other => return Err(unsupported(&format!("zip (method {other})"))),
    })
}

/// How much of what it unpacked the reader of an entry keeps.
fn window(method: Method, data: &[u8]) -> u64 {
    match method {
        Method::XZ => compressed::window(data, Kind::Xz),
        Method::ZSTD => compressed::window(data, Kind::Zstd),
        Method::BZIP2 => compressed::window(data, Kind::Bzip2),
        // Four bytes are before the properties.
        Method::LZMA => compressed::window(data.get(4..).unwrap_or_default(), Kind::Lzma),
        _ => compressed::window(data, Kind::Zlib),
    }
}

/// LZMA stands in a zip behind a version and the length of its properties, and without the size that
/// begins a file of it.
fn lzma(data: &[u8], size: u64) -> Result<Box<dyn Read + '_>, Gap> {
    let (Some([_, _, 5, 0]), Some(properties), Some(rest)) = (data.first_chunk(), data.get(4..9), data.get(9..)) else {
        return Err(broken("the properties of LZMA are missing"));
    };
    let header = std::io::Cursor::new([properties, &size.to_le_bytes()].concat());
    let stream = Stream::new_lzma_decoder(DECODER_MEMORY).map_err(broken)?;
    Ok(Box::new(XzDecoder::new_stream(header.chain(rest), stream)))
}

/// Whether the end record says that the archive goes over several files.
fn is_one_of_several(bytes: &[u8], end: usize) -> bool {
    // The full number stands elsewhere where all bits are set.
    let disk = |at| little::<2>(bytes, end + at).is_some_and(|disk| disk != 0 && disk != 0xffff);
    disk(4) || disk(6)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{cuts_are_gaps, flips_do_no_harm, gaps_of, noise, opens, see, zipped};
    use super::*;
    use crate::Limits;

    /// Each was made by 7-Zip from `a.txt` with that method.
    const METHODS: [(&str, &[u8]); 4] = [
        ("deflate64", include_bytes!("../../tests/data/deflate64.zip")),
        ("bzip2", include_bytes!("../../tests/data/bzip2.zip")),
        ("lzma", include_bytes!("../../tests/data/lzma.zip")),
        ("xz", include_bytes!("../../tests/data/xz.zip")),
    ];
    const ENCRYPTED: &[u8] = include_bytes!("../../tests/data/encrypted.zip");
    const PPMD: &[u8] = include_bytes!("../../tests/data/ppmd.zip");

    /// A zip with entries that are compressed already.
    fn raw(entries: &[(&str, Method, &[u8], &[u8])]) -> Vec<u8> {
        let mut archive = rawzip::ZipArchiveWriter::new(Vec::new());
        for (name, method, packed, content) in entries {
            let (mut entry, config) = archive
                .new_file(rawzip::path::EntryPath::verbatim(name.as_bytes()))
                .compression_method(*method)
                .start()
                .unwrap();
            let mut sums = config.wrap(std::io::sink());
            std::io::Write::write_all(&mut sums, content).unwrap();
            let (_, descriptor) = sums.finish().unwrap();
            std::io::Write::write_all(&mut entry, packed).unwrap();
            entry.finish(descriptor).unwrap();
        }
        archive.finish().unwrap()
    }

    #[test]
    fn all_usual_methods_are_read() {
        for (name, bytes) in METHODS {
            opens(name, bytes, &["a.txt"]);
            cuts_are_gaps(name, bytes, 30);
            flips_do_no_harm(name, bytes);
        }
        let packed = zstd::encode_all(&b"content"[..], 1).unwrap();
        opens("x.zip", &raw(&[("a", Method::ZSTD, &packed, b"content")]), &["a"]);
    }

    #[test]
    fn entries_of_one_name_are_all_seen() {
        let twice = raw(&[("a", Method::STORE, b"1", b"1"), ("a", Method::STORE, b"2", b"2")]);
        opens("x.zip", &twice, &["a", "a"]);
        let hidden = raw(&[("a/", Method::STORE, b"1", b"1")]);
        opens("x.zip", &hidden, &["a/"]);
    }

    #[test]
    fn a_directory_that_stands_first_is_read() {
        let usual = zipped("a", b"content");
        let (local, end) = usual.split_at(usual.len() - 22);
        let directory = little::<4>(end, 16).unwrap() as usize;
        let (local, directory) = local.split_at(directory);
        let (mut directory, mut end) = (directory.to_vec(), end.to_vec());
        let first = 4 + directory.len() + 22;
        directory[42..46].copy_from_slice(&(first as u32).to_le_bytes());
        end[16..20].copy_from_slice(&4u32.to_le_bytes());
        opens("omni.ja", &[b"\0\0\0\0".as_slice(), &directory, &end, local, &end].concat(), &["a"]);
    }

    #[test]
    fn what_is_not_read_is_a_gap() {
        let gap = |bytes: &[u8]| see("x", bytes, Limits::default()).gaps.pop().unwrap().1.to_string();
        assert_eq!(gap(ENCRYPTED), "encrypted zip archives are not opened");
        assert_eq!(gap(PPMD), "zip (method 98 (PPMD)) archives are not opened");
        let mut several = zipped("a", b"1");
        let end = several.len() - 22;
        several[end + 4] = 1;
        assert_eq!(gap(&several), "multi-disk zip archives are not opened");
        let mut fewer = zipped("a", b"1");
        (fewer[end + 8], fewer[end + 10]) = (2, 2);
        assert!(gap(&fewer).ends_with("entries are missing"));
        let mut other = raw(&[("a", Method::STORE, b"1", b"2")]);
        assert!(gap(&other).contains("read to its end"), "{}", gap(&other));
        other.truncate(other.len() - 1);
        assert!(!gap(&other).is_empty());
    }

    /// Each entry says what it is as well: without the end record, or behind one that is damaged, they are found by that.
    #[test]
    fn without_its_end_the_entries_are_read_by_their_headers() {
        let content = noise(3000);
        let packed = {
            let mut deflated = flate2::read::DeflateEncoder::new(content.as_slice(), flate2::Compression::fast());
            let mut bytes = Vec::new();
            deflated.read_to_end(&mut bytes).unwrap();
            bytes
        };
        let whole = raw(&[("a.bin", Method::STORE, &content, &content), ("b.bin", Method::DEFLATE, &packed, &content)]);
        let see_names = |bytes: &[u8]| {
            let seen = see("x.zip", bytes, Limits::default());
            let names: Vec<&str> = seen.blobs.iter().filter_map(|name| name.rsplit('!').next()).skip(1).collect();
            (names.join(" "), seen.gaps.len())
        };
        assert_eq!(see_names(&whole), ("a.bin b.bin".to_owned(), 0));
        assert_eq!(see_names(&whole[..whole.len() - 22]), ("a.bin b.bin".to_owned(), 1), "no end record");
        let mut wrong = whole.clone();
        let at = memmem::find(&wrong, b"PK\x01\x02").unwrap();
        wrong[at + 42] = 0xee;
        let (names, gaps) = see_names(&wrong);
        assert!(names.contains("a.bin") && names.contains("b.bin") && gaps > 0, "{names} {gaps}");
    }

    #[test]
    fn damage_and_bounds_are_gaps() {
        let bytes = zipped("a", &noise(3000));
        cuts_are_gaps("x.zip", &bytes, 30);
        flips_do_no_harm("x.zip", &zipped("a", b"content"));
        let limits = Limits { member_bytes: 1000, ..Limits::default() };
        assert_eq!(gaps_of("x.zip", &bytes, limits), [("x.zip".to_owned(), Gap::TooLarge(1000))]);
    }
}
