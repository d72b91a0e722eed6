//! Writes a file of records from lines of text.
//!
//! Each line has fields between tabs, and begins with what it is:
//!
//! - `package`: name, license;
//! - `release`: number of the package, version, platform;
//! - `file`: size, first 16 digits of the SHA-256, path, numbers of the releases that have it there, with commas
//!   between them; a file that lies in several paths has a line for each;
//! - `name`: a file name, the path of such a file, the number of its release, and what the file has to say as well.
//!
//! Numbers count from 0 in the order of the lines. The same lines give the same file, byte by byte.

use super::{PARTS, names, sign};
use std::collections::BTreeMap;

/// A line that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("line {line} is no record: {why}")]
pub struct PackError {
    /// Its number, from 1.
    pub line: usize,
    why: &'static str,
}

/// Texts, each of which is there once.
#[derive(Default)]
struct Texts {
    bytes: Vec<u8>,
    ends: Vec<u8>,
    numbers: BTreeMap<String, u32>,
}

impl Texts {
    fn add(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = self.numbers.len() as u32;
        self.bytes.extend_from_slice(text.as_bytes());
        self.ends.extend_from_slice(&(self.bytes.len() as u32).to_le_bytes());
        self.numbers.insert(text.to_owned(), number);
        number
    }
}

/// A path, and the releases that have a file there.
type Owners = (u32, Vec<u32>);

/// Makes a file of records.
///
/// # Errors
/// [`PackError`] names the first line that cannot be used.
pub fn pack_records(lines: &str) -> Result<Vec<u8>, PackError> {
    let mut texts = Texts::default();
    // Zero stands for no text.
    texts.add("");
    let (mut packages, mut releases) = (Vec::<[u32; 2]>::new(), Vec::<[u32; 3]>::new());
    let mut files: BTreeMap<(u64, u64), Vec<Owners>> = BTreeMap::new();
    let mut named: BTreeMap<String, [u32; 3]> = BTreeMap::new();
    for (line, fields) in lines.lines().enumerate() {
        let wrong = |why| PackError { line: line + 1, why };
        let number = |text: &str, below: usize| {
            let number = text.parse::<u32>().ok().filter(|number| (*number as usize) < below);
            number.ok_or_else(|| wrong("a number is not one of a line before"))
        };
        match fields.split('\t').collect::<Vec<_>>().as_slice() {
            ["package", name, license] => packages.push([texts.add(name), texts.add(license)]),
            ["release", package, version, platform] => {
                releases.push([number(package, packages.len())?, texts.add(version), texts.add(platform)]);
            }
            ["file", size, hash, path, owners] => {
                let size = size.parse().map_err(|_| wrong("the size is no number"))?;
                let hash = u64::from_str_radix(hash, 16).ok().filter(|_| hash.len() == 16);
                // The prefix is read as the scan reads it: from the first bytes of the hash.
                let hash = hash.ok_or_else(|| wrong("the hash has not 16 digits"))?.swap_bytes();
                let owners = owners.split(',').map(|owner| number(owner, releases.len()));
                let mut owners = owners.collect::<Result<Vec<u32>, _>>()?;
                owners.sort_unstable();
                owners.dedup();
                files.entry((size, hash)).or_default().push((texts.add(path), owners));
            }
            ["name", name, path, release, said] => {
                let row = [texts.add(path), number(release, releases.len())?, texts.add(said)];
                // Of names that differ in their versions the last one stands for all.
                named.insert(names::key(name), row);
            }
            _ => return Err(wrong("it has other fields")),
        }
    }
    let (mut rows, mut details) = (Vec::new(), Vec::new());
    for ((size, hash), paths) in files {
        rows.extend_from_slice(&size.to_le_bytes());
        rows.extend_from_slice(&hash.to_le_bytes());
        rows.extend_from_slice(&(details.len() as u32).to_le_bytes());
        put(&mut details, paths.len() as u32);
        for (path, owners) in paths {
            put(&mut details, path);
            put(&mut details, owners.len() as u32);
            let mut before = 0;
            for owner in owners {
                put(&mut details, owner - before);
                before = owner;
            }
        }
    }
    let named: Vec<u32> =
        named.into_iter().flat_map(|(name, [path, release, said])| [texts.add(&name), path, release, said]).collect();
    let table = |numbers: &mut dyn Iterator<Item = u32>| numbers.flat_map(u32::to_le_bytes).collect::<Vec<u8>>();
    let parts: [Vec<u8>; PARTS] = [
        texts.bytes,
        texts.ends,
        table(&mut packages.into_iter().flatten()),
        table(&mut releases.into_iter().flatten()),
        rows,
        details,
        table(&mut named.into_iter()),
    ];
    let (mut body, mut end) = (Vec::new(), (PARTS * 8) as u64);
    for part in &parts {
        end += part.len() as u64;
        body.extend_from_slice(&end.to_le_bytes());
    }
    Ok(sign(&[body, parts.concat()].concat()))
}

fn put(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}
