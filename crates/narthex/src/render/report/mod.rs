//! The compliance report: HTML for people, SPDX and CycloneDX for other programs, and a notice that goes with what is
//! published.
//!
//! Documents are written as streams. The same report gives the same bytes: the time in it is the report's own, and
//! numbers that only one document may have are drawn from what it says.

mod cyclonedx;
mod html;
mod notice;
mod page;
mod spdx;
#[cfg(test)]
mod tests;

pub(crate) use notice::text_file;

use narthex_closure::NarHash;
use narthex_farm::{ComplianceReport, Notices, Presence, ReportPath};
use narthex_policy::{Date, Verdict};
use narthex_text::Clean;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Writes the page. In all documents foreign text is made harmless, wherever they go: files are shown on terminals, too.
pub(crate) fn page(report: &ComplianceReport, out: &mut dyn Write) -> io::Result<()> {
    clean(narthex_text::lines, out, &|out| page::page(report, out))
}

/// Writes the SPDX document.
pub(crate) fn spdx(report: &ComplianceReport, out: &mut dyn Write) -> io::Result<()> {
    clean(narthex_text::json, out, &|out| spdx::spdx(report, out))
}

/// Writes the CycloneDX document.
pub(crate) fn cyclonedx(report: &ComplianceReport, out: &mut dyn Write) -> io::Result<()> {
    clean(narthex_text::json, out, &|out| cyclonedx::cyclonedx(report, out))
}

/// Writes the notice, with the texts or with the names of their files.
pub(crate) fn notice(
    report: &ComplianceReport,
    notices: &Notices,
    with_texts: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    clean(narthex_text::lines, out, &|out| notice::notice(report, notices, with_texts, out))
}

fn clean(
    by: fn(&str) -> String,
    out: &mut dyn Write,
    write: &dyn Fn(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut clean = Clean::new(out, by);
    write(&mut clean)?;
    clean.finish()
}

/// How a program that reads a report calls the one that wrote it.
const TOOL: &str = "narthex";

/// Its version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A time in UTC, as RFC 3339 has it.
fn time(seconds: u64) -> String {
    let (minutes, second) = (seconds / 60, seconds % 60);
    let (hours, minute) = (minutes / 60, minutes % 60);
    format!("{}T{:02}:{minute:02}:{second:02}Z", Date::of_unix_time(seconds), hours % 24)
}

/// A UUID whose digits say what a document says: version 8 of RFC 9562.
fn uuid(mut digest: [u8; 16]) -> String {
    digest[6] = digest[6] & 0x0f | 0x80;
    digest[8] = digest[8] & 0x3f | 0x80;
    let hex = hex(&digest);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn nar_hex(hash: NarHash) -> String {
    hex(hash.to_nix_hash().digest_as_bytes())
}

/// What a report is about.
fn scope(report: &ComplianceReport) -> String {
    match report.roots.as_slice() {
        [] => "the whole cache".to_owned(),
        [root] => format!("{} and what it refers to", report.paths[*root].path.name()),
        roots => format!("{} paths and what they refer to", roots.len()),
    }
}

/// Paths that nothing else in the report refers to, or those that were asked for.
fn roots(report: &ComplianceReport) -> Vec<usize> {
    if !report.roots.is_empty() {
        return report.roots.clone();
    }
    let mut referred = vec![false; report.paths.len()];
    for place in report.paths.iter().flat_map(|path| &path.references) {
        referred[*place] = true;
    }
    (0..report.paths.len()).filter(|place| !referred[*place]).collect()
}

/// A purl of the type for what has no registered type of its own, as store paths have none.
fn purl(name: &str, version: &str) -> String {
    let encoded = |text: &str| -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~".contains(&byte);
        text.bytes()
            .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
            .collect()
    };
    let version = if version.is_empty() { String::new() } else { format!("@{}", encoded(version)) };
    format!("pkg:generic/{}{version}", encoded(name))
}

/// What became of a path, in a word or a few.
fn standing(path: &ReportPath) -> &'static str {
    match (path.verdict, path.presence) {
        (Verdict::Publish, Presence::Published(_)) => "published",
        (Verdict::Publish, _) => "permitted, not in the cache",
        (Verdict::Withhold, Presence::NotTakenBack) => "withheld, not yet taken back",
        (Verdict::Withhold, _) => "withheld",
    }
}

/// Somebody's material, by its package and its file: what several paths may have inside.
type Material<'r> = (&'r str, &'r str);

/// All material of a report, in order, with its terms' id and title where they are known.
fn materials(report: &ComplianceReport) -> BTreeMap<Material<'_>, Option<(&str, &str)>> {
    let mut found = BTreeMap::new();
    for inclusion in report.paths.iter().flat_map(ReportPath::inclusions) {
        let terms = inclusion.evidence.terms.as_ref().map(|terms| (terms.id.as_str(), terms.title.as_str()));
        let known = found.entry(material(inclusion.evidence)).or_insert(None);
        *known = known.or(terms);
    }
    found
}

fn material(evidence: &narthex_policy::Evidence) -> Material<'_> {
    let file = evidence.original.as_deref().or(evidence.driver.as_deref()).unwrap_or("");
    (evidence.package.as_deref().unwrap_or("a vendor's package that is not known"), file)
}

/// A list that is made while it is written.
struct Stream<F>(F);

impl<F, I> Serialize for Stream<F>
where
    F: Fn() -> I,
    I: IntoIterator,
    I::Item: Serialize,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}
