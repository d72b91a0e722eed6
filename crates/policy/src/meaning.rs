//! `[[licenses]]`: what a text means that a package set gives for a license and that names none.
//!
//! Only texts that nothing knows are answered, wherever they stand in a license value: no entry gives a license that is known
//! another meaning. An entry that has ended answers nothing.

use crate::date::Date;
use crate::entries::{entry, text};
use crate::policy::Rules;
use crate::read::{Reader, Value};
use narthex_license::{Class, Correction, Expr, LicenseFacts};
use std::ops::Range;

/// Texts and the license that they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meaning {
    pub(crate) named: Vec<String>,
    means: Expr,
    reason: String,
    responsible: String,
    /// The last day on which it holds, where it ends.
    until: Option<Date>,
}

impl Meaning {
    pub(crate) fn read<'a>(reader: &mut Reader<'a>, value: &Value<'a>) -> Option<Self> {
        let (fields, at) = entry(reader, value, &[&["named", "means", "reason", "responsible", "until"]])?;
        let named = reader.required(&fields, "named", at.clone()).and_then(|value| {
            let names = reader.strings(value)?;
            if names.is_empty() {
                reader.mistake(value.span(), "`named` says nothing".to_owned());
            }
            for name in names.iter().filter(|name| !matches!(read(name), Expr::UnknownName(_))) {
                let known = read(name);
                reader.mistake(value.span(), format!("`{name}` is known already: it is {known}"));
            }
            Some(names)
        });
        let means = text(reader, &fields, "means", &at).and_then(|means| {
            let license = read(&means);
            if license.class() == Class::Unknown || !license.unknown_names().is_empty() {
                let at = fields.get("means").map_or(at.clone(), |value| value.span());
                let hint = "give an SPDX expression, or the attribute of a license in nixpkgs";
                reader.mistake(at, format!("`{means}` names no license that is known: {hint}"));
                return None;
            }
            Some(license)
        });
        let reason = text(reader, &fields, "reason", &at);
        let responsible = text(reader, &fields, "responsible", &at);
        let until = match fields.get("until") {
            Some(value) => Some(reader.date(value)?),
            None => None,
        };
        Some(Self { named: named?, means: means?, reason: reason?, responsible: responsible?, until })
    }

    /// It, for people.
    pub(crate) fn shown(&self) -> String {
        let named: Vec<String> = self.named.iter().map(|name| format!("`{name}`")).collect();
        format!("the meaning of the license {}", named.join(", "))
    }

    fn holds_on(&self, today: Date) -> bool {
        self.until.is_none_or(|until| today <= until)
    }
}

fn read(name: &str) -> Expr {
    Expr::named([name])
}

/// Two entries about one text.
pub(crate) fn contradictions(reader: &mut Reader<'_>, meanings: &[(Meaning, Range<usize>)]) {
    for (number, (meaning, at)) in meanings.iter().enumerate() {
        let (is_earlier, mut seen) = (&meanings[..number], Vec::new());
        for name in &meaning.named {
            if seen.contains(&name) || is_earlier.iter().any(|(earlier, _)| earlier.named.contains(name)) {
                reader.mistake(at.clone(), format!("what `{name}` means is said earlier as well"));
            }
            seen.push(name);
        }
    }
}

impl Rules {
    /// The entry that answers a text, while it lasts.
    fn meaning(&self, name: &str) -> Option<&Meaning> {
        let mut all = self.policy().meanings.iter();
        all.find(|meaning| meaning.named.iter().any(|named| named == name) && meaning.holds_on(self.today()))
    }

    /// Whether the policy says what this text means.
    pub fn means(&self, name: &str) -> bool {
        self.meaning(name).is_some()
    }

    /// The facts with what the texts in them mean; `None` where the policy answers none of them.
    pub(crate) fn with_meanings(&self, facts: &LicenseFacts) -> Option<LicenseFacts> {
        let names = facts.license.unknown_names();
        let answered: Vec<&Meaning> = names.iter().filter_map(|name| self.meaning(name)).collect();
        let first = answered.first()?;
        let license = self.answered_in(&facts.license);
        let (reason, source) = (first.reason.clone(), format!("as {} says", first.responsible));
        let correction = Correction { was: facts.license.to_string(), reason, source };
        Some(LicenseFacts { license, correction: Some(Box::new(correction)), ..facts.clone() })
    }

    fn answered_in(&self, license: &Expr) -> Expr {
        let all = |parts: &[Expr]| parts.iter().map(|part| self.answered_in(part)).collect();
        match license {
            Expr::UnknownName(name) => self.meaning(name).map_or_else(|| license.clone(), |found| found.means.clone()),
            Expr::List(parts) => Expr::List(all(parts)),
            Expr::All(parts) => Expr::All(all(parts)),
            Expr::Any(parts) => Expr::Any(all(parts)),
            Expr::Absent | Expr::One(_) | Expr::With(..) | Expr::OrLater(_) | Expr::Malformed(_) => license.clone(),
        }
    }

