//! `audit`: what the bytes of paths say. Nothing is decided here, and nothing left out but where it is said.

mod explain;
mod json;
mod sarif;
mod table;

pub(crate) use explain::audit_explained;
pub(crate) use json::audit_json;
pub(crate) use sarif::audit_sarif;
pub(crate) use table::audit_table;

use super::text::{count, indent, visible};
use narthex_audit::{Finding, FunctionHit, Place, Report, Sign};
use narthex_policy::Evidence;
use std::path::PathBuf;

/// A path, and what was found in it.
#[derive(Debug)]
pub(crate) struct Audited {
    /// As it was given.
    pub(crate) path: PathBuf,
    pub(crate) report: Report,
    /// Restricted functions by address, where they are asked for.
    pub(crate) hits: Vec<FunctionHit>,
}

impl Audited {
    /// The path's last part, which a file that is audited by itself goes by.
    fn name(&self) -> String {
        self.path
            .file_name()
            .map_or_else(|| self.path.display().to_string(), |name| name.to_string_lossy().into_owned())
    }

    /// Where something was found.
    pub(crate) fn place(&self, finding: &Finding) -> Place {
        let mut place = finding.place().clone();
        if place.file.is_empty() {
            place.file = self.name();
        }
        place
    }

    /// Whether the path is itself a file.
    fn is_file(&self) -> bool {
        let findings = self.report.findings.iter().map(|finding| &finding.place().file);
        self.report.files.iter().chain(findings).any(String::is_empty)
    }

    /// All its files.
    pub(crate) fn files(&self) -> Vec<String> {
        let name = |file: &String| if file.is_empty() { self.name() } else { file.clone() };
        self.report.files.iter().map(name).collect()
    }

    fn evidence(&self, finding: &Finding) -> Evidence {
        Evidence::of(&self.name(), finding)
    }

    /// The heading that tables and explanations give it.
    fn heading(&self) -> String {
        visible(&self.path.display().to_string()) + "\n"
    }
}

/// What a finding says of its place, in a sentence without its subject.
fn sentence(finding: &Finding) -> String {
    let of = || match finding.origin() {
        Some(origin) => {
            let member = origin.member.as_ref().map(|member| format!("({member})")).unwrap_or_default();
            format!("{}{member} of {}", origin.file, origin.material.package())
        }
        None => String::new(),
    };
    match finding {
        Finding::Copy { .. } => format!("is a copy of {}", of()),
        Finding::StaticCode { .. } | Finding::ModifiedCopy { .. } if is_shared(finding) => {
            format!("contains code that several products share, such as {}", of())
        }
        Finding::ModifiedCopy { .. } if finding.is_other_build() => format!("is another build of {}", of()),
        Finding::ModifiedCopy { .. } => format!("is a modified copy of {}", of()),
        Finding::StaticCode { .. } => {
            let (found, known) = functions(finding).unwrap_or_default();
            format!("contains {found} of {known} functions of {}", of())
        }
        Finding::DeviceCode { .. } => format!("contains device code of {}", of()),
        Finding::Suspected { signs, .. } if signs.iter().any(|sign| matches!(sign, Sign::Maker { .. })) => {
            "says itself that a vendor made it".to_owned()
        }
        Finding::Maker { company, .. } => format!("names {company} as its company"),
        Finding::Suspected { .. } => format!("looks like another version of {}", of()),
        Finding::Driver { library, .. } => format!("is {library} of a GPU driver"),
        Finding::Dynamic { needed, opens, .. } => match (needed.as_slice(), opens.as_slice()) {
            ([], []) => "looks for shared libraries".to_owned(),
            ([], opens) => format!("may open {}", opens.join(", ")),
            (needed, _) => format!("links {}", needed.join(", ")),
        },
        Finding::Stub { functions, .. } => {
            format!("defines {} of the interface of {} by stubs", count(*functions as usize, "function"), of())
        }
        Finding::NotFullyAudited { .. } => "was not read to its end".to_owned(),
    }
}

/// Whether it cannot be told which of several products the code is from.
fn is_shared(finding: &Finding) -> bool {
    finding.kin().is_some_and(|kin| !kin.shared_by.is_empty())
}

/// Functions found, and of how many: for static code.
fn functions(finding: &Finding) -> Option<(u64, u64)> {
    let Finding::StaticCode { members, .. } = finding else { return None };
    let sum = |of: fn(&narthex_audit::MemberHits) -> u32| members.iter().map(|member| u64::from(of(member))).sum();
    Some((sum(|member| member.functions_found), sum(|member| member.functions_known)))
}

/// The share of the code, or of the code for GPUs, that is the vendor's: from 0 to 1.
fn coverage(finding: &Finding) -> Option<f64> {
    let (found, all) = match finding {
        Finding::StaticCode { bytes_found, code_bytes, .. } => (*bytes_found, *code_bytes),
        Finding::DeviceCode { bytes_found, device_bytes, .. } => (*bytes_found, *device_bytes),
        _ => return None,
    };
    // Four digits are as exact as anybody needs, and the same on every machine.
    (all > 0).then(|| (found as f64 / all as f64 * 1e4).round() / 1e4)
}

/// A list entry: a sentence, and what it rests on below it.
fn entry(sentence: &str, details: &[String]) -> String {
    let mut text = format!("  - {}\n", visible(sentence));
    for line in details {
        text.push_str(&indent(line, "      "));
    }
    text
}

#[cfg(test)]
mod tests;
