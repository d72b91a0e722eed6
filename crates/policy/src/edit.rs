//! Writes an answer into the text of a policy.
//!
//! An answer grows the text at its end, with the line ends that the text has, and what stands before it stays byte for
//! byte. One exception: where a review of the same packages has ended, that one is edited, since ended reviews go on to
//! withhold. Pure: who has the file writes it.

use crate::Code;
use crate::date::Date;
use crate::extend::{FindText, PolicyText};
use crate::matcher::{Asked, Case, Patterns, glob_matches};
use crate::policy::{Policy, Rules};
use crate::read::Mistake;
use crate::review::{Answer, Review};
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, RawString, Table, value};

/// What is to be written.
#[derive(Clone, Debug)]
pub struct NewAnswer<'a> {
    /// Patterns of package names.
    pub packages: &'a [String],
    /// License values, in the place of packages: patterns of them, or texts whose meaning is given.
    pub licenses: &'a [String],
    /// What the entry says.
    pub entry: Entry<'a>,
    /// Why.
    pub reason: &'a str,
    /// Who answers for it.
    pub responsible: &'a str,
    /// The last day on which it holds. Only the meaning of a text may hold for good.
    pub until: Option<Date>,
}

/// What an entry says.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// A review: the rights are confirmed.
    Confirmed,
    /// A grant under this agreement.
    Grant(&'a str),
    /// An exception: what is known of the packages suffices, although they declare no license.
    Unknown,
    /// A review: this takes the packages' place.
    Replaced(&'a str),
    /// A review: users fetch the packages from the vendor.
    FromVendor,
    /// What license texts mean that name no license that is known.
    Means(&'a str),
}

impl Entry<'_> {
    /// The list that it stands in.
    fn list(&self) -> &'static str {
        match self {
            Self::Grant(_) => "grants",
            Self::Unknown => "exceptions",
            Self::Means(_) => "licenses",
            Self::Confirmed | Self::Replaced(_) | Self::FromVendor => "reviews",
        }
    }
}

/// A policy with an answer in it.
#[derive(Clone, Debug)]
pub struct Edited {
    /// The whole text.
    pub text: String,
    /// The entry that is new in it, with plain line ends.
    pub entry: String,
    /// Entries about some of the packages that the new one is about: of answers that differ, one that withholds holds.
    pub beside: Vec<String>,
}

/// Why an answer cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The policy has mistakes.
    #[error("the policy has mistakes")]
    Before(Vec<Mistake>),
    /// The policy would have mistakes.
    #[error("the policy would have mistakes")]
    After(Vec<Mistake>),
    /// An entry that lasts answers already.
    #[error("{package} is decided already, by {by}")]
    Decided {
        /// The package.
        package: String,
        /// The entry.
        by: String,
    },
    /// The answer would end before it begins.
    #[error("{0} is over")]
    Over(Date),
    /// The answer would not hold, since an entry with patterns of its own has ended and goes on to withhold.
    #[error("{package} is still withheld by {by}, which has ended")]
    StillWithheld {
        /// The package.
        package: String,
        /// The entry.
        by: String,
    },
    /// The entries of this name are one list, to which tables cannot be added.
    #[error("`{0}` is a list in one line")]
    OneLine(&'static str),
}

/// Writes an answer into the text of a policy, and never into one that it extends. Nothing comes back that is no valid policy, or in which the packages are
/// not decided on this day.
///
/// # Errors
/// When the packages are decided already, or cannot be decided by such an entry.
pub fn answer(policy: &PolicyText, find: FindText<'_>, new: &NewAnswer<'_>, today: Date) -> Result<Edited, EditError> {
    let PolicyText { called, text } = policy;
    let before = rules(text, called, &mut *find, today).map_err(EditError::Before)?;
    for package in new.packages {
        if let Some(answered) = before.answered(&named(package), None) {
            return Err(EditError::Decided { package: package.clone(), by: answered.by });
        }
    }
    if !matches!(new.entry, Entry::Means(_)) {
        for license in new.licenses {
            if let Some(by) = covering(before.policy(), license, today) {
                return Err(EditError::Decided { package: format!("the license value {license}"), by });
            }
        }
    }
    if let Some(until) = new.until.filter(|until| *until < today) {
        return Err(EditError::Over(until));
    }
    let (entry, list) = (table(new), new.entry.list());
    let (mut edited, taken) = without_ended(text, before.policy(), new, today);
    if !taken {
        if has_one_line(&edited, list) {
            return Err(EditError::OneLine(list));
        }
        let gap = if edited.is_empty() || ["\n\n", "\n\r\n"].iter().any(|blank| edited.ends_with(blank)) {
            ""
        } else if edited.ends_with('\n') {
            "\n"
        } else {
            "\n\n"
        };
        let added = with_ends(&format!("{gap}{}", shown(list, entry.clone())), line_end(text));
        edited.push_str(&added);
    }
    let after = rules(&edited, called, find, today).map_err(EditError::After)?;
    let permits = matches!(new.entry, Entry::Confirmed | Entry::Grant(_) | Entry::Unknown);
    for package in new.packages {
        let case = named(package);
        let about = after.about(&Asked::new(&case, None));
        let mut ended = about.reviews().filter(|review| !review.warrant.holds_on(today));
        let held = ended.find(|review| review.withholds());
        if let Some(review) = held.filter(|_| permits) {
            return Err(EditError::StillWithheld { package: package.clone(), by: review.shown() });
        }
    }
    Ok(Edited { text: edited, entry: shown(list, entry), beside: beside(before.policy(), new) })
}

