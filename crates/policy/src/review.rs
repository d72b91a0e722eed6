//! Reviews: what an operator answered about packages that are not plainly free.
//!
//! An answer never loosens. `confirmed` explains, and what the license forbids is for a grant to lift; `replaced` and
//! `from-vendor` withhold, and go on to do so after their last day: what ends is only the answer.

use crate::decision::{Effect, Reason};
use crate::entries::{Rule, Warrant, entry, only, text};
use crate::index::About;
use crate::lift::ended;
use crate::matcher::{Asked, Case, Matcher};
use crate::policy::{Action, Rules};
use crate::read::{Reader, Value};
use crate::{Code, Date};
use narthex_license::{Class, LicenseFacts};

/// Where a package that is not plainly free belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// Somebody made sure that it may be passed on.
    Confirmed,
    /// Something that may be passed on takes its place.
    Replaced,
    /// Users fetch it from the vendor.
    FromVendor,
}

/// The words for the answers.
pub(crate) const ANSWERS: [(&str, Answer); 3] =
    [("confirmed", Answer::Confirmed), ("replaced", Answer::Replaced), ("from-vendor", Answer::FromVendor)];

impl Answer {
    /// The word that policies have for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Replaced => "replaced",
            Self::FromVendor => "from-vendor",
        }
    }

    fn withholds(self) -> bool {
        self != Self::Confirmed
    }
}

/// What somebody answered about some packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Review {
    pub(crate) about: Matcher,
    pub(crate) answer: Answer,
    replacement: Option<String>,
    pub(crate) warrant: Warrant,
}

impl Review {
    const ABOUT: [&str; 3] = ["license", "package", "attribute"];

    pub(crate) fn read<'a>(reader: &mut Reader<'a>, value: &Value<'a>) -> Option<Self> {
        let (fields, at) = entry(reader, value, &[&Self::ABOUT, &["answer", "replacement"], &Warrant::FIELDS])?;
        let about = Matcher::read(reader, &only(&fields, &Self::ABOUT), at.clone());
        let answer = reader.required(&fields, "answer", at.clone()).and_then(|value| reader.one_of(value, &ANSWERS));
        let replacement = match (answer, fields.get("replacement")) {
            (Some(Answer::Replaced), _) => text(reader, &fields, "replacement", &at).map(Some),
            (Some(_), Some(value)) => {
                reader.mistake(value.span(), "only what is `replaced` has a `replacement`".to_owned());
                None
            }
            (_, _) => Some(None),
        };
        let warrant = Warrant::read(reader, &fields, &at);
        Some(Self { about: about?, answer: answer?, replacement: replacement?, warrant: warrant? })
    }

    pub(crate) fn shown(&self) -> String {
        format!("the review about {}", self.about.shown())
    }

    /// Whether it keeps packages back, also after its last day.
    pub(crate) fn withholds(&self) -> bool {
        self.answer.withholds()
    }

    fn message(&self, living: bool) -> String {
        let Warrant { reason, responsible, until, .. } = &self.warrant;
        let answer = match (self.answer, &self.replacement) {
            (Answer::Confirmed, _) => "the rights are confirmed".to_owned(),
            (Answer::FromVendor, _) => "users fetch it from the vendor".to_owned(),
            (Answer::Replaced, Some(by)) => format!("{by} takes its place"),
            (Answer::Replaced, None) => "something else takes its place".to_owned(),
        };
        let time = if living { format!("until {until}") } else { format!("which ended on {until} and still holds") };
        format!("a review about {}, {time}: {answer}: {reason} ({responsible})", self.about.shown())
    }
}

/// What the reviews about a package say, ended ones included.
pub(crate) fn reasons(about: &About<'_>, today: Date) -> Vec<Reason> {
    let mut reasons = Vec::new();
    for review in about.reviews() {
        let living = review.warrant.holds_on(today);
        let effect = if review.withholds() { Effect::Withhold } else { Effect::Note };
        if living || review.withholds() {
            reasons.push(Reason::new(Code::PolicyReview, effect, review.message(living), Vec::new()));
        }
        if !living {
            let message = ended(&review.shown(), review.warrant.until, &review.warrant.responsible);
            reasons.push(Reason::new(Code::PolicyExpired, Effect::Note, message, Vec::new()));
        }
    }
    reasons
}

/// An answer, and the entry that gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Where the package belongs.
    pub answer: Answer,
    /// The entry, for people.
    pub by: String,
}

impl Rules {
    /// What an entry of the operator answers about a package as a whole, while it lasts: a review, a rule that withholds
    /// it or names it, a grant that covers it, or an exception from `license-unknown`, where that is what it comes to.
    /// Of several, one that withholds. Terms are no answer of the operator, nor is an entry about some outputs, files
    /// or findings, or a rule that publishes whatever is called anything.
    pub fn answered(&self, case: &Case<'_>, facts: Option<&LicenseFacts>) -> Option<Answered> {
        let asked = Asked::new(case, facts);
        let (about, today) = (self.about(&asked), self.today());
        let is_whole = Matcher::is_about_whole_packages;
        let reviews = about.reviews().filter(|review| review.warrant.holds_on(today) && is_whole(&review.about));
        let reviews = reviews.map(|review| Answered { answer: review.answer, by: review.shown() });
        let answers = |rule: &&Rule| rule.then == Action::Withhold || rule.about.names(&asked);
        let rules = about.rules().filter(|rule| is_whole(&rule.about)).filter(answers).map(|rule| Answered {
            answer: if rule.then == Action::Withhold { Answer::FromVendor } else { Answer::Confirmed },
            by: format!("the rule about {}", rule.about.shown()),
        });
        let grants = about.grants().filter(|grant| grant.warrant.holds_on(today));
        let grants = grants.map(|grant| Answered { answer: Answer::Confirmed, by: grant.shown() });
        let exceptions = about.exceptions().filter(|exception| {
            let asked = exception.codes.contains(&Code::LicenseUnknown) && self.class(facts) == Class::Unknown;
            asked && exception.warrant.holds_on(today) && is_whole(&exception.about)
        });
        let exceptions = exceptions.map(|exception| Answered { answer: Answer::Confirmed, by: exception.shown() });
        let all: Vec<Answered> = reviews.chain(rules).chain(grants).chain(exceptions).collect();
        all.iter().find(|answered| answered.answer.withholds()).or(all.first()).cloned()
    }

    /// Entries that would answer about a package and have ended: which, when, and whom to ask.
    pub fn ended_answers(&self, case: &Case<'_>, facts: Option<&LicenseFacts>) -> Vec<String> {
        let about = self.about(&Asked::new(case, facts));
        let reviews = about.reviews().map(|review| (review.shown(), &review.warrant));
        let grants = about.grants().map(|grant| (grant.shown(), &grant.warrant));
        let exceptions = about.exceptions().filter(|exception| {
            exception.codes.contains(&Code::LicenseUnknown) && exception.about.is_about_whole_packages()
        });
        let exceptions = exceptions.map(|exception| (exception.shown(), &exception.warrant));
        let ended_one = |(what, warrant): (String, &Warrant)| ended(&what, warrant.until, &warrant.responsible);
        let all = reviews.chain(grants).chain(exceptions);
        all.filter(|(_, warrant)| !warrant.holds_on(self.today())).map(ended_one).collect()
    }
}

#[cfg(test)]
mod tests;
