//! What reasons and evidence say in words. Nothing is decided here.

use crate::terms::Terms;
use crate::{Code, Evidence};
use narthex_audit::{DriverSign, Release, Section, Sign};

/// How sure a finding is, by its kind; `None` for kinds of a later version.
pub fn certainty(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "copy" => "certain: it is the same, byte for byte",
        "modified-copy" => "certain: pieces of it are the same, byte for byte",
        "static" => "certain: functions are the same, but for what a linker writes into them",
        "device-code" => "certain: code for GPUs or names of kernels are those of the vendor",
        "suspected" => "suspected: the version is not known",
        "driver" => "by its name",
        "dynamic" | "stub" | "maker" => "an explanation, no suspicion",
        "not-audited" => "not known",
        _ => return None,
    })
}

impl Evidence {
    /// Everything but its place, a line each; of lists that grow with the file, `most` items.
    pub fn details(&self, most: usize) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(kind) = &self.kind {
            let sure = certainty(kind).map(|sure| format!("{sure}; ")).unwrap_or_default();
            lines.push(format!("{sure}rule `{kind}`"));
        }
        lines.extend(self.clause.as_ref().map(|clause| format!("clause: {clause}")));
        let release = |one: &Release| format!("{} {} ({})", one.package, some(&one.versions, most), one.platform);
        lines.extend(self.releases.iter().take(most).map(|one| format!("the same file: {}", release(one))));
        if self.releases.len() > most {
            lines.push(format!("… and releases of {} more", counted((self.releases.len() - most) as u64, "package")));
        }
        if !self.shared_by.is_empty() {
            let others = self.shared_by.iter().take(most).map(|one| format!("the same code: {one}"));
            lines.extend(others);
            lines.push("these products share it, so that the strictest of their terms decide".to_owned());
        }
        if self.release_unknown {
            lines.push("the exact release is not known; the nearest one is named".to_owned());
        }
        if !self.equal.is_empty() {
            lines.push(format!("releases that fit as well: {}", some(&self.equal, most)));
        }
        if !self.same_sections.is_empty() {
            lines.push(format!("the same: {}", some(&self.same_sections, most)));
        }
        if !self.changed_sections.is_empty() {
            let sections: Vec<String> = self.changed_sections.iter().map(section).collect();
            lines.push(format!("changed: {}", some(&sections, most)));
        }
        lines.extend(self.changes.iter().map(ToString::to_string));
        let member = |m: &crate::Coverage| {
            format!("member {}: {} of {} functions", m.member, m.functions_found, m.functions_known)
        };
        lines.extend(self.members.iter().take(most).map(member));
        if self.members.len() > most {
            let functions: u32 = self.members[most..].iter().map(|m| m.functions_found).sum();
            let left = counted(self.members.len().saturating_sub(most) as u64, "member");
            lines.push(format!("… and {} in {left} more", counted(functions, "function")));
        }
        if let (Some(found), Some(code)) = (self.bytes_found, self.code_bytes) {
            lines.push(share(found, code, "code"));
        }
        if !self.ranges.is_empty() {
            let ranges: Vec<String> = self.ranges.iter().map(|(from, to)| format!("{from:#x}–{to:#x}")).collect();
            lines.push(format!("longest stretches: {}", some(&ranges, most)));
        }
        if let Some(device) = &self.device {
            lines.push(format!("{} of {} fatbin entries are the vendor's", device.entries_found, device.entries));
            lines.push(share(device.bytes_found, device.device_bytes, "device code"));
            lines.push(format!("{} of {} kernels are the vendor's", device.kernels_found, device.kernels));
            if !device.examples.is_empty() {
                lines.push(format!("kernels: {}", some(&device.examples, most)));
            }
        }
        lines.extend(self.signs.iter().map(sign));
        if let Some(stubs) = &self.stubs {
            lines.push(format!(
                "{} of the interface are stubs, the longest of {} bytes",
                counted(stubs.functions, "function"),
                stubs.longest
            ));
        }
        lines.extend(self.driver.as_ref().map(|library| format!("library {library}{}", known_by(self))));
        lines.extend(self.conditions.iter().map(|condition| format!("condition: {condition}")));
        lines.extend(self.notes.iter().take(most).cloned());
        if self.notes.len() > most {
            lines.push(format!("… and {} more", self.notes.len() - most));
        }
        lines
    }
}

fn section(section: &Section) -> String {
    match (section.original, section.found) {
        (Some(before), Some(after)) => format!("{} ({before} → {after} bytes)", section.name),
        (Some(_), None) => format!("{} (removed)", section.name),
        (None, _) => format!("{} (added)", section.name),
    }
}