    /// Texts that entries answer and that none of these facts, which are right already, had.
    pub(crate) fn idle_meanings<'f>(&self, facts: impl Iterator<Item = &'f LicenseFacts> + Clone) -> Vec<String> {
        let was = |name: &String| {
            let shown = Expr::UnknownName(name.clone()).to_string();
            facts.clone().filter_map(|facts| facts.correction.as_ref()).any(|known| known.was.contains(&shown))
        };
        let all = self.policy().meanings.iter().flat_map(|meaning| &meaning.named);
        all.filter(|name| !was(name))
            .map(|name| format!("the meaning of the license `{name}` matches nothing"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::{Case, Date, Policy, Rules, shipped};
    use narthex_license::{Class, LicenseFacts};
    use serde_json::{Value, json};

    fn policy(entries: &str) -> Result<Policy, Vec<String>> {
        let text = format!("{}\n{entries}", shipped::DEFAULT_POLICY);
        Policy::parse(&text).map_err(|mistakes| mistakes.iter().map(|mistake| mistake.message.clone()).collect())
    }

    fn entry(named: &str, means: &str) -> String {
        format!("[[licenses]]\nnamed = [{named}]\nmeans = \"{means}\"\nreason = \"r\"\nresponsible = \"ann\"\n")
    }

    #[test]
    fn texts_are_answered_and_nothing_else() {
        let entries = entry("\"GPL\", \"BSD\"", "GPL-1.0-or-later") + &entry("\"ask us\"", "unfree");
        let rules = Rules::new(policy(&entries).unwrap(), Vec::new(), Date::of_unix_time(0));
        let class = |license: Value| {
            let facts = LicenseFacts::from_json(&json!({ "license": license }));
            rules.class(Some(&rules.correct(&Case::default(), &facts).unwrap_or(facts)))
        };
        assert_eq!(class(json!("GPL")), Class::Free);
        assert_eq!(class(json!({"shortName": "BSD"})), Class::Free);
        assert_eq!(class(json!(["GPL", "mit"])), Class::Free);
        assert_eq!(class(json!("ask us")), Class::Restricted);
        assert_eq!(class(json!(["GPL", "ask us"])), Class::Restricted);
        // Another spelling, another text beside it, a license that is known, and none.
        assert_eq!(class(json!("gpl")), Class::Unknown);
        assert_eq!(class(json!(["GPL", "no such license"])), Class::Unknown);
        assert_eq!(class(json!("unfree")), Class::Restricted);
        assert_eq!(class(json!(["GPL", "unfree"])), Class::Restricted);
        assert_eq!(class(Value::Null), Class::Unknown);
        assert_eq!(class(json!({"malformed": "GPL"})), Class::Unknown);
        let facts = LicenseFacts::from_json(&json!({ "license": "GPL" }));
        let correction = rules.correct(&Case::default(), &facts).unwrap().correction.unwrap();
        assert_eq!((correction.reason.as_str(), correction.source.as_str()), ("r", "as ann says"));
        // A correction of the package is nearer.
        let nearer =
            entries + "[[corrections]]\npackage = [\"p\"]\nlicense = [\"unfree\"]\nreason = \"x\"\nsource = \"y\"\n";
        let rules = Rules::new(policy(&nearer).unwrap(), Vec::new(), Date::of_unix_time(0));
        let case = Case { package: "p", ..Case::default() };
        assert_eq!(rules.correct(&case, &facts).unwrap().class(), Class::Restricted);
    }

    #[test]
    fn an_entry_that_has_ended_answers_nothing() {
        let text = entry("\"GPL\"", "GPL-1.0-or-later") + "until = 2026-01-31\n";
        let facts = LicenseFacts::from_json(&json!({ "license": "GPL" }));
        let corrected = |day: &str| {
            let rules = Rules::new(policy(&text).unwrap(), Vec::new(), day.parse().unwrap());
            (rules.means("GPL"), rules.correct(&Case::default(), &facts).is_some())
        };
        assert_eq!(corrected("2026-01-31"), (true, true));
        assert_eq!(corrected("2026-02-01"), (false, false));
    }

    #[test]
    fn what_cannot_hold_is_a_mistake() {
        let check = |text: &str, expected: &str| {
            let mistakes = policy(text).unwrap_err();
            assert!(mistakes.iter().any(|mistake| mistake.contains(expected)), "{text}: {mistakes:?}");
        };
        check(&entry("\"unfree\"", "MIT"), "`unfree` is known already");
        check(&entry("\"MIT\"", "unfree"), "`MIT` is known already");
        check(&entry("\"GPL\"", "GPL"), "`GPL` names no license that is known");
        check(&entry("\"GPL\"", "MIT AND GPL"), "names no license that is known");
        check(&entry("", "MIT"), "`named` says nothing");
        check(&entry("\"GPL\", \"GPL\"", "MIT"), "what `GPL` means is said earlier as well");
        check(&(entry("\"GPL\"", "MIT") + &entry("\"GPL\"", "unfree")), "what `GPL` means is said earlier as well");
        check(&entry("\"GPL\"", "MIT").replace("responsible = \"ann\"\n", ""), "`responsible`");
        check(&entry("\"GPL\"", "MIT").replace("\"r\"", "\" \""), "`reason` says nothing");
    }

    /// What ships is a suggestion: it is sound, and no shipped policy has it.
    #[test]
    fn suggestions_are_sound_and_off() {
        let all = policy(shipped::SUGGESTED_LICENSES).unwrap();
        assert!(all.warnings().is_empty() && all.meanings.len() > 3);
        let free = all.meanings.iter().all(|meaning| meaning.means.class() == Class::Free);
        assert!(free, "{:?}", all.meanings);
        for (name, text) in shipped::POLICIES {
            assert!(Policy::parse(text).unwrap().meanings.is_empty(), "{name}");
        }
    }
}
