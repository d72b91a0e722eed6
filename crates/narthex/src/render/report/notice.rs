//! The notice: what is published, the texts that go with it, and the conditions of vendors' terms that travel along.
//!
//! Nothing that is withheld is named in it. A text that is no plain text is named and not shown.

use super::{TOOL, VERSION, scope, time};
use crate::render::text::{count, visible};
use narthex_farm::{ComplianceReport, NoticeText, Notices, PackageNotice, ReportPath, TextOrigin};
use narthex_license::spdx::about as about_license;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// Writes the notice. With `inline`, texts stand at its end, otherwise in files beside it.
pub(super) fn notice(
    report: &ComplianceReport,
    notices: &Notices,
    inline: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (packages, texts) = (notices.packages.len(), notices.texts.len());
    writeln!(
        out,
        "NOTICE\n\nfor {}: {} of a Nix binary cache, {}.",
        visible(&scope(report)),
        count(packages, "published path"),
        count(texts, "license text")
    )?;
    writeln!(out, "Made by {TOOL} {VERSION} at {}. Not legal advice.", time(report.created))?;
    conditions(report, out)?;
    writeln!(
        out,
        "\n\nPACKAGES\n\nWith each stands the license that it declares, and the texts that go with it, by their numbers{}.",
        if inline { " below" } else { "" }
    )?;
    for package in &notices.packages {
        write_package(report, notices, package, inline, out)?;
    }
    missing(report, notices, out)?;
    if inline {
        writeln!(out, "\n\nLICENSE TEXTS")?;
        for (place, text) in notices.texts.iter().enumerate() {
            writeln!(out, "\n{}\n[{}] {}\n{}\n", "=".repeat(80), place + 1, about(text), "-".repeat(80))?;
            write_text(text, out)?;
        }
    }
    Ok(())
}

/// By terms, since several packages share the conditions of one vendor.
fn conditions(report: &ComplianceReport, out: &mut dyn Write) -> io::Result<()> {
    let mut by_terms: BTreeMap<&str, (&[String], Vec<&ReportPath>)> = BTreeMap::new();
    for path in report.paths.iter().filter(|path| path.is_published()) {
        for (title, conditions) in report.conditions_of(path) {
            by_terms.entry(title).or_insert((conditions, Vec::new())).1.push(path);
        }
    }
    if by_terms.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\n\nVENDORS' MATERIAL INSIDE\n\nThese packages have a vendor's files or code inside, which the vendor's terms permit to be passed on\nunder conditions. The conditions hold for everybody who passes the packages on."
    )?;
    for (title, (conditions, paths)) in by_terms {
        writeln!(out, "\n{}", visible(title))?;
        for document in report.terms.iter().filter(|document| document.title == title) {
            for (release, hash, _) in &document.texts {
                writeln!(out, "  text of {}: SHA-256 of its normal form\n    {hash}", visible(release))?;
            }
        }
        writeln!(out, "  conditions:")?;
        for condition in conditions {
            writeln!(out, "  - {}", visible(condition))?;
        }
        writeln!(out, "  in:")?;
        for path in paths {
            for inclusion in path.inclusions() {
                let evidence = inclusion.evidence;
                if evidence.terms.as_ref().is_none_or(|terms| terms.title == title) {
                    let (package, file) = super::material(evidence);
                    let clause = evidence
                        .clause
                        .as_deref()
                        .map(|clause| format!(", permitted by {}", visible(clause)))
                        .unwrap_or_default();
                    writeln!(
                        out,
                        "  - {}: {}\n    {} of {}{clause}",
                        visible(path.path.name()),
                        visible(&evidence.place),
                        visible(file),
                        visible(package)
                    )?;
                }
            }
        }
    }
    Ok(())
}

fn write_package(
    report: &ComplianceReport,
    notices: &Notices,
    package: &PackageNotice,
    inline: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    let path = &report.paths[package.path];
    let license = match (&path.license, path.deciding()) {
        (Some(license), _) => visible(license),
        (None, Some(reason)) => format!("none of its own; {}", visible(&reason.message)),
        (None, None) => "none of its own".to_owned(),
    };
    writeln!(out, "\n{}\n  {}\n  license: {license}", visible(path.path.name()), path.path)?;
    let number = |place: usize| {
        if inline {
            format!("[{}]", place + 1)
        } else {
            format!("[{}] license-texts/{}", place + 1, text_file(&notices.texts[place], place))
        }
    };
    for carried in &package.carried {
        let file = if carried.file.is_empty() { path.path.name() } else { &carried.file };
        writeln!(out, "  {} {}", number(carried.text), visible(file))?;
    }
    for place in &package.standard {
        writeln!(
            out,
            "  {} standard text; the package carries none, and who holds the copyright is not stated",
            number(*place)
        )?;
    }
    for file in &package.too_long {
        writeln!(out, "  {}: too long to be taken in here", visible(file))?;
    }
    if package.unlisted {
        writeln!(out, "  its files could not be listed")?;
    }
    Ok(())
}

/// What a notice should have and has not.
fn missing(report: &ComplianceReport, notices: &Notices, out: &mut dyn Write) -> io::Result<()> {
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in &notices.packages {
        for license in &package.missing {
            missing.entry(license).or_default().push(report.paths[package.path].path.name());
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\n\nTEXTS THAT ARE MISSING\n\nThe packages carry no text of these licenses, and SPDX's list has none. Add them before you pass this on.\n"
    )?;
    for (license, packages) in missing {
        writeln!(out, "{}: {}", visible(license), visible(&packages.join(", ")))?;
        if let Some((name, url)) = about_license(license) {
            let place = url.map(|url| format!(", {url}")).unwrap_or_default();
            writeln!(out, "  in nixpkgs: {name}{place}")?;
        }
    }
    Ok(())
}

fn about(text: &NoticeText) -> String {
    match &text.origin {
        TextOrigin::Package(name) => visible(name),
        TextOrigin::Standard(id) => format!("{id}, the standard text of SPDX's list"),
    }
}

/// A text as a terminal or an editor may show it. What is no text is not shown.
fn write_text(text: &NoticeText, out: &mut dyn Write) -> io::Result<()> {
    if text.bytes.contains(&0) || text.bytes.starts_with(b"%PDF") {
        return writeln!(
            out,
            "(no plain text: {} bytes; SHA-256 of its normal form {})",
            text.bytes.len(),
            text.sha256
        );
    }
    let shown = String::from_utf8_lossy(&text.bytes);
    for line in shown.strip_prefix('\u{feff}').unwrap_or(&shown).trim_end().lines() {
        writeln!(out, "{}", visible(line).trim_end())?;
    }
    Ok(())
}

/// The name of the file that a text has beside the notice.
pub(crate) fn text_file(text: &NoticeText, place: usize) -> String {
    let name = match &text.origin {
        TextOrigin::Package(name) => name.as_str(),
        TextOrigin::Standard(id) => id.as_str(),
    };
    let harmless = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = name.chars().map(harmless).take(80).collect();
    let ending = match text.origin {
        TextOrigin::Standard(_) => ".txt",
        TextOrigin::Package(_) => "",
    };
    format!("{}-{name}{ending}", place + 1)
}
