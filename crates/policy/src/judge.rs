//! What findings mean under a policy: many findings, one reason for each code.

use crate::Code;
use crate::decision::{Coverage, Effect, Evidence, Reason};
use crate::policy::{Action, Rules, Treatment};
use crate::terms::{Standing, Terms};
use narthex_audit::{Finding, Origin, Place, Report};
use std::collections::BTreeMap;

/// Draws reasons from a report about the path called `name`. `vendor` are the terms that the whole
/// package is declared under: they must name every file of it. `open` says that nothing has forbidden
/// publishing so far; where something has, findings only explain.
pub(crate) fn findings(name: &str, report: &Report, rules: &Rules, vendor: Option<&Terms>, open: bool) -> Vec<Reason> {
    let mut grouped: BTreeMap<(Effect, Code), Vec<Ground<'_>>> = BTreeMap::new();
    for finding in &report.findings {
        for (effect, code, evidence, terms) in judge(name, finding, rules, open) {
            grouped.entry((effect, code)).or_default().push((evidence, terms));
        }
    }
    if let Some(terms) = vendor {
        let unlisted = grouped.entry((Effect::Withhold, Code::TermsFileNotListed)).or_default();
        for file in &report.files {
            let place = shown(name, &Place { file: file.clone(), members: Vec::new() });
            // A file that the corpus knows was found already, with its original's name.
            if !is_listed(&place, terms) && unlisted.iter().all(|(evidence, _)| evidence.place != place) {
                unlisted.push((Evidence { place, ..Evidence::default() }, Some(terms)));
            }
        }
        grouped.retain(|_, grounds| !grounds.is_empty());
    }
    // A package that is declared as the vendor's is none that holds an application.
    if vendor.is_none()
        && let Some(ground) = nothing_else(report, &grouped)
    {
        grouped.insert((Effect::Withhold, Code::TermsStandalone), vec![ground]);
    }
    let suspicious = grouped.keys().any(|(_, code)| *code != Code::AuditLinksDynamically);
    let mut reasons: Vec<Reason> = grouped
        .into_iter()
        .map(|((effect, code), items)| {
            let terms = items.iter().find_map(|(_, terms)| *terms);
            let mut evidence: Vec<Evidence> = items.into_iter().map(|(evidence, _)| evidence).collect();
            if matches!(code, Code::TermsPermitCopy | Code::TermsPermitInclusion)
                && let (Some(terms), Some(first)) = (terms, evidence.first_mut())
            {
                first.conditions = terms.conditions().to_vec();
            }
            Reason::new(code, effect, message(code, &evidence, terms), evidence)
        })
        .collect();
    if !suspicious {
        let files = report.files.len();
        let message = format!("nothing restricted in {files} file{}", if files == 1 { "" } else { "s" });
        reasons.push(Reason::new(Code::AuditClean, Effect::Note, message, Vec::new()));
    }
    reasons
}

/// A piece of evidence, and the terms it was held against.
type Ground<'r> = (Evidence, Option<&'r Terms>);

/// Whether a package holds permitted copies of a vendor's files and nothing beside them: then there is
/// no application that they are a part of. Texts and metadata make none.
fn nothing_else<'r>(report: &Report, grouped: &BTreeMap<(Effect, Code), Vec<Ground<'r>>>) -> Option<Ground<'r>> {
    let copies = grouped.get(&(Effect::Publish, Code::TermsPermitCopy))?;
    let (evidence, terms) = copies.first().map(|(evidence, terms)| (evidence, *terms))?;
    let terms = terms.filter(|terms| terms.forbids_standalone().is_some())?;
    let is_copy = |file: &str| copies.iter().any(|(evidence, _)| evidence.place == file || file.is_empty());
    let text = |file: &str| is_nix_support(file) || terms.standing(base_name(file)) == Standing::Accompanying;
    let application = report.files.iter().any(|file| !is_copy(file) && !text(file));
    (!application).then(|| (Evidence { place: evidence.place.clone(), ..Evidence::default() }, Some(terms)))
}

/// What builds put beside a package for Nix; it is no part of the software.
fn is_nix_support(file: &str) -> bool {
    file.starts_with("nix-support/")
}

/// Whether terms name a file of a package by its own name.
fn is_listed(file: &str, terms: &Terms) -> bool {
    is_nix_support(file) || terms.standing(base_name(file)) != Standing::NotListed
}

type Judged<'r> = (Effect, Code, Evidence, Option<&'r Terms>);

