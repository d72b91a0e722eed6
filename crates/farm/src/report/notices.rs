//! The texts that travel with what is published: those that packages carry, else the standard ones.
//!
//! Texts are read from published NARs only, so that nothing of a withheld path can come into a notice. Archives inside
//! packages are not opened for it.

use super::{ComplianceReport, ReportError, ReportPath};
use narthex_audit::TextHash;
use narthex_cache::{ListedFile, Shelf, State};
use narthex_license::spdx::{Declared, standard_text};
use rayon::prelude::*;
use std::collections::HashMap;

/// A longer file is no license text that anybody reads.
const LONGEST: u64 = 1 << 20;

/// All texts of one path together.
const MOST: u64 = 32 << 20;

/// Paths that are looked into at once.
const BATCH: usize = 256;

/// The texts of what a report says is published.
#[derive(Clone, Debug, Default)]
pub struct Notices {
    /// Each text once, in the order in which packages need them.
    pub texts: Vec<NoticeText>,
    /// A notice for each published path, in the report's order.
    pub packages: Vec<PackageNotice>,
}

/// Where a text comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextOrigin {
    /// A file with this name, in the first package that carries it.
    Package(String),
    /// SPDX's list has it under this name.
    Standard(String),
}

/// One license text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeText {
    /// Where it comes from.
    pub origin: TextOrigin,
    /// SHA-256 of its normal form.
    pub sha256: TextHash,
    /// What it says, as it is in its file.
    pub bytes: Vec<u8>,
}

/// A text that a package carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The file.
    pub file: String,
    /// Its place in the list of texts.
    pub text: usize,
}

/// What is to be said of the texts of one published path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackageNotice {
    /// The path's place in the report's list.
    pub path: usize,
    /// Texts that it carries.
    pub carried: Vec<Carried>,
    /// Standard texts of what it declares, where it carries none, as places in the list of texts.
    pub standard: Vec<usize>,
    /// Licenses that it declares and of which no text is known.
    pub missing: Vec<String>,
    /// Files that are license texts by their names and too long to be taken.
    pub too_long: Vec<String>,
    /// Whether its files could not be listed.
    pub unlisted: bool,
}

/// What was read of one path.
#[derive(Default)]
struct Read {
    files: Vec<(String, Vec<u8>)>,
    too_long: Vec<String>,
    unlisted: bool,
}

/// Gathers the texts of everything that a report says is published.
///
/// # Errors
/// When the folder of objects or a NAR in it cannot be read.
pub fn notices(state: &State, report: &ComplianceReport) -> Result<Notices, ReportError> {
    let shelf = Shelf::of(state);
    let published: Vec<(usize, &ReportPath)> =
        report.paths.iter().enumerate().filter(|(_, path)| path.is_published()).collect();
    let mut notices = Notices::default();
    let mut places: HashMap<TextHash, usize> = HashMap::new();
    for batch in published.chunks(BATCH) {
        let read: Vec<Read> = batch.par_iter().map(|(_, path)| read(&shelf, path)).collect::<Result<_, _>>()?;
        for ((place, path), read) in batch.iter().zip(read) {
            let mut package =
                PackageNotice { path: *place, too_long: read.too_long, unlisted: read.unlisted, ..Default::default() };
            for (file, bytes) in read.files {
                let name = file.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(path.path.name());
                let origin = TextOrigin::Package(name.to_owned());
                let text = keep(&mut notices.texts, &mut places, origin, bytes);
                package.carried.push(Carried { file, text });
            }
            if package.carried.is_empty() {
                standard(path, &mut package, |id, text| {
                    keep(&mut notices.texts, &mut places, TextOrigin::Standard(id.to_owned()), text.into())
                });
            }
            notices.packages.push(package);
        }
    }
    Ok(notices)
}

fn keep(
    texts: &mut Vec<NoticeText>,
    places: &mut HashMap<TextHash, usize>,
    origin: TextOrigin,
    bytes: Vec<u8>,
) -> usize {
    let sha256 = TextHash::of(&bytes);
    *places.entry(sha256).or_insert_with(|| {
        texts.push(NoticeText { origin, sha256, bytes });
        texts.len() - 1
    })
}

