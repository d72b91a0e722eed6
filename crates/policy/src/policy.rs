//! Policies: one TOML file, read strictly.

use crate::read::{Mistake, Reader, Value};
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
    pub(crate) findings: Findings,
}

/// What is done with each kind of finding. Where the version is not known, or the library is a driver's,
/// there are no terms to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Findings {
    pub(crate) copy: Treatment,
    pub(crate) modified_copy: Treatment,
    pub(crate) static_code: Treatment,
    pub(crate) cudart_static: Treatment,
    pub(crate) device_code: Treatment,
    pub(crate) suspected: Action,
    pub(crate) driver: Action,
    pub(crate) not_fully_audited: Action,
}

impl Findings {
    const TREATED: [&str; 5] = ["copy", "modified-copy", "static-code", "cudart-static", "device-code"];
    const DECIDED: [&str; 3] = ["suspected", "driver", "not-fully-audited"];

    fn read<'a>(reader: &mut Reader<'a>, value: &Value<'a>) -> Option<Self> {
        let table = reader.table(value)?;
        let fields = reader.fields(table, &[Self::TREATED.as_slice(), &Self::DECIDED].concat());
        let [copy, modified_copy, static_code, cudart_static, device_code] = Self::TREATED.map(|name| {
            let treatment = reader.required(&fields, name, value.span())?;
            reader.one_of(treatment, &TREATMENTS)
        });
        let [suspected, driver, not_fully_audited] = Self::DECIDED.map(|name| {
            let action = reader.required(&fields, name, value.span())?;
            reader.one_of(action, &ACTIONS)
        });
        Some(Self {
            copy: copy?,
            modified_copy: modified_copy?,
            static_code: static_code?,
            cudart_static: cudart_static?,
            device_code: device_code?,
            suspected: suspected?,
            driver: driver?,
            not_fully_audited: not_fully_audited?,
        })
    }
}

/// A policy of before there was this class does not name it, and publishes nothing of it.
const LATER_CLASS: (&str, Class) = ("made-from-free", Class::MadeFromFree);
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
                let known = CLASSES.iter().chain([&LATER_CLASS]).map(|(name, _)| *name).collect::<Vec<_>>();
                let inner = reader.fields(table, &known);
                let read = CLASSES.map(|(name, class)| {
                    let action = reader.required(&inner, name, value.span())?;
                    Some((class, reader.one_of(action, &ACTIONS)?))
                });
                let (name, class) = LATER_CLASS;
                let later = inner.get(name).map(|action| Some((class, reader.one_of(action, &ACTIONS)?)));
                read.into_iter().chain(later).collect::<Option<BTreeMap<_, _>>>()
            });

            let findings = reader.required(&fields, "findings", 0..0).and_then(|value| Findings::read(reader, value));
            let () = version?;
            Some(Self { name: name?, terms: terms?, classes: classes?, findings: findings? })
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
        assert_eq!(policy.action(Class::MadeFromFree), Action::Publish);
        let without = shipped::DEFAULT_POLICY.replace("\nmade-from-free = \"publish\"", "");
        assert_eq!(Policy::parse(&without).unwrap().action(Class::MadeFromFree), Action::Withhold);
        let strict = Policy::parse(include_str!("../../../policies/strict.toml")).unwrap();
        // Neither knows what it would publish where the version is not known, or a driver's library is found.
        for findings in [&policy.findings, &strict.findings] {
            assert_eq!((findings.suspected, findings.driver), (Action::Withhold, Action::Withhold));
            assert_eq!(findings.not_fully_audited, Action::Withhold);
        }
        let treated = |f: &Findings| [f.copy, f.modified_copy, f.static_code, f.cudart_static, f.device_code];
        assert_eq!(treated(&policy.findings), [Treatment::Terms; 5]);
        assert_eq!(treated(&strict.findings), [Treatment::Withhold; 5]);
    }

    #[test]
    fn every_mistake_is_shown_with_its_line() {
        let text = "version = 2\nname = \"x\"\nterms = []\n[classes]\nfree = \"yes\"\nredistributable = \"publish\"\n\
                    restricted = \"withhold\"\nunknown = \"withhold\"\nshareware = \"publish\"\n\n[findings]\n\
                    copy = \"terms\"\nmodified-copy = true\nstatic-code = \"terms\"\ncudart-static = \"publish\"\n\
                    suspected = \"terms\"\n";
        let mistakes = Policy::parse(text).unwrap_err();
        let shown: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
        insta::assert_snapshot!(shown.join("\n"), @r#"
        1:11: `2` should be 1, the only version there is
        5:8: `"yes"` should be one of `publish`, `withhold`
        9:1: `shareware` is not known here; known are `free`, `redistributable`, `restricted`, `unknown`, `made-from-free`
        11:1: `device-code` is missing
        11:1: `driver` is missing
        11:1: `not-fully-audited` is missing
        13:17: `true` should be one of `terms`, `withhold`, `publish`
        16:13: `"terms"` should be one of `publish`, `withhold`
        "#);
    }

    #[test]
    fn broken_toml_is_a_mistake_with_a_line() {
        let mistakes = Policy::parse("version = 1\nname = \n").unwrap_err();
        assert!(mistakes.iter().any(|m| m.line == 2), "{mistakes:?}");
    }
}