fn judge<'r>(name: &str, finding: &Finding, rules: &'r Rules, open: bool) -> Vec<Judged<'r>> {
    let policy = rules.policy();
    let evidence = evidence(name, finding);
    let (treatment, note, permit, origin) = match finding {
        Finding::Dynamic { .. } | Finding::Stub { .. } => {
            return vec![(Effect::Note, Code::AuditLinksDynamically, evidence, None)];
        }
        Finding::Suspected { .. } | Finding::Driver { .. } | Finding::NotFullyAudited { .. } => {
            let effect = match policy.not_fully_audited {
                Action::Withhold => Effect::Withhold,
                Action::Publish => Effect::Note,
            };
            return vec![(effect, Code::AuditIncomplete, evidence, None)];
        }
        Finding::Copy { original, .. } => (policy.copy, Code::AuditCopy, Code::TermsPermitCopy, original),
        Finding::ModifiedCopy { original, .. } => {
            (policy.modified_copy, Code::AuditModifiedCopy, Code::TermsPermitCopy, original)
        }
        Finding::StaticCode { archive, .. } | Finding::DeviceCode { original: archive, .. } => {
            (policy.static_code, Code::AuditStaticCode, Code::TermsPermitInclusion, archive)
        }
    };
    if !open {
        return vec![(Effect::Note, note, evidence, None)];
    }
    match treatment {
        Treatment::Publish => vec![(Effect::Note, note, evidence, None)],
        Treatment::Withhold => vec![(Effect::Withhold, Code::PolicyVendorCode, evidence, None)],
        Treatment::Terms => match rules.terms_for(origin.material.licenses.iter().map(String::as_str)) {
            None => vec![(Effect::Withhold, Code::TermsMissing, evidence, None)],
            Some(terms) => under_terms(finding, origin, terms, permit, evidence),
        },
    }
}

fn under_terms<'r>(
    finding: &Finding,
    origin: &Origin,
    terms: &'r Terms,
    permit: Code,
    mut evidence: Evidence,
) -> Vec<Judged<'r>> {
    let mut judged = Vec::new();
    let standing = terms.standing_of(origin);
    if standing == Standing::Accompanying {
        return judged;
    }
    if matches!(finding, Finding::ModifiedCopy { .. })
        && let Some(clause) = terms.forbids_modification()
    {
        let evidence = Evidence { clause: Some(clause.to_owned()), ..evidence.clone() };
        judged.push((Effect::Withhold, Code::TermsModified, evidence, Some(terms)));
    }
    match standing {
        Standing::Listed(clause) if judged.is_empty() => {
            evidence.clause = Some(clause.to_owned());
            judged.push((Effect::Publish, permit, evidence, Some(terms)));
        }
        Standing::NotListed => judged.push((Effect::Withhold, Code::TermsFileNotListed, evidence, Some(terms))),
        Standing::Listed(_) | Standing::Accompanying => {}
    }
    judged
}

/// Shows a place; a path that is itself a file is shown by its name.
fn shown(name: &str, place: &Place) -> String {
    let file = if place.file.is_empty() { name } else { &place.file };
    Place { file: file.to_owned(), members: place.members.clone() }.to_string()
}

fn evidence(name: &str, finding: &Finding) -> Evidence {
    let mut evidence = Evidence { place: shown(name, finding.place()), ..Evidence::default() };
    if let Some(origin) = finding.origin() {
        evidence.package = Some(origin.material.package());
        evidence.original = Some(match &origin.member {
            Some(member) => format!("{}({member})", origin.file),
            None => origin.file.clone(),
        });
    }
    match finding {
        Finding::Copy { .. }
        | Finding::DeviceCode { .. }
        | Finding::Suspected { .. }
        | Finding::Driver { .. }
        | Finding::Stub { .. } => {}
        Finding::ModifiedCopy { same, changed, changes, .. } => {
            evidence.changes.clone_from(changes);
            evidence.same_sections.clone_from(same);
            evidence.changed_sections.clone_from(changed);
        }
        Finding::StaticCode { members, bytes_found, code_bytes, ranges, .. } => {
            let coverage = |m: &narthex_audit::MemberHits| Coverage {
                member: m.member.clone(),
                functions_found: m.functions_found,
                functions_known: m.functions_known,
            };
            evidence.members = members.iter().map(coverage).collect();
            evidence.bytes_found = Some(*bytes_found);
            evidence.code_bytes = Some(*code_bytes);
            evidence.ranges.clone_from(ranges);
        }
        Finding::Dynamic { needed, runpath, .. } => {
            evidence.notes = needed.iter().map(|library| format!("needs {library}")).collect();
            evidence.notes.extend(runpath.iter().map(|path| format!("looks in {path}")));
        }
        Finding::NotFullyAudited { gap, .. } => evidence.notes.push(gap.to_string()),
    }
    evidence
}