/// What a package declares, by the standard texts.
fn standard(path: &ReportPath, package: &mut PackageNotice, mut keep: impl FnMut(&str, &str) -> usize) {
    let Some(said) = &path.license else { return };
    match Declared::read(said) {
        Declared::Expression(expression) => {
            for id in &expression.listed {
                match standard_text(id) {
                    Some(text) => package.standard.push(keep(id, text)),
                    None => package.missing.push(id.clone()),
                }
            }
            package.missing.extend(expression.own);
        }
        Declared::Nothing | Declared::NoAssertion => package.missing.push(said.clone()),
    }
}

fn read(shelf: &Shelf, path: &ReportPath) -> Result<Read, ReportError> {
    let Some(files) = shelf.files(&path.path)? else { return Ok(Read { unlisted: true, ..Read::default() }) };
    let own_name = path.path.name();
    let named = |file: &ListedFile| is_notice(if file.path.is_empty() { own_name } else { &file.path });
    let mut room = MOST;
    let (wanted, too_long): (Vec<ListedFile>, Vec<ListedFile>) = files.into_iter().filter(named).partition(|file| {
        let fits = file.size <= LONGEST && file.size <= room;
        room -= if fits { file.size } else { 0 };
        fits
    });
    let mut read = Read { too_long: too_long.into_iter().map(|file| file.path).collect(), ..Read::default() };
    if wanted.is_empty() {
        return Ok(read);
    }
    // It was there when the report was gathered. If it was taken back since, there is nothing to pass on.
    let Some(nar) = shelf.nar(&path.path, path.nar_hash)? else { return Ok(Read { unlisted: true, ..read }) };
    let contents = shelf.read(&nar, &wanted)?;
    read.files = wanted.into_iter().map(|file| file.path).zip(contents).collect();
    read.files.sort();
    Ok(read)
}

/// Whether a file is, by its name, a text that goes with what it lies beside: a license, a notice, a statement of
/// copyright. It goes further than what the audit holds against terms, since a text too many harms nobody here.
fn is_notice(file: &str) -> bool {
    const WORDS: [&str; 14] = [
        "license",
        "licence",
        "licenses",
        "licences",
        "licensing",
        "unlicense",
        "copying",
        "copying2",
        "copying3",
        "copyright",
        "copyrights",
        "notice",
        "notices",
        "eula",
    ];
    const TEXTS: [&str; 10] = ["", "txt", "text", "md", "markdown", "rst", "html", "htm", "pdf", "rtf"];
    // As in LICENSE.MIT and COPYING.LESSER.
    const KINDS: [&str; 16] = [
        "mit", "bsd", "bsd2", "bsd3", "apache", "apache2", "gpl", "gpl2", "gpl3", "lgpl", "lesser", "lib", "mpl",
        "boost", "zlib", "openssl",
    ];
    let file = file.to_ascii_lowercase();
    let (folder, name) = file.rsplit_once('/').unwrap_or(("", &file));
    let (stem, ending) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()).unwrap_or((name, ""));
    // `LICENSE-2.0` has no ending.
    let ending = if ending.bytes().all(|byte| byte.is_ascii_digit()) { "" } else { ending };
    let has_word = |text: &str| text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| WORDS.contains(&word));
    let in_folder = ["licenses", "licences"].contains(&folder.rsplit('/').next().unwrap_or(""))
        || folder.split('/').any(|part| part == "licenses") && folder.contains("share/licenses");
    let is_text = TEXTS.contains(&ending);
    (has_word(stem) && (is_text || KINDS.contains(&ending))) || (in_folder && is_text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_by_their_names() {
        let check = |file: &str, expected: bool| assert_eq!(is_notice(file), expected, "{file}");
        for file in [
            "LICENSE",
            "share/doc/x/COPYING",
            "share/doc/x/COPYING.LESSER",
            "LICENSE.MIT",
            "LICENSE-APACHE",
            "COPYING3",
            "LICENSE-2.0",
            "NOTICE.md",
            "third-party-licenses.txt",
            "share/licenses/x/apache.txt",
            "lib/x.dist-info/licenses/AUTHORS",
            "lib/x.dist-info/licenses/vendored/LICENSE.rst",
            "debian/copyright",
        ] {
            check(file, true);
        }
        for file in
            ["", "license.py", "bin/licensed", "liblicense.so.1", "share/doc/README", "include/license.h", ".notice"]
        {
            check(file, file == ".notice");
        }
    }
}