/// One sign as a sentence without a subject.
fn sign(sign: &Sign) -> String {
    let such_as = |examples: &[String]| match examples {
        [] => String::new(),
        _ => format!(", such as {}", examples.iter().map(|e| format!("{e:?}")).collect::<Vec<_>>().join(", ")),
    };
    match sign {
        Sign::Strings { found, known, examples } => {
            format!("has {found} of {known} strings that all known versions have and nothing else{}", such_as(examples))
        }
        Sign::Interface { found, examples } => {
            format!("defines {} of its interface{}", counted(*found, "function"), such_as(examples))
        }
        Sign::VersionInfo { company, product } => {
            format!("names {company:?} as its company and {product:?} as its product")
        }
        Sign::Maker { company, product } if product.is_empty() => format!("names {company:?} as its company"),
        Sign::Maker { company, product } => format!("names {company:?} as its company and {product:?} as its product"),
        Sign::MadeBy { vendor, files, copyrights, of_files, bytes: (bytes, all) } => format!(
            "belongs to a package whose name says that {vendor} made it; so do {files} of {of_files} programs and libraries, by \
             their names or copyrights ({copyrights} by copyright), with {}",
            share(*bytes, *all, "code and data")
        ),
        Sign::Name { name, by } => {
            let by = match by {
                DriverSign::FileName => "is called",
                DriverSign::Soname => "has the SONAME",
            };
            format!("{by} {name:?}, as only the vendor's file is, and nothing in it says what else it is")
        }
    }
}

/// The sentence fragment for a reason: its strongest example, and how many more there are.
pub(crate) fn message(code: Code, evidence: &[Evidence], terms: Option<&Terms>) -> String {
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
        Code::TermsModified if first.changes.iter().any(narthex_audit::Change::is_other_build) => format!(
            "{place} is another build of {original} of {package}, and no original that is known; the {title} allows \
             unmodified files only ({clause}){more}"
        ),
        Code::TermsModified if !first.shared_by.is_empty() => format!(
            "{place} holds code that {original} of {package} shares with {}{}; the {title}, the strictest terms that could \
             apply, allows unmodified files only ({clause}){more}",
            shared(first),
            done(first)
        ),
        Code::TermsModified => format!(
            "{place} is a modified copy of {original} of {package}{}; the {title} allows unmodified files only ({clause}){more}",
            done(first)
        ),
        Code::TermsTextUnknown => format!(
            "{place} is not a text that the terms of the {title} were read from, so that what they permit may not \
             hold{more}"
        ),
        Code::TermsTextKnown => format!("{place} is a text that the terms of the {title} were read from{more}"),
        Code::TermsMissing => {
            let what = if first.device.is_some() { "device code of " } else { "" };
            format!("{place} holds {what}{original} of {package}, and no terms are known for it{more}")
        }
        Code::PolicyVendorCode => {
            format!("{place} holds material of {package} ({original}), which the policy forbids{more}")
        }
        Code::TermsPermitInclusion => {
            format!("{}; the {title} permits it ({clause}){more}", included(first, original, package))
        }
        Code::TermsPermitCopy => {
            let how = if first.is_modified() { "modified" } else { "unmodified" };
            format!(
                "{place} is {original} of {package}, {how}; the {title} permits it in an application ({clause}){more}"
            )
        }
        Code::AuditCopy => format!("{place} is a copy of {original} of {package}{more}"),
        Code::AuditModifiedCopy if !first.shared_by.is_empty() => {
            let shared = shared(first);
            format!("{place} holds code that {original} of {package} shares with {shared}{}{more}", done(first))
        }
        Code::AuditModifiedCopy => {
            format!("{place} is a modified copy of {original} of {package}{}{more}", done(first))
        }
        Code::AuditStaticCode | Code::AuditCudartStatic | Code::AuditDeviceCode => {
            format!("{}{more}", included(first, original, package))
        }
        Code::AuditSuspected if says_itself(first) => {
            let signs: Vec<String> = first.signs.iter().map(short_sign).collect();
            format!(
                "{place} {}; nothing else is known of it, so that no terms can be asked{more}",
                signs.join(", and ")
            )
        }
        Code::AuditMaker => {
            let noted = |word: &str| first.notes.iter().find_map(|note| note.strip_prefix(word));
            let product = noted("product: ").map(|product| format!(", and {product} as its product"));
            let company = noted("company: ").unwrap_or("?");
            format!("{place} names {company} as its company{}{more}", product.unwrap_or_default())
        }
        Code::AuditSuspected => {
            let signs: Vec<String> = first.signs.iter().map(short_sign).collect();
            let signs = if signs.is_empty() { String::new() } else { format!(": it {}", signs.join(", and ")) };
            format!(
                "{place} looks like another version of {original} than that of {package}{signs}; which one is not known, \
                 so that no terms can be asked{more}"
            )
        }
        Code::AuditDriver => {
            let library = first.driver.as_deref().unwrap_or("?");
            format!(
                "{place} is {library} of a GPU driver{}; it belongs to the machine that has the GPU{more}",
                known_by(first)
            )
        }
        Code::AuditStub => {
            let functions = first.stubs.as_ref().map_or(0, |stubs| stubs.functions);
            format!(
                "{place} defines {} of the interface of {original} by stubs that load the library when it is first used; \
                 they hold no code of the vendor{more}",
                counted(functions, "function")
            )
        }
        Code::AuditLinksDynamically => {
            let named = |word: &str| {
                let names = first.notes.iter().filter_map(|note| note.strip_prefix(word)).collect::<Vec<_>>();
                (!names.is_empty()).then(|| names.join(", "))
            };
            match (named("needs "), named("may open ")) {
                (Some(needed), _) => format!("{place} links {needed} dynamically{more}"),
                (None, Some(opens)) => format!("{place} may open {opens} while it runs{more}"),
                (None, None) => format!("{place} looks for shared libraries{more}"),
            }
        }
        Code::AuditIncomplete => format!("{place}: {}{more}", first.notes.join("; ")),
        _ => code.as_str().to_owned(),
    }
}

