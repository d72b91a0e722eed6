//! The report as one HTML page for people who are no programmers: no scripts, nothing from elsewhere, and fit for paper.

mod detail;

use super::html::Html;
use super::{TOOL, VERSION, material, scope, time};
use crate::render::text::size;
use narthex_closure::{StorePath, hash_part};
use narthex_farm::{ComplianceReport, Presence, ReportPath};
use narthex_license::spdx::{Declared, about, own_name, reference};
use narthex_policy::{Code, Evidence, Verdict};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{self, Write};

/// Paths whose evidence is shown in full. A page with more of them would open in no browser.
const SHOWN: usize = 2000;

/// Names in one cell.
const NAMES: usize = 12;

const HEAD: &str = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #1c1c1c; background: #fff; }
h1 { font-size: 1.7rem; line-height: 1.25; } h2 { font-size: 1.3rem; margin-top: 2.5rem; border-bottom: 2px solid #1c1c1c; }
h3 { font-size: 1.05rem; margin: 1.6rem 0 .3rem; } p, li { max-width: 48rem; }
table { border-collapse: collapse; width: 100%; margin: .8rem 0; } caption { text-align: left; color: #555; padding-bottom: .3rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .9rem .3rem 0; border-bottom: 1px solid #ccc; overflow-wrap: anywhere; }
thead th { border-bottom: 2px solid #888; } tbody th { font-weight: 600; } td.number, th.number { text-align: right; white-space: nowrap; min-width: 4.5rem; }
tbody th { min-width: 9rem; } thead th { min-width: 4rem; overflow-wrap: normal; } td.license { min-width: 9rem; }
code { font-size: .9em; overflow-wrap: anywhere; } dt { font-weight: 600; } dd { margin: 0 0 .5rem 1.5rem; overflow-wrap: anywhere; }
.attention { border: 3px solid #a40000; padding: 0 1rem; } .quiet { color: #555; } section { margin: 1rem 0; }
.skip { position: absolute; left: -100rem; } .skip:focus { left: 1rem; }
@media print { body { font-size: 10pt; max-width: none; margin: 0; } nav, .skip { display: none; } h2, h3 { break-after: avoid; }
tr, dl { break-inside: avoid; } thead { display: table-header-group; } a { color: inherit; text-decoration: none; } }
</style>\n<title>";

/// Writes the page.
pub(super) fn page(report: &ComplianceReport, out: &mut dyn Write) -> io::Result<()> {
    let detailed = report.paths.iter().filter(|path| is_detailed(path)).take(SHOWN).map(|path| &path.path).collect();
    let mut page = Page { html: Html::new(out), report, detailed };
    page.write()
}

struct Page<'w, 'r> {
    html: Html<'w>,
    report: &'r ComplianceReport,
    /// Paths whose evidence is shown, which their names lead to.
    detailed: HashSet<&'r StorePath>,
}

impl Page<'_, '_> {
    fn write(&mut self) -> io::Result<()> {
        let report = self.report;
        let title = format!("License report for {}", scope(report));
        self.html.fixed(HEAD)?;
        self.html.text(&title)?;
        self.html.fixed(
            "</title>\n</head>\n<body>\n<a class=\"skip\" href=\"#main\">Skip the contents</a>\n<header>\n<h1>",
        )?;
        self.html.text(&title)?;
        self.html.fixed("</h1>\n")?;
        let policies: BTreeSet<&str> = report.paths.iter().map(|path| path.policy.as_str()).collect();
        let policies: Vec<String> = policies.iter().map(|policy| format!("“{policy}”")).collect();
        self.html.paragraph(&format!(
            "Made by {TOOL} {VERSION} on {} (UTC). Decided under the {} {}.",
            time(report.created).replace('T', " at ").trim_end_matches('Z'),
            if policies.len() == 1 { "policy" } else { "policies" },
            policies.join(", "),
        ))?;
        self.html.paragraph(
            "This report is about a binary cache for the package manager Nix: software that was built and is offered for \
             download. It says of each part whether it is passed on or withheld, and what that decision rests on: the \
             license that is declared, clauses of vendors’ terms, and what was found in the files themselves. Rules that \
             people wrote down were applied by a program. It is not legal advice.",
        )?;
        self.html.fixed("</header>\n<nav aria-label=\"Contents\"><ul>")?;
        for (id, name) in self.sections() {
            self.html.fixed("<li>")?;
            self.html.link(id, name)?;
            self.html.fixed("</li>")?;
        }
        self.html.fixed("</ul></nav>\n<main id=\"main\">\n")?;
        self.attention()?;
        self.summary()?;
        self.inside()?;
        self.conditions()?;
        self.entries()?;
        self.withheld()?;
        self.holes()?;
        self.licenses()?;
        self.published()?;
        self.evidence()?;
        self.terms()?;
        self.audit()?;
        self.words()?;
        self.html.fixed("</main>\n</body>\n</html>\n")
    }

    fn sections(&self) -> [(&'static str, &'static str); 12] {
        [
            ("summary", "Summary"),
            ("inside", "Vendors’ material inside what is published"),
            ("conditions", "Conditions that travel with it"),
            ("entries", "Decisions of the operator"),
            ("withheld", "What is withheld"),
            ("holes", "Withheld parts that published ones need"),
            ("licenses", "Licenses of what is published"),
            ("published", "What is published"),
            ("evidence", "Evidence"),
            ("terms", "Vendors’ terms"),
            ("audit", "How the files were examined"),
            ("words", "Words"),
        ]
    }

    fn section(&mut self, id: &'static str) -> io::Result<()> {
        let name = self.sections().into_iter().find(|(known, _)| *known == id).map_or(id, |(_, name)| name);
        self.html.heading("h2", id, name)
    }

    fn of(&self, verdict: Verdict) -> impl Iterator<Item = &ReportPath> {
        self.report.paths.iter().filter(move |path| path.verdict == verdict)
    }

    /// What somebody has to see to at once.
    fn attention(&mut self) -> io::Result<()> {
        let left: Vec<&ReportPath> =
            self.report.paths.iter().filter(|path| path.presence == Presence::NotTakenBack).collect();
        if left.is_empty() {
            return Ok(());
        }
        self.html.fixed("<section class=\"attention\"><h2>Withheld, and still in the cache</h2>")?;
        self.html.paragraph(
            "These paths may no longer be passed on, and the cache still offers them: a run was ended before it took them \
             back. The next run does.",
        )?;
        self.html.list(left.iter().map(|path| path.path.to_string()))?;
        self.html.close("section")
    }

    fn summary(&mut self) -> io::Result<()> {
        let report = self.report;
        self.section("summary")?;
        self.html.table("Counts; a package can have several paths.", &["What", "Paths", "Size"])?;
        let mut rows = [
            ("published", 0u32, 0u64),
            ("of these, with a vendor’s material inside", 0, 0),
            ("permitted, and not in the cache", 0, 0),
            ("withheld", 0, 0),
        ];
        for path in &report.paths {
            let inside = path.is_published() && path.inclusions().next().is_some();
            let withheld = path.verdict == Verdict::Withhold;
            let fits = [path.is_published(), inside, !withheld && !path.is_published(), withheld];
            for (row, _) in rows.iter_mut().zip(fits).filter(|(_, fits)| *fits) {
                row.1 += 1;
                row.2 = row.2.saturating_add(path.nar_size);
            }
        }
        for (what, number, bytes) in rows {
            self.html.row_head()?;
            self.html.text(what)?;
            self.html.fixed("</th><td class=\"number\">")?;
            self.html.text(&number.to_string())?;
            self.html.fixed("</td><td class=\"number\">")?;
            self.html.text(&size(bytes))?;
            self.html.fixed("</td></tr>\n")?;
        }
        self.html.end_table()?;
        self.deciding()
    }

    /// How many paths each reason decided about, and so by which rule what declares nothing was settled.
    fn deciding(&mut self) -> io::Result<()> {
        let mut counts: BTreeMap<(Verdict, Code), u32> = BTreeMap::new();
        for path in &self.report.paths {
            if let Some(reason) = path.reasons.first() {
                *counts.entry((path.verdict, reason.code)).or_default() += 1;
            }
        }
        self.html.table("The reasons that decided.", &["Reason", "Verdict", "Paths"])?;
        for ((verdict, code), number) in counts {
            self.html.row_head()?;
            self.html.text(code.as_str())?;
            self.html.fixed("</th><td>")?;
            self.html.text(if verdict == Verdict::Publish { "published" } else { "withheld" })?;
            self.html.fixed("</td><td class=\"number\">")?;
            self.html.text(&number.to_string())?;
            self.html.fixed("</td></tr>\n")?;
        }
        self.html.end_table()
    }

    fn inside(&mut self) -> io::Result<()> {
        let report = self.report;
        self.section("inside")?;
        let mut paths = report.paths.iter().filter(|path| path.inclusions().next().is_some()).peekable();
        if paths.peek().is_none() {
            return self.html.paragraph("None was found.");
        }
        self.html.table(
            "Files of published packages that are a vendor’s, or have a vendor’s code in them.",
            &["Package", "File", "What was found", "Permitted by"],
        )?;
        for path in paths {
            for inclusion in path.inclusions() {
                let evidence = inclusion.evidence;
                self.html.row_head()?;
                self.name(path)?;
                self.html.fixed("</th><td><code>")?;
                self.html.text(&evidence.place)?;
                self.html.fixed("</code></td><td>")?;
                self.html.text(&found(evidence))?;
                self.html.fixed("</td><td>")?;
                match (&evidence.terms, &evidence.clause) {
                    (Some(terms), Some(clause)) => self.html.text(&format!("{}, {clause}", terms.title))?,
                    (_, Some(clause)) => self.html.text(clause)?,
                    _ => self.html.text(&format!("the operator’s policy “{}”", path.policy))?,
                }
                self.html.fixed("</td></tr>\n")?;
            }
        }
        self.html.end_table()
    }

    fn conditions(&mut self) -> io::Result<()> {
        let report = self.report;
        self.section("conditions")?;
        let mut by_terms: BTreeMap<&str, (&[String], Vec<&ReportPath>)> = BTreeMap::new();
        for path in &report.paths {
            for (title, conditions) in report.conditions_of(path) {
                by_terms.entry(title).or_insert((conditions, Vec::new())).1.push(path);
            }
        }
        if by_terms.is_empty() {
            return self.html.paragraph("None.");
        }
        self.html.paragraph(
            "The vendors’ terms permit their material to be passed on under these conditions. A program cannot tell whether \
             they are met: that is for people to see to, here and wherever the packages are passed on further.",
        )?;
        for (title, (conditions, paths)) in by_terms {
            self.html.element("h3", title)?;
            self.html.list(conditions)?;
            self.html.fixed("<p>They hold for ")?;
            self.names(&paths)?;
            self.html.fixed(".</p>\n")?;
        }
        Ok(())
    }

    fn entries(&mut self) -> io::Result<()> {
        let report = self.report;
        self.section("entries")?;
        let entries = report.entries();
        if entries.is_empty() {
            return self.html.paragraph(
                "None of these decisions rests on a correction, an exception, a grant, a rule or a review of the operator’s own.",
            );
        }
        self.html.table(
            "Entries of the policy that had a part in decisions, with who answers for them and until when.",
            &["Kind", "Entry", "About"],
        )?;
        for entry in entries {
            self.html.row_head()?;
            self.html.text(match entry.code {
                Code::PolicyCorrection => "correction",
                Code::PolicyException => "exception",
                Code::PolicyGrant => "grant",
                Code::PolicyExpired => "has ended",
                Code::PolicyReview => "review",
                _ => "rule",
            })?;
            self.html.fixed("</th><td>")?;
            self.html.text(entry.message)?;
            self.html.fixed("</td><td>")?;
            let paths: Vec<&ReportPath> = entry.paths.iter().map(|place| &report.paths[*place]).collect();
            self.names(&paths)?;
            self.html.fixed("</td></tr>\n")?;
        }
        self.html.end_table()
    }

    fn withheld(&mut self) -> io::Result<()> {
        self.section("withheld")?;
        self.html.paragraph(
            "These paths were built or fetched on the operator’s machine and are not in the cache; their names, sizes and \
             recipes are public. Where terms permit a part of one inside another package, it stands above.",
        )?;
        self.listing(Verdict::Withhold, "Withheld paths, and the reason that decides.")
    }

    fn published(&mut self) -> io::Result<()> {
        self.section("published")?;
        self.listing(Verdict::Publish, "Paths that may be passed on, and the reason that decides.")
    }

    fn listing(&mut self, verdict: Verdict, caption: &str) -> io::Result<()> {
        let report = self.report;
        if self.of(verdict).next().is_none() {
            return self.html.paragraph("None.");
        }
        self.html.table(caption, &["Package", "Version", "Output", "Declared license", "Size", "Why"])?;
        for path in report.paths.iter().filter(|path| path.verdict == verdict) {
            self.html.row_head()?;
            self.name(path)?;
            self.html.fixed("</th><td>")?;
            self.html.text(&path.version)?;
            self.html.fixed("</td><td>")?;
            self.html.text(path.output.as_deref().unwrap_or("source"))?;
            self.html.fixed("</td><td class=\"license\">")?;
            self.html.text(path.license.as_deref().unwrap_or("none of its own"))?;
            self.html.fixed("</td><td class=\"number\">")?;
            self.html.text(&size(path.nar_size))?;
            self.html.fixed("</td><td>")?;
            if let Some(reason) = path.deciding() {
                self.html.text(&reason.message)?;
                self.html.fixed(" <span class=\"quiet\">(")?;
                self.html.text(reason.code.as_str())?;
                self.html.fixed(")</span>")?;
            }
            if verdict == Verdict::Publish && !path.is_published() {
                self.html.fixed(" <strong>not in the cache</strong>")?;
            }
            self.html.fixed("</td></tr>\n")?;
        }
        self.html.end_table()
    }

    fn holes(&mut self) -> io::Result<()> {
        let report = self.report;
        self.section("holes")?;
        if report.holes.is_empty() {
            return self.html.paragraph("None.");
        }
        self.html.paragraph(
            "Whoever uses these published packages has to build or obtain the withheld part, under the vendor’s own terms.",
        )?;
        self.html.table("Withheld paths that published ones refer to.", &["Withheld", "Needed by"])?;
        for (hole, users) in &report.holes {
            self.html.row_head()?;
            self.name(&report.paths[*hole])?;
            self.html.fixed("</th><td>")?;
            let users: Vec<&ReportPath> = users.iter().map(|place| &report.paths[*place]).collect();
            self.names(&users)?;
            self.html.fixed("</td></tr>\n")?;
        }
        self.html.end_table()
    }

    fn licenses(&mut self) -> io::Result<()> {
        let report = self.report;
        self.section("licenses")?;
        let mut licenses: BTreeMap<&str, usize> = BTreeMap::new();
        for path in report.paths.iter().filter(|path| path.is_published()) {
            *licenses.entry(path.license.as_deref().unwrap_or("none of its own")).or_default() += 1;
        }
        if licenses.is_empty() {
            return self.html.paragraph("Nothing is published.");
        }
        self.html.table("As the package set declares them, in the form of SPDX.", &["License", "Paths"])?;
        for (license, number) in licenses {
            self.html.row_head()?;
            self.html.text(license)?;
            self.html.fixed("</th><td class=\"number\">")?;
            self.html.text(&number.to_string())?;
            self.html.fixed("</td></tr>\n")?;
        }
        self.html.end_table()?;
        self.names_of_licenses()
    }

    /// What stands behind names that are not on SPDX's list.
    fn names_of_licenses(&mut self) -> io::Result<()> {
        let said: BTreeSet<&str> = self.report.paths.iter().filter_map(|path| path.license.as_deref()).collect();
        let mut own: BTreeSet<String> = BTreeSet::new();
        for said in said {
            if let Declared::Expression(expression) = Declared::read(said) {
                own.extend(expression.own);
            }
        }
        if own.is_empty() {
            return Ok(());
        }
        self.html.table(
            "Names in this report that are not on SPDX’s list of licenses.",
            &["Name", "License", "Where nixpkgs says that its text is"],
        )?;
        for name in own {
            let (known, own) = (about(&name), own_name(&name));
            self.html.row_head()?;
            // As decisions write it, which the page shows as they are.
            self.html.text(&reference(&own))?;
            self.html.fixed("</th><td>")?;
            self.html.text(known.map_or(own.as_str(), |(full_name, _)| full_name))?;
            self.html.fixed("</td><td>")?;
            self.html.text(known.and_then(|(_, url)| url).unwrap_or(""))?;
            self.html.fixed("</td></tr>\n")?;
        }
        self.html.end_table()
    }

    /// A package's name, which leads to its evidence where that is shown.
    fn name(&mut self, path: &ReportPath) -> io::Result<()> {
        if self.detailed.contains(&path.path) {
            self.html.link(&anchor(path), &path.name)
        } else {
            self.html.text(&path.name)
        }
    }

    /// Names in a line; of many, some.
    fn names(&mut self, paths: &[&ReportPath]) -> io::Result<()> {
        let names: BTreeSet<&str> = paths.iter().map(|path| path.path.name()).collect();
        let shown: Vec<&str> = names.iter().take(NAMES).copied().collect();
        self.html.text(&shown.join(", "))?;
        if names.len() > shown.len() {
            self.html.text(&format!(" and {} more", names.len() - shown.len()))?;
        }
        Ok(())
    }
}

fn is_detailed(path: &ReportPath) -> bool {
    path.verdict == Verdict::Withhold || path.inclusions().next().is_some()
}

fn anchor(path: &ReportPath) -> String {
    format!("path-{}", hash_part(&path.path))
}

/// What of whom is in a file, in plain words.
fn found(evidence: &Evidence) -> String {
    let (package, file) = material(evidence);
    let what = match evidence.kind.as_deref() {
        Some("copy") => "an unmodified copy of",
        Some("modified-copy") => "a modified copy of",
        Some("static") => "code of",
        Some("device-code") => "device code of",
        Some("suspected") => "what looks like another version of",
        Some("driver") => "a library of a GPU driver:",
        _ => "material of",
    };
    if file.is_empty() { format!("{what} {package}") } else { format!("{what} {file} of {package}") }
}
