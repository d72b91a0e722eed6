//! What a reason rests on: a finding, as it is kept with the decision and shown.

use narthex_audit::{Change, DriverSign, Finding, MemberHits, Place, Section, Sign};
use serde::{Deserialize, Serialize};

/// How much of something was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Coverage {
    /// The archive member.
    pub member: String,
    /// Functions of it that were found.
    pub functions_found: u32,
    /// Functions of it that the corpus knows.
    pub functions_known: u32,
}

/// How much code for GPUs was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// Entries of fatbin containers that are the vendor's.
    pub entries_found: u32,
    /// Entries in the file in all.
    pub entries: u32,
    /// Bytes of the vendor's entries, as they are stored.
    pub bytes_found: u64,
    /// Bytes of device code in the file, as they are stored.
    pub device_bytes: u64,
    /// Kernels with names that only the vendor's library has.
    pub kernels_found: u32,
    /// Kernels in the file in all.
    pub kernels: u32,
    /// Some names of the vendor's kernels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<String>,
}

/// The stubs of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stubs {
    /// Functions of the interface that are defined.
    pub functions: u32,
    /// The longest of them in bytes.
    pub longest: u64,
}

/// Which terms permit something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TermsName {
    /// Their stable name.
    pub id: String,
    /// The title of the license text.
    pub title: String,
}

/// One piece of evidence. Only `place` is always there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// File in the output, and members of archives inside it, joined by `!`.
    pub place: String,
    /// The kind of the finding, which is the rule that found it; absent for what no scanner found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The original file that it is, is made from, or looks like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<String>,
    /// The package that the original belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// The terms that permit it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<TermsName>,
    /// The clause of the terms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clause: Option<String>,
    /// Sections that agree with the original's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub same_sections: Vec<String>,
    /// Sections that differ from the original's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed_sections: Vec<Section>,
    /// What was done to the copy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// Functions of static archives, member by member.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Coverage>,
    /// Bytes of code that these functions cover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_found: Option<u64>,
    /// Bytes of code in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code_bytes: Option<u64>,
    /// Addresses of the longest stretches found, each with its end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<(u64, u64)>,
    /// A vendor's code for GPUs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// Why the file is suspected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signs: Vec<Sign>,
    /// The library of a driver that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// How the driver's library was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver_sign: Option<DriverSign>,
    /// Stubs in place of a vendor's code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stubs: Option<Stubs>,
    /// Conditions of the terms that travel with what is published, with the first of what they permit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<String>,
    /// Whatever else there is to say: libraries linked, why a file could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl Evidence {
    /// What a finding about the path called `name` says. Nothing of it is left out.
    pub fn of(name: &str, finding: &Finding) -> Self {
        let mut evidence =
            Self { place: shown(name, finding.place()), kind: Some(finding.kind().to_owned()), ..Self::default() };
        if let Some(origin) = finding.origin() {
            evidence.package = Some(origin.material.package());
            evidence.original = Some(match &origin.member {
                Some(member) => format!("{}({member})", origin.file),
                None => origin.file.clone(),
            });
        }
        match finding {
            Finding::Copy { .. } => {}
            Finding::ModifiedCopy { same, changed, changes, .. } => {
                evidence.changes.clone_from(changes);
                evidence.same_sections.clone_from(same);
                evidence.changed_sections.clone_from(changed);
            }
            Finding::StaticCode { members, bytes_found, code_bytes, ranges, .. } => {
                evidence.members = members.iter().map(Coverage::of).collect();
                evidence.bytes_found = Some(*bytes_found);
                evidence.code_bytes = Some(*code_bytes);
                evidence.ranges.clone_from(ranges);
            }
            Finding::DeviceCode {
                entries_found,
                entries,
                bytes_found,
                device_bytes,
                kernels_found,
                kernels,
                examples,
                ..
            } => {
                evidence.device = Some(Device {
                    entries_found: *entries_found,
                    entries: *entries,
                    bytes_found: *bytes_found,
                    device_bytes: *device_bytes,
                    kernels_found: *kernels_found,
                    kernels: *kernels,
                    examples: examples.clone(),
                });
            }
            Finding::Suspected { signs, .. } => evidence.signs.clone_from(signs),
            Finding::Driver { library, sign, .. } => {
                evidence.driver = Some(library.clone());
                evidence.driver_sign = Some(*sign);
            }
            Finding::Stub { functions, longest, .. } => {
                evidence.stubs = Some(Stubs { functions: *functions, longest: *longest });
            }
            Finding::Dynamic { needed, runpath, store_paths, opens, .. } => {
                let mut note = |words: &str, names: &[String]| {
                    evidence.notes.extend(names.iter().map(|name| format!("{words} {name}")));
                };
                note("needs", needed);
                note("may open", opens);
                note("looks in", runpath);
                note("leads to", store_paths);
            }
            Finding::NotFullyAudited { gap, .. } => evidence.notes.push(gap.to_string()),
        }
        evidence
    }

    /// Whether it is a copy that somebody changed: only then was it compared piece by piece.
    pub(crate) fn is_modified(&self) -> bool {
        !(self.same_sections.is_empty() && self.changed_sections.is_empty() && self.changes.is_empty())
    }
}

impl Coverage {
    fn of(hits: &MemberHits) -> Self {
        Self {
            member: hits.member.clone(),
            functions_found: hits.functions_found,
            functions_known: hits.functions_known,
        }
    }
}

/// Shows a place; a path that is itself a file is shown by its name.
pub(crate) fn shown(name: &str, place: &Place) -> String {
    let file = if place.file.is_empty() { name } else { &place.file };
    Place { file: file.to_owned(), members: place.members.clone() }.to_string()
}
