//! `extends`: a policy that states only how it differs from another one.
//!
//! What the other one says holds, until this one says something else: single keys take the place of its keys, and entries
//! come behind its entries. Which text a file has is the caller's to find out. Shipped policies are known here.

use crate::policy::Policy;
use crate::read::{Mistake, Reader, Value};
use crate::shipped;
use std::sync::Arc;

/// So many policies may extend one another.
const DEEPEST: usize = 16;

/// A policy's text, and what it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyText {
    /// The name of a shipped policy, or a file's: always the same one for the same file.
    pub called: String,
    /// What stands in it.
    pub text: String,
}

/// Finds the text of a file that a policy extends: by what it is called there, and by what that policy is called itself. Says
/// why, where it cannot.
pub type FindText<'f> = &'f mut dyn FnMut(&str, &str) -> Result<PolicyText, String>;

/// For texts that name no files.
pub(crate) fn no_files(named: &str, _from: &str) -> Result<PolicyText, String> {
    Err(format!("`{named}` cannot be looked for here"))
}

/// Reads the policy that `value` names. `chain` are the policies that extend each other so far, the last one of which says
/// this.
pub(crate) fn base<'a>(
    reader: &mut Reader<'a>,
    value: &Value<'a>,
    chain: &mut Vec<String>,
    find: FindText<'_>,
) -> Option<Policy> {
    let named = reader.string(value)?;
    let found = match text_of(&named, chain, find) {
        Ok(found) => found,
        Err(message) => {
            reader.mistake(value.span(), message);
            return None;
        }
    };
    if chain.contains(&found.called) {
        reader
            .mistake(value.span(), format!("`{named}` extends this policy in turn: one of the two has to stand alone"));
        return None;
    }
    if chain.len() == DEEPEST {
        reader.mistake(value.span(), format!("more than {DEEPEST} policies extend one another"));
        return None;
    }
    chain.push(found.called.clone());
    let read = Policy::read_in(&found.text, Some(Arc::from(found.called)), chain, find);
    chain.pop();
    match read {
        Ok(policy) => Some(policy),
        Err(mistakes) => {
            reader.add_mistakes(mistakes);
            None
        }
    }
}

fn text_of(named: &str, chain: &[String], find: FindText<'_>) -> Result<PolicyText, String> {
    if let Some((called, text)) = shipped::POLICIES.iter().find(|(name, _)| *name == named) {
        return Ok(PolicyText { called: (*called).to_owned(), text: (*text).to_owned() });
    }
    if named.ends_with(".toml") {
        return find(named, chain.last().map_or("", String::as_str));
    }
    let known = shipped::POLICIES.map(|(name, _)| format!("`{name}`")).join(", ");
    Err(format!(
        "no policy that ships is called `{named}`: there are {known}; a file is named by its path, ending in .toml"
    ))
}