/// The entry that answers, for as long as it holds, for everything that a pattern of license values is about.
fn covering(policy: &Policy, license: &str, today: Date) -> Option<String> {
    let is_covered = |patterns: Vec<(&str, &Patterns)>| {
        matches!(patterns.as_slice(), [("license", known)]
            if known.texts().iter().any(|known| known == license || glob_matches(known, license)))
    };
    let reviews = policy.reviews.iter().map(|one| (one.shown(), one.about.patterns().collect(), &one.warrant));
    let grants = policy.grants.iter().map(|one| (one.shown(), one.patterns().collect(), &one.warrant));
    let mut all = reviews.chain(grants).filter(|(_, _, warrant)| warrant.holds_on(today));
    all.find_map(|(shown, patterns, _)| is_covered(patterns).then_some(shown))
}

/// Entries with patterns that new ones cover: `cuda_*` covers `cuda_nvcc`, and `unfree*` covers `unfreeRedistributable`.
fn beside(policy: &Policy, new: &NewAnswer<'_>) -> Vec<String> {
    let reviews = policy.reviews.iter().map(|review| (review.shown(), review.about.patterns().collect::<Vec<_>>()));
    let grants = policy.grants.iter().map(|grant| (grant.shown(), grant.patterns().collect()));
    let covers = |news: &[String], text: &String| news.iter().any(|new| new != text && glob_matches(new, text));
    let is_beside = |(field, patterns): &(&str, &Patterns)| match *field {
        "package" => patterns.texts().iter().any(|text| covers(new.packages, text)),
        "license" => patterns.texts().iter().any(|text| covers(new.licenses, text)),
        _ => false,
    };
    let all = reviews.chain(grants).filter(|(_, patterns)| patterns.iter().any(is_beside));
    all.map(|(shown, _)| shown).collect()
}

fn rules(text: &str, called: &str, find: FindText<'_>, today: Date) -> Result<Rules, Vec<Mistake>> {
    Ok(Rules::new(Policy::read(text, called, find)?, Vec::new(), today))
}

fn named(package: &str) -> Case<'_> {
    Case { package, ..Case::default() }
}

/// Takes the packages out of reviews that have ended and that name nothing but packages. One that is about no others
/// becomes the new review; the second value says that this happened.
fn without_ended(text: &str, policy: &Policy, new: &NewAnswer<'_>, today: Date) -> (String, bool) {
    let is_named = |package: &String| new.packages.contains(package);
    let ended = |review: &Review| {
        let packages = review.about.only_packages().filter(|_| !review.warrant.holds_on(today))?;
        packages.iter().any(is_named).then(|| packages.iter().all(is_named))
    };
    // Those of a policy that it extends stand in another text.
    let own = policy.reviews.iter().skip(policy.inherited_reviews()).enumerate();
    let touched: Vec<(usize, bool)> = own.filter_map(|(number, review)| Some((number, ended(review)?))).collect();
    let (mut text, mut taken) = (text.to_owned(), false);
    for (number, whole) in touched.into_iter().rev() {
        // What could be read as a policy can be read as TOML.
        let Ok(mut document) = text.parse::<DocumentMut>() else { continue };
        let Some(reviews) = document.get_mut("reviews").and_then(Item::as_array_of_tables_mut) else { continue };
        let Some(review) = reviews.get_mut(number) else { continue };
        match whole {
            true if taken || new.entry.list() != "reviews" => {
                reviews.remove(number);
            }
            true => {
                become_new(review, new);
                taken = true;
            }
            false => without_packages(review, is_named),
        }
        text = with_ends_of(&text, &document.to_string());
    }
    (text, taken)
}