/// The sentence fragment for a reason: its strongest example, and how many more there are.
fn message(code: Code, evidence: &[Evidence], terms: Option<&Terms>) -> String {
    let Some(first) = evidence.first() else { return code.as_str().to_owned() };
    let place = &first.place;
    // The whole path stands in the evidence.
    let original = first.original.as_deref().map_or("?", base_name);
    let package = first.package.as_deref().unwrap_or("?");
    let title = terms.map_or("?", Terms::title);
    let clause = first.clause.as_deref().unwrap_or("?");
    let more = match evidence.len() {
        1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    };
    let share = || {
        let found: u32 = first.members.iter().map(|m| m.functions_found).sum();
        let known: u32 = first.members.iter().map(|m| m.functions_known).sum();
        format!("{place} contains {found} of {known} functions of {original} of {package}")
    };
    match code {
        Code::TermsFileNotListed => match terms {
            Some(terms) => not_listed(evidence, terms),
            None => format!("{place} is not listed"),
        },
        Code::TermsStandalone => match terms {
            Some(terms) => format!(
                "it holds nothing but a vendor's files, such as {place}, which the {title} permits only as part of an \
                 application ({})",
                terms.forbids_standalone().unwrap_or("?")
            ),
            None => code.as_str().to_owned(),
        },
        Code::TermsModified => format!(
            "{place} is a modified copy of {original} of {package}{}; the {title} allows unmodified files only ({clause}){more}",
            done(first)
        ),
        Code::TermsMissing => format!("{place} holds {original} of {package}, and no terms are known for it{more}"),
        Code::PolicyVendorCode => {
            format!("{place} holds material of {package} ({original}), which the policy forbids{more}")
        }
        Code::TermsPermitInclusion => format!("{}; the {title} permits it ({clause}){more}", share()),
        Code::TermsPermitCopy => {
            // Sections are compared only where the file as a whole differs.
            let how = if first.same_sections.is_empty() { "unmodified" } else { "modified" };
            format!(
                "{place} is {original} of {package}, {how}; the {title} permits it in an application ({clause}){more}"
            )
        }
        Code::AuditCopy => format!("{place} is a copy of {original} of {package}{more}"),
        Code::AuditModifiedCopy => {
            format!("{place} is a modified copy of {original} of {package}{}{more}", done(first))
        }
        Code::AuditStaticCode => format!("{}{more}", share()),
        Code::AuditLinksDynamically => {
            let needed = first.notes.iter().filter_map(|note| note.strip_prefix("needs ")).collect::<Vec<_>>();
            format!("{place} links {} dynamically{more}", needed.join(", "))
        }
        Code::AuditIncomplete => format!("{place}: {}{more}", first.notes.join("; ")),
        _ => code.as_str().to_owned(),
    }
}

/// What was done to a copy, in parentheses; where its headers do not tell, the sections that differ.
fn done(evidence: &Evidence) -> String {
    let changes: Vec<String> = evidence.changes.iter().map(ToString::to_string).collect();
    let sections: Vec<&str> = evidence.changed_sections.iter().map(|section| section.name.as_str()).collect();
    match (changes.is_empty(), sections.is_empty()) {
        (false, _) => format!(" ({})", changes.join("; ")),
        (true, false) => format!(" (other {})", sections.join(", ")),
        (true, true) => String::new(),
    }
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Names the files that terms do not list: tools and libraries before headers.
fn not_listed(evidence: &[Evidence], terms: &Terms) -> String {
    let is_header = |e: &&Evidence| [".h", ".hpp"].iter().any(|end| e.place.ends_with(end));
    let example = evidence.iter().min_by_key(|e| (is_header(e), e.place.as_str()));
    let (place, what) = match example {
        Some(Evidence { place, original: Some(original), .. }) if base_name(place) != base_name(original) => {
            (place.as_str(), format!(" ({})", base_name(original)))
        }
        Some(Evidence { place, .. }) => (place.as_str(), String::new()),
        None => ("?", String::new()),
    };
    let more = match evidence.len() {
        0 | 1 => String::new(),
        n => format!(", nor {} more files", n - 1),
    };
    format!("the {} does not list {place}{what}{more}", terms.title())
}
