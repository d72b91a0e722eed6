//! What a reason rests on: a finding, as it is kept with the decision and shown.

use narthex_audit::{Change, DriverSign, Finding, MemberHits, Origin, Place, Release, Section, Sign};
use narthex_license::text::{self, ITEMS, LINE, MESSAGE, NAME};
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
    /// Published releases that have the same file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub releases: Vec<Release>,
    /// Files of other products that have the same code, each with its package: the strictest terms decide.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared_by: Vec<String>,
    /// The same library of other releases, which fit as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub equal: Vec<String>,
    /// Whether no release that is known has all that was found, so that the nearest one is named.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub release_unknown: bool,
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
        if let Some(kin) = finding.kin() {
            let shown = |origin: &Origin| format!("{} of {}", origin.file, origin.material.package());
            evidence.shared_by = kin.shared_by.iter().map(shown).collect();
            evidence.equal = kin.equal.iter().map(shown).collect();
            evidence.release_unknown = kin.release_unknown;
        }
        match finding {
            Finding::Copy { releases, .. } => evidence.releases.clone_from(releases),
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
            Finding::Maker { company, product, version, .. } => {
                evidence.notes.push(format!("company: {company}"));
                evidence.notes.extend(product.as_ref().map(|product| format!("product: {product}")));
                evidence.notes.extend(version.as_ref().map(|version| format!("version: {version}")));
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

    /// Cuts every text in it that a file may have made longer than a line, and every list that is longer than anybody reads.
    pub(crate) fn cut(&mut self) {
        let Self { place, kind, original, package, clause, driver, notes, conditions, .. } = self;
        text::cut(place, LINE);
        for one in [kind, original, package, clause, driver].into_iter().flatten() {
            text::cut(one, LINE);
        }
        text::cut_all(notes, LINE);
        text::cut_all(conditions, MESSAGE);
        text::cut_all(&mut self.shared_by, LINE);
        text::cut_all(&mut self.equal, LINE);
        text::cut_all(&mut self.same_sections, NAME);
        let sections = self.changed_sections.len();
        if sections > ITEMS + 1 {
            self.changed_sections.truncate(ITEMS);
            let name = text::mark(sections - ITEMS, "items").trim_start().to_owned();
            self.changed_sections.push(Section { name, original: None, found: None });
        }
        self.changed_sections.iter_mut().for_each(|section| text::cut(&mut section.name, NAME));
        self.members.iter_mut().for_each(|member| text::cut(&mut member.member, LINE));
        if let Some(device) = &mut self.device {
            text::cut_all(&mut device.examples, LINE);
        }
        for change in &mut self.changes {
            match change {
                Change::Runpath { from, to } | Change::Needed { removed: from, added: to } => {
                    text::cut_all(from, LINE);
                    text::cut_all(to, LINE);
                }
                Change::Interpreter { from, to } | Change::Soname { from, to } => {
                    [from, to].into_iter().flatten().for_each(|name| text::cut(name, LINE));
                }
                Change::Stripped { sections } | Change::OtherCode { sections } | Change::OtherBuild { sections } => {
                    text::cut_all(sections, NAME);
                }
                Change::Padded { .. } | Change::Truncated { .. } | Change::Passages { .. } | Change::Parts { .. } => {}
            }
        }
        for release in &mut self.releases {
            [&mut release.package, &mut release.platform].into_iter().for_each(|text| text::cut(text, NAME));
            text::cut_all(&mut release.versions, NAME);
        }
        for sign in &mut self.signs {
            match sign {
                Sign::Strings { examples, .. } | Sign::Interface { examples, .. } => text::cut_all(examples, LINE),
                Sign::VersionInfo { company, product } | Sign::Maker { company, product } => {
                    text::cut(company, NAME);
                    text::cut(product, NAME);
                }
                Sign::Name { name, .. } => text::cut(name, NAME),
                Sign::MadeBy { vendor, .. } => text::cut(vendor, NAME),
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Files and archives say things of any length.
    #[test]
    fn nothing_in_evidence_is_longer_than_its_purpose() {
        let long = || "x".repeat(100_000);
        let many = || vec![long(); 1000];
        let mut evidence = Evidence {
            place: long(),
            kind: Some(long()),
            original: Some(long()),
            package: Some(long()),
            clause: Some(long()),
            same_sections: many(),
            changed_sections: vec![Section { name: long(), original: None, found: Some(1) }; 1000],
            changes: vec![
                Change::Runpath { from: many(), to: many() },
                Change::Interpreter { from: Some(long()), to: None },
                Change::Needed { removed: many(), added: many() },
                Change::Stripped { sections: many() },
            ],
            members: vec![Coverage { member: long(), functions_found: 1, functions_known: 1 }],
            signs: vec![Sign::VersionInfo { company: long(), product: long() }],
            driver: Some(long()),
            conditions: many(),
            notes: many(),
            ..Evidence::default()
        };
        evidence.cut();
        let length = serde_json::to_string(&evidence).unwrap().len();
        assert!(length < 1_300_000, "{length}");
        assert!(evidence.place.ends_with(" … (99000 characters more)"));
        let once = evidence.clone();
        evidence.cut();
        assert_eq!(evidence, once);
    }
}