/// Makes an ended review the new one.
fn become_new(review: &mut Table, new: &NewAnswer<'_>) {
    review.remove("replacement");
    for (key, item) in table(new).iter() {
        let mut item = item.clone();
        // A comment behind the old value stays.
        let old = review.get(key).and_then(Item::as_value).map(|value| value.decor().clone());
        if let (Some(old), Some(value)) = (old, item.as_value_mut()) {
            *value.decor_mut() = old;
        }
        review.insert(key, item);
    }
}

/// Takes packages out of a review that is about others as well.
fn without_packages(review: &mut Table, is_named: impl Fn(&String) -> bool) {
    let Some(packages) = review.get_mut("package").and_then(Item::as_array_mut) else { return };
    packages.retain(|package| !package.as_str().is_some_and(|text| is_named(&text.to_owned())));
    // The space behind a comma that is no longer there.
    if let Some(first) = packages.get_mut(0)
        && first.decor().prefix().and_then(RawString::as_str) == Some(" ")
    {
        first.decor_mut().set_prefix("");
    }
}

/// How most lines of a text end.
fn line_end(text: &str) -> &'static str {
    if text.matches("\r\n").count() * 2 > text.matches('\n').count() { "\r\n" } else { "\n" }
}

/// A text whose lines all end like this.
fn with_ends(text: &str, end: &str) -> String {
    text.replace("\r\n", "\n").replace('\n', end)
}

/// An edited text, in which the lines around the edited place are those that stood there: a document that was read
/// forgets how lines end.
fn with_ends_of(before: &str, edited: &str) -> String {
    let plain = |line: &str| line.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']).to_owned();
    let is_same = |(old, new): &(&&str, &&str)| plain(old) == plain(new);
    let [old, new] = [before, edited].map(|text| text.split_inclusive('\n').collect::<Vec<_>>());
    let front = old.iter().zip(&new).take_while(is_same).count();
    let back = old[front..].iter().rev().zip(new[front..].iter().rev()).take_while(is_same).count();
    let middle = with_ends(&new[front..new.len() - back].concat(), line_end(before));
    [&old[..front].concat(), &middle, &old[old.len() - back..].concat()].map(String::as_str).concat()
}

/// Whether the entries are written as a list in one line, behind which no table of the same name may stand.
fn has_one_line(text: &str, list: &str) -> bool {
    text.parse::<DocumentMut>().is_ok_and(|document| document.get(list).is_some_and(|item| item.as_array().is_some()))
}

/// The fields of the new entry.
fn table(new: &NewAnswer<'_>) -> Table {
    let mut table = Table::new();
    let mut text = |name: &str, text: &str| table.insert(name, in_one_line(text));
    if let Entry::Grant(agreement) = new.entry {
        text("agreement", agreement);
    }
    let list = |texts: &[String]| value(texts.iter().map(String::as_str).collect::<Array>());
    if let Entry::Means(means) = new.entry {
        table.insert("named", list(new.licenses));
        table.insert("means", in_one_line(means));
    } else {
        for (field, texts) in [("package", new.packages), ("license", new.licenses)] {
            if !texts.is_empty() {
                table.insert(field, list(texts));
            }
        }
    }
    if let Entry::Unknown = new.entry {
        table.insert("codes", value(Array::from_iter([Code::LicenseUnknown.as_str()])));
    }
    let answer = match new.entry {
        Entry::Grant(_) | Entry::Unknown | Entry::Means(_) => None,
        Entry::Confirmed => Some((Answer::Confirmed, None)),
        Entry::Replaced(by) => Some((Answer::Replaced, Some(by))),
        Entry::FromVendor => Some((Answer::FromVendor, None)),
    };
    let mut text = |name: &str, text: &str| table.insert(name, in_one_line(text));
    if let Some((answer, replacement)) = answer {
        text("answer", answer.as_str());
        replacement.map(|by| text("replacement", by));
    }
    text("reason", new.reason);
    text("responsible", new.responsible);
    if let Some(until) = new.until.map(|until| until.to_string()) {
        // A date of ours is one of TOML's.
        table.insert("until", until.parse::<toml_edit::Datetime>().map_or_else(|_| value(until), value));
    }
    table
}

/// A text that no line end of the file becomes a part of.
fn in_one_line(text: &str) -> Item {
    if !text.contains('\n') {
        return value(text);
    }
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04X}", u32::from(c)),
        c => c.to_string(),
    });
    let written = format!("\"{}\"", escaped.collect::<String>());
    written.parse::<toml_edit::Value>().map_or_else(|_| value(text), Item::Value)
}

/// An entry as it stands in a file.
fn shown(list: &str, entry: Table) -> String {
    let mut document = DocumentMut::new();
    document.insert(list, Item::ArrayOfTables(ArrayOfTables::from_iter([entry])));
    document.to_string()
}

#[cfg(test)]
mod tests;