impl Mistake {
    /// The mistake with the file that it is in: `read` where it is in none that the policy extends.
    pub fn shown_in(&self, read: &str) -> String {
        let file = self.file.as_deref().unwrap_or(read);
        format!("{file}:{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, Date, Rules};
    use narthex_license::{Class, Reading};

    const HEAD: &str = "version = 1\nname = \"mine\"\n";

    /// Reads the first of these files, which may extend the others.
    fn read(files: &[(&str, &str)]) -> Result<Policy, Vec<String>> {
        let mut find = |named: &str, from: &str| {
            let known = files.iter().find(|(name, _)| *name == named);
            let (called, text) = known.ok_or_else(|| format!("`{named}` cannot be read, says {from}"))?;
            Ok(PolicyText { called: (*called).to_owned(), text: (*text).to_owned() })
        };
        let (called, text) = files[0];
        let read = Policy::read(text, called, &mut find);
        read.map_err(|mistakes| mistakes.iter().map(|mistake| mistake.shown_in(called)).collect())
    }

    fn mine(more: &str) -> String {
        format!("{HEAD}{more}")
    }

    #[test]
    fn what_is_not_said_is_inherited() {
        let default = Policy::parse(shipped::DEFAULT_POLICY).unwrap();
        let same = read(&[("mine.toml", &mine("extends = \"default\"\n"))]).unwrap();
        let rules = |policy: &Policy| Rules::new(policy.clone(), Vec::new(), Date::of_unix_time(0));
        assert_eq!(rules(&default).differences(&rules(&same)), [""; 0]);
        assert_eq!((same.name(), same.terms()), ("mine", default.terms()));
        assert_eq!(same.action(Class::MadeFromFree), Action::Publish);
        assert_eq!(same.texts().len(), 2);

        let text = mine(
            "extends = \"default\"\nlists = \"lenient\"\nterms = [\"./mine.toml\", \"cudnn\"]\n[classes]\nrestricted = \"publish\"\n\
             [findings]\ncopy = \"withhold\"\n[[rules]]\npackage = [\"a\"]\nthen = \"withhold\"\nreason = \"x\"\n",
        );
        let other = read(&[("mine.toml", &text)]).unwrap();
        assert_eq!(other.lists(), Reading::Lenient);
        let actions = [Class::Free, Class::Restricted, Class::Unknown].map(|class| other.action(class));
        assert_eq!(actions, [Action::Publish, Action::Publish, Action::Withhold]);
        // Its own terms are asked first, and none twice.
        assert_eq!(other.terms()[..3], ["./mine.toml", "cudnn", "cuda-toolkit"].map(str::to_owned));
        assert_eq!(other.terms().len(), default.terms().len() + 1);
        assert_eq!(other.rules.len(), 1);
    }

    #[test]
    fn entries_come_behind_those_of_a_file() {
        let review = |package: &str| {
            format!(
                "[[reviews]]\npackage = [\"{package}\"]\nanswer = \"from-vendor\"\nreason = \"x\"\nresponsible = \"me\"\nuntil = 2020-01-01\n"
            )
        };
        let company =
            format!("version = 1\nname = \"company\"\nextends = \"strict\"\nterms = [\"own.toml\"]\n{}", review("a"));
        let text = mine(&format!("extends = \"company.toml\"\n{}", review("b")));
        let policy = read(&[("mine.toml", &text), ("company.toml", &company)]).unwrap();
        assert_eq!((policy.reviews.len(), policy.inherited_reviews()), (2, 1));
        assert_eq!(policy.texts().len(), 3);
        let terms: Vec<_> = policy.named_terms().take(2).collect();
        assert_eq!(terms[0], ("own.toml", Some("company.toml")));
        // What has ended is told with its file.
        let rules = Rules::new(policy, Vec::new(), Date::of_unix_time(1_800_000_000));
        let ended: Vec<String> = rules.ended().iter().map(|ended| ended.shown_in("mine.toml")).collect();
        assert!(ended[0].starts_with("company.toml:10:9: ") && ended[1].starts_with("mine.toml:9:9: "), "{ended:#?}");
        // One about the same is one too many.
        let text = mine(&format!("extends = \"company.toml\"\n{}", review("a")));
        let mistakes = read(&[("mine.toml", &text), ("company.toml", &company)]).unwrap_err();
        assert_eq!(mistakes, ["mine.toml:4:1: an earlier review is about package a as well"]);
    }

    #[test]
    fn what_cannot_be_extended_is_a_mistake_at_its_place() {
        let check = |files: &[(&str, &str)], expected: &[&str]| {
            let mistakes = read(files).unwrap_err();
            assert_eq!(mistakes, expected);
        };
        check(
            &[("mine.toml", &mine("extends = \"lax\"\n"))],
            &[
                "mine.toml:3:11: no policy that ships is called `lax`: there are `default`, `strict`, `redistributable-only`, \
               `private`; a file is named by its path, ending in .toml",
            ],
        );
        check(
            &[("mine.toml", &mine("extends = \"gone.toml\"\n"))],
            &["mine.toml:3:11: `gone.toml` cannot be read, says mine.toml"],
        );
        check(&[("mine.toml", &mine("extends = 7\n"))], &["mine.toml:3:11: `7` should be a text"]);
        check(
            &[("mine.toml", &mine("extends = \"mine.toml\"\n"))],
            &["mine.toml:3:11: `mine.toml` extends this policy in turn: one of the two has to stand alone"],
        );
        check(
            &[("mine.toml", &mine("extends = \"b.toml\"\n")), ("b.toml", &mine("\nextends = \"mine.toml\"\n"))],
            &["b.toml:4:11: `mine.toml` extends this policy in turn: one of the two has to stand alone"],
        );
        // A mistake in the other one is shown there, and what it would have said is not missed here.
        let broken = shipped::DEFAULT_POLICY.replace("free = \"publish\"", "free = \"give\"");
        let line = broken.lines().position(|line| line == "free = \"give\"").unwrap() + 1;
        check(
            &[("mine.toml", &mine("extends = \"b.toml\"\nwrong = 1\n")), ("b.toml", &broken)],
            &[
                "mine.toml:4:1: `wrong` is not known here; known are `version`, `name`, `extends`, `terms`, `lists`, `classes`, \
                 `findings`, `rules`, `exceptions`, `grants`, `corrections`, `reviews`, `licenses`",
                &format!("b.toml:{line}:8: `\"give\"` should be one of `publish`, `withhold`"),
                &format!("b.toml:{}:18: `\"give\"` should be one of `publish`, `withhold`", line + 6),
            ],
        );
        let chain: Vec<(String, String)> = (0..20)
            .map(|number| (format!("{number}.toml"), mine(&format!("extends = \"{}.toml\"\n", number + 1))))
            .collect();
        let chain: Vec<(&str, &str)> = chain.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        check(&chain, &["15.toml:3:11: more than 16 policies extend one another"]);
        // By itself, a policy says everything.
        let mistakes = Policy::parse(HEAD).unwrap_err();
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
    }
}
