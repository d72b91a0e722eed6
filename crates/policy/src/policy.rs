//! Policies: one TOML file, read strictly.

use crate::read::{Mistake, Reader};
use crate::terms::Terms;
use narthex_license::Class;
use std::collections::BTreeMap;

/// What is done with a class of packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Publish them, unless something else forbids it.
    Publish,
    /// Withhold them.
    Withhold,
}

/// What is done with restricted material in a package that could otherwise be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Ask the terms of the material; withhold where they do not permit it or are not known.
    Terms,
    /// Withhold whatever the terms say.
    Withhold,
    /// Note it and go on.
    Publish,
}

/// An operator's policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    name: String,
    terms: Vec<String>,
    classes: BTreeMap<Class, Action>,
    pub(crate) copy: Treatment,
    pub(crate) modified_copy: Treatment,
    pub(crate) static_code: Treatment,
    pub(crate) not_fully_audited: Action,
}

const CLASSES: [(&str, Class); 4] = [
    ("free", Class::Free),
    ("redistributable", Class::Redistributable),
    ("restricted", Class::Restricted),
    ("unknown", Class::Unknown),
];
const ACTIONS: [(&str, Action); 2] = [("publish", Action::Publish), ("withhold", Action::Withhold)];
const TREATMENTS: [(&str, Treatment); 3] =
    [("terms", Treatment::Terms), ("withhold", Treatment::Withhold), ("publish", Treatment::Publish)];

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// All mistakes in it, each with line and column.
    pub fn parse(text: &str) -> Result<Self, Vec<Mistake>> {
        Reader::run(text, |reader, root| {
            let fields = reader.fields(root.get_ref(), &["version", "name", "terms", "classes", "findings"]);
            let version = reader.required(&fields, "version", 0..0).and_then(|v| reader.version_one(v));
            let name = reader.required(&fields, "name", 0..0).and_then(|v| reader.string(v));
            let terms = reader.required(&fields, "terms", 0..0).and_then(|v| reader.strings(v));

            let classes = reader.required(&fields, "classes", 0..0).and_then(|value| {
                let table = reader.table(value)?;
                let inner = reader.fields(table, &CLASSES.map(|(name, _)| name));
                let read = CLASSES.map(|(name, class)| {
                    let action = reader.required(&inner, name, value.span())?;
                    Some((class, reader.one_of(action, &ACTIONS)?))
                });
                read.into_iter().collect::<Option<BTreeMap<_, _>>>()
            });

            let findings = reader.required(&fields, "findings", 0..0).and_then(|value| {
                let table = reader.table(value)?;
                let treated = ["copy", "modified-copy", "static-code"];
                let inner = reader.fields(table, &[treated.as_slice(), &["not-fully-audited"]].concat());
                let [copy, modified, code] = treated.map(|name| {
                    let treatment = reader.required(&inner, name, value.span())?;
                    reader.one_of(treatment, &TREATMENTS)
                });
                let incomplete = reader
                    .required(&inner, "not-fully-audited", value.span())
                    .and_then(|action| reader.one_of(action, &ACTIONS));
                Some((copy?, modified?, code?, incomplete?))
            });

            let ((), (copy, modified_copy, static_code, not_fully_audited)) = (version?, findings?);
            Some(Self {
                name: name?,
                terms: terms?,
                classes: classes?,
                copy,
                modified_copy,
                static_code,
                not_fully_audited,
            })
        })
    }

    /// The policy's name, for reports.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The terms it reads: ids of shipped ones, or paths of files relative to the policy's.
    pub fn terms(&self) -> &[String] {
        &self.terms
    }

    /// What is done with packages of a class.
    pub fn action(&self, class: Class) -> Action {
        // Every class is there after parsing; what could not be asked is withheld.
        self.classes.get(&class).copied().unwrap_or(Action::Withhold)
    }
}

/// A policy together with the terms it names.
#[derive(Clone, Debug)]
pub struct Rules {
    policy: Policy,
    terms: Vec<Terms>,
}

impl Rules {
    /// Puts them together. Which texts the names stand for is the caller's to find out.
    pub fn new(policy: Policy, terms: Vec<Terms>) -> Self {
        Self { policy, terms }
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The terms that a declared license brings with it: where several licenses apply, one that has terms
    /// is enough for them to apply.
    pub fn terms_among<'l>(&self, licenses: impl IntoIterator<Item = &'l str>) -> Option<&Terms> {
        licenses.into_iter().find_map(|license| self.terms.iter().find(|terms| terms.covers(license)))
    }

    /// The terms that stand behind all of these licenses, given by their nixpkgs attributes: where
    /// other licenses apply as well, these terms alone permit nothing.
    pub fn terms_for<'l>(&self, licenses: impl IntoIterator<Item = &'l str> + Clone) -> Option<&Terms> {
        let all = |terms: &&Terms| licenses.clone().into_iter().all(|license| terms.covers(license));
        let any = licenses.clone().into_iter().next().is_some();
        self.terms.iter().filter(|_| any).find(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shipped;

    #[test]
    fn the_shipped_policies_are_sound() {
        let policy = Policy::parse(shipped::DEFAULT_POLICY).unwrap();
        assert_eq!(policy.action(Class::Restricted), Action::Withhold);
        assert_eq!(policy.action(Class::Unknown), Action::Withhold);
        let strict = Policy::parse(include_str!("../../../policies/strict.toml")).unwrap();
        assert_eq!(strict.static_code, Treatment::Withhold);
    }

    #[test]
    fn every_mistake_is_shown_with_its_line() {
        let text = "version = 2\nname = \"x\"\nterms = []\n[classes]\nfree = \"yes\"\nredistributable = \"publish\"\n\
                    restricted = \"withhold\"\nunknown = \"withhold\"\nshareware = \"publish\"\n\n[findings]\n\
                    copy = \"terms\"\nmodified-copy = true\nstatic-code = \"terms\"\n";
        let mistakes = Policy::parse(text).unwrap_err();
        let shown: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        1:11: `2` should be 1, the only version there is
        5:8: `"yes"` should be one of `publish`, `withhold`
        9:1: `shareware` is not known here; known are `free`, `redistributable`, `restricted`, `unknown`
        11:1: `not-fully-audited` is missing
        13:17: `true` should be one of `terms`, `withhold`, `publish`
        "#);
    }

    #[test]
    fn broken_toml_is_a_mistake_with_a_line() {
        let mistakes = Policy::parse("version = 1\nname = \n").unwrap_err();
        assert!(mistakes.iter().any(|m| m.line == 2), "{mistakes:?}");
    }
}