/// The others that have the same code, by the names of their files.
fn shared(evidence: &Evidence) -> String {
    let name = |one: &String| match one.rsplit_once(" of ") {
        Some((file, package)) => format!("{} of {package}", base_name(file)),
        None => one.clone(),
    };
    let names: Vec<String> = evidence.shared_by.iter().map(name).collect();
    some(&names, 3)
}

/// What of an original is part of a file.
fn included(evidence: &Evidence, original: &str, package: &str) -> String {
    let place = &evidence.place;
    if let Some(device) = &evidence.device {
        let mut shares = Vec::new();
        if device.entries_found > 0 {
            shares.push(format!("{} of its {} fatbin entries", device.entries_found, device.entries));
        }
        if device.kernels_found > 0 {
            shares.push(format!("{} of its {} kernels", device.kernels_found, device.kernels));
        }
        return format!("{place} contains device code of {original} of {package} ({})", shares.join(", "));
    }
    let found: u32 = evidence.members.iter().map(|m| m.functions_found).sum();
    let known: u32 = evidence.members.iter().map(|m| m.functions_known).sum();
    if !evidence.shared_by.is_empty() {
        let functions = counted(found, "function");
        return format!(
            "{place} contains code that {original} of {package} shares with {} ({functions})",
            shared(evidence)
        );
    }
    format!("{place} contains {found} of {known} functions of {original} of {package}")
}

/// Whether all that is known is what a file or a package says of itself.
fn says_itself(evidence: &Evidence) -> bool {
    let itself = |sign: &Sign| matches!(sign, Sign::Maker { .. } | Sign::MadeBy { .. });
    !evidence.signs.is_empty() && evidence.signs.iter().all(itself)
}

/// A sign without its examples, which stand in the evidence.
fn short_sign(known: &Sign) -> String {
    match known.clone() {
        Sign::Strings { found, known, .. } => sign(&Sign::Strings { found, known, examples: Vec::new() }),
        Sign::Interface { found, .. } => sign(&Sign::Interface { found, examples: Vec::new() }),
        Sign::VersionInfo { .. } | Sign::Maker { .. } | Sign::MadeBy { .. } | Sign::Name { .. } => sign(known),
    }
}

fn known_by(evidence: &Evidence) -> &'static str {
    match evidence.driver_sign {
        Some(DriverSign::FileName) => ", known by the name of the file",
        Some(DriverSign::Soname) => ", known by its SONAME",
        None => "",
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
        n => format!(", nor {}", counted(n as u64 - 1, "more file")),
    };
    let shared = match example {
        Some(evidence) if !evidence.shared_by.is_empty() => {
            format!(", code of which is also in {}; the strictest terms decide", shared(evidence))
        }
        _ => String::new(),
    };
    format!("the {} does not list {place}{what}{shared}{more}", terms.title())
}

pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn counted<N: Into<u64>>(number: N, one: &str) -> String {
    let number = number.into();
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// The first `most` of a list, and how many more there are.
fn some(items: &[String], most: usize) -> String {
    let shown = items.get(..most).unwrap_or(items).join(", ");
    if items.len() > most { format!("{shown} and {} more", items.len() - most) } else { shown }
}

/// `512 of 1,024 bytes of code (50.0 %)`; without the share where there is nothing to have one of.
fn share(found: u64, all: u64, what: &str) -> String {
    let bytes = format!("{} of {} bytes of {what}", grouped(found), grouped(all));
    if all == 0 { bytes } else { format!("{bytes} ({:.1} %)", found as f64 * 100.0 / all as f64) }
}

/// A number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests;
