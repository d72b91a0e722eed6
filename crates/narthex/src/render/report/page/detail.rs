//! The second half of the page: evidence, terms, how the files were examined, and what words mean.
//!
//! Everything above it rests on what stands here.

use super::{Page, SHOWN, anchor, is_detailed};
use crate::render::report::{nar_hex, standing};
use crate::render::text::{count, size};
use narthex_farm::{ReportPath, ReportReason};
use std::io;

/// Pieces of evidence shown for one reason, and items of each list in one.
const PIECES: usize = 40;

impl Page<'_, '_> {
    pub(super) fn evidence(&mut self) -> io::Result<()> {
        let report = self.report;
        self.section("evidence")?;
        self.html.paragraph(
            "For each path that is withheld, or has a vendor’s material inside: every reason, and what it rests on. The first \
             reason decides.",
        )?;
        let paths: Vec<&ReportPath> = report.paths.iter().filter(|path| is_detailed(path)).collect();
        for path in paths.iter().take(SHOWN) {
            self.details(path)?;
        }
        if paths.len() > SHOWN {
            self.html.paragraph(&format!(
                "{} more are not shown here: the report of a single package shows its own, and so does `narthex why`.",
                paths.len() - SHOWN
            ))?;
        }
        Ok(())
    }

    fn details(&mut self, path: &ReportPath) -> io::Result<()> {
        self.html.fixed("<section>")?;
        self.html.heading("h3", &anchor(path), &format!("{}: {}", path.path.name(), standing(path)))?;
        self.html.fixed("<dl>")?;
        self.term("Path", &path.path.to_string())?;
        if let (Some(output), Some(deriver)) = (&path.output, &path.deriver) {
            self.term("Made by", &format!("output “{output}” of {deriver}"))?;
        }
        if let Some(attr) = &path.attr {
            self.term("Attribute", attr)?;
        }
        self.term("Declared license", path.license.as_deref().unwrap_or("none of its own"))?;
        self.term("Decided under", &format!("the policy “{}”", path.policy))?;
        self.term("Size, and SHA-256 of its archive", &format!("{}, {}", size(path.nar_size), nar_hex(path.nar_hash)))?;
        self.html.close("dl")?;
        self.html.fixed("<ol>")?;
        for reason in &path.reasons {
            self.reason(reason)?;
        }
        self.html.close("ol")?;
        self.html.close("section")
    }

    fn reason(&mut self, reason: &ReportReason) -> io::Result<()> {
        self.html.fixed("<li><strong>")?;
        self.html.text(reason.code.as_str())?;
        self.html.fixed("</strong> ")?;
        self.html.text(&format!("({}, {}): {}", reason.source.as_str(), reason.effect.verb(), reason.message))?;
        let shown = &reason.evidence[..reason.evidence.len().min(PIECES)];
        if !shown.is_empty() {
            self.html.fixed("<ul>")?;
            for evidence in shown {
                self.html.fixed("<li><code>")?;
                self.html.text(&evidence.place)?;
                self.html.fixed("</code>")?;
                if let (Some(original), Some(package)) = (&evidence.original, &evidence.package) {
                    self.html.text(&format!(": {original} of {package}"))?;
                }
                let details = evidence.details(PIECES);
                if !details.is_empty() {
                    self.html.list(details)?;
                }
                self.html.fixed("</li>")?;
            }
            let more = reason.left_out + reason.evidence.len() - shown.len();
            if more > 0 {
                self.html.element("li", &format!("… and {more} more"))?;
            }
            self.html.fixed("</ul>")?;
        }
        self.html.fixed("</li>\n")
    }

    pub(super) fn terms(&mut self) -> io::Result<()> {
        let report = self.report;
        self.section("terms")?;
        if report.terms.is_empty() {
            return self.html.paragraph("None had a part in these decisions.");
        }
        self.html.paragraph(
            "What a vendor’s license allows file by file was written down by people who read these texts. The texts are known \
             by the SHA-256 of their normal form: every run of blanks is one space. They are not part of this report.",
        )?;
        for document in &report.terms {
            self.html.element("h3", &document.title)?;
            if document.texts.is_empty() {
                self.html.paragraph("No text of it is named.")?;
                continue;
            }
            self.html.table("Texts that were read.", &["Releases", "SHA-256", "Note"])?;
            for (release, hash, note) in &document.texts {
                self.html.row_head()?;
                self.html.text(release)?;
                self.html.fixed("</th><td><code>")?;
                self.html.text(&hash.to_string())?;
                self.html.fixed("</code></td><td>")?;
                self.html.text(note.as_deref().unwrap_or(""))?;
                self.html.fixed("</td></tr>\n")?;
            }
            self.html.end_table()?;
        }
        Ok(())
    }

    pub(super) fn audit(&mut self) -> io::Result<()> {
        let report = self.report;
        self.section("audit")?;
        self.html.paragraph(
            "Every file of every path was compared with fingerprints of vendors’ files: whole files, parts of them, and code \
             that was built into other programs, also inside archives. What could not be read to its end is named as a reason.",
        )?;
        let unread = report.paths.iter().filter(|path| path.audited.is_none()).count();
        self.html
            .table("Which fingerprints and which version of the examination.", &["Fingerprints", "Version", "Paths"])?;
        for audit in &report.audits {
            self.html.row_head()?;
            self.html.fixed("<code>")?;
            self.html.text(&audit.corpus)?;
            self.html.fixed("</code>")?;
            self.html.text(if audit.is_as(&report.current) { " (today’s)" } else { " (older)" })?;
            self.html.fixed("</th><td>")?;
            self.html.text(&audit.scanner.to_string())?;
            self.html.fixed("</td><td class=\"number\">")?;
            self.html.text(&audit.paths.to_string())?;
            self.html.fixed("</td></tr>\n")?;
        }
        self.html.end_table()?;
        let older = report.paths.len() - unread - report.current.paths;
        if older > 0 {
            self.html.paragraph(&format!(
                "{} examined with other fingerprints than today’s: `narthex audit --recheck` examines what is published again.",
                were(older)
            ))?;
        }
        if unread > 0 {
            self.html.paragraph(&format!("Of {} no examination is on record.", count(unread, "path")))?;
        }
        Ok(())
    }

    pub(super) fn words(&mut self) -> io::Result<()> {
        self.section("words")?;
        self.html.fixed("<dl>")?;
        for (word, meaning) in [
            (
                "path",
                "One result of building or fetching something: a folder or a file in the Nix store, known by a hash.",
            ),
            ("published", "It is in the cache, and everybody who can reach the cache can download it."),
            (
                "withheld",
                "It is not in the cache. What may not be passed on is withheld, and so is what is not known well enough.",
            ),
            (
                "declared license",
                "What the package set says. Names that begin with LicenseRef- are not on SPDX’s list.",
            ),
            ("vendor’s terms", "A license that permits some files to be passed on and others not, under conditions."),
            ("copy, modified copy", "A file that is a vendor’s, byte for byte, or that was made from one."),
            (
                "static code",
                "A vendor’s code that was built into a program, so that it is a part of the program’s own file.",
            ),
            ("device code", "Code for graphics processors."),
        ] {
            self.term(word, meaning)?;
        }
        self.html.close("dl")
    }

    fn term(&mut self, term: &str, meaning: &str) -> io::Result<()> {
        self.html.element("dt", term)?;
        self.html.element("dd", meaning)
    }
}

fn were(number: usize) -> String {
    if number == 1 { "1 path was".to_owned() } else { format!("{number} paths were") }
}
