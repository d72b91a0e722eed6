//! Policies: one TOML file, read strictly.

use crate::date::Date;
use crate::entries::{Correction, Exception, Grant, Rule};
use crate::extend::{self, FindText};
use crate::index::Index;
use crate::matcher::{Asked, Case, Matcher, bare_name};
use crate::meaning::{self, Meaning};
use crate::read::{Mistake, Reader, Value};
use crate::review::Review;
use crate::terms::Terms;
pub(crate) use crate::treatment::{ACTIONS, CLASSES, Findings, LATER_CLASS, READINGS, TREATMENTS};
pub use crate::treatment::{Action, Treatment};
use crate::treatment::{Base, classes};
use narthex_audit::Material;
use narthex_license::{Class, LicenseFacts, Reading};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// An operator's policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    name: String,
    terms: Vec<String>,
    /// For each of the terms, the file that names them, where the policy extends it.
    terms_of: Vec<Option<Arc<str>>>,
    lists: Reading,
    classes: BTreeMap<Class, Action>,
    pub(crate) findings: Findings,
    pub(crate) rules: Vec<Rule>,
    pub(crate) exceptions: Vec<Exception>,
    pub(crate) grants: Vec<Grant>,
    pub(crate) corrections: Vec<Correction>,
    pub(crate) reviews: Vec<Review>,
    pub(crate) meanings: Vec<Meaning>,
    /// So many of them, the first ones, are of the policy that it extends.
    inherited_reviews: usize,
    warnings: Vec<Mistake>,
    /// Its own text, and then those that it extends.
    texts: Vec<String>,
}

const KNOWN: [&str; 13] = [
    "version",
    "name",
    "extends",
    "terms",
    "lists",
    "classes",
    "findings",
    "rules",
    "exceptions",
    "grants",
    "corrections",
    "reviews",
    "licenses",
];

fn without_places<T>(entries: Vec<(T, Range<usize>)>) -> Vec<T> {
    entries.into_iter().map(|(entry, _)| entry).collect()
}

/// Two entries about the same that cannot both hold.
fn contradictions(
    reader: &mut Reader<'_>,
    rules: &[(Rule, Range<usize>)],
    corrections: &[(Correction, Range<usize>)],
    reviews: &[(Review, Range<usize>)],
) {
    for (rule, other, at) in about_the_same(rules, |rule| &rule.about) {
        let what = if other.then == rule.then { "says the same as" } else { "contradicts" };
        reader.mistake(at, format!("this rule {what} an earlier one about {}", rule.about.shown()));
    }
    for (correction, _, at) in about_the_same(corrections, |correction| &correction.about) {
        reader.mistake(at, format!("an earlier correction is about {} as well", correction.about.shown()));
    }
    for (review, _, at) in about_the_same(reviews, |review| &review.about) {
        reader.mistake(at, format!("an earlier review is about {} as well", review.about.shown()));
    }
}

/// Entries that are about the same as an earlier one, with the first such one.
fn about_the_same<T>(entries: &[(T, Range<usize>)], about: impl Fn(&T) -> &Matcher) -> Vec<(&T, &T, Range<usize>)> {
    let mut known: BTreeMap<Vec<(&str, &[String])>, &T> = BTreeMap::new();
    let mut same = Vec::new();
    for (entry, at) in entries {
        let patterns = about(entry).patterns().map(|(field, patterns)| (field, patterns.sorted()));
        match known.entry(patterns.collect()) {
            Entry::Occupied(first) => same.push((entry, *first.get(), at.clone())),
            Entry::Vacant(place) => {
                place.insert(entry);
            }
        }
    }
    same
}

/// Entries behind those of the policy that is extended, which have no place in this text.
fn behind<T: Clone>(base: Option<&Vec<T>>, own: Vec<(T, Range<usize>)>) -> Vec<(T, Range<usize>)> {
    base.into_iter().flatten().map(|entry| (entry.clone(), 0..0)).chain(own).collect()
}

/// The names of terms, none of them twice.
fn named_terms<'a>(reader: &mut Reader<'a>, value: &Value<'a>) -> Option<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for item in reader.array(value)? {
        let name = reader.string(item)?;
        if names.contains(&name) {
            reader.mistake(item.span(), format!("the terms `{name}` are named twice"));
        }
        names.push(name);
    }
    Some(names)
}

impl Policy {
    /// Reads a policy that extends none, or a shipped one.
    ///
    /// # Errors
    /// All mistakes in it, each with line and column.
    pub fn parse(text: &str) -> Result<Self, Vec<Mistake>> {
        Self::read(text, "", &mut extend::no_files)
    }

    /// Reads a policy. `called` is what other files call it; `find` gives the texts of files that it extends.
    ///
    /// # Errors
    /// All mistakes in it and in what it extends, each with line and column.
    pub fn read(text: &str, called: &str, find: FindText<'_>) -> Result<Self, Vec<Mistake>> {
        Self::read_in(text, None, &mut vec![called.to_owned()], find)
    }

    pub(crate) fn read_in(
        text: &str,
        file: Option<Arc<str>>,
        chain: &mut Vec<String>,
        find: FindText<'_>,
    ) -> Result<Self, Vec<Mistake>> {
        Reader::run_in(text, file.clone(), |reader, root| {
            let fields = reader.root(root, &KNOWN);
            let version = reader.required(&fields, "version", 0..0).and_then(|v| reader.version_one(v));
            let name = reader.required(&fields, "name", 0..0).and_then(|v| reader.string(v));
            let base = fields.get("extends").map(|value| extend::base(reader, value, chain, find));
            let base: Base<'_, Self> = base.as_ref().map(Option::as_ref);

            let own_terms = match (fields.get("terms"), base) {
                (Some(value), _) => named_terms(reader, value),
                (None, Some(_)) => Some(Vec::new()),
                (None, None) => reader.required(&fields, "terms", 0..0).map(|_| Vec::new()),
            };
            let classes = match (fields.get("classes"), base) {
                (Some(value), _) => classes(reader, value, base.map(|base| base.map(|base| &base.classes))),
                (None, Some(base)) => base.map(|base| base.classes.clone()),
                (None, None) => reader.required(&fields, "classes", 0..0).map(|_| BTreeMap::new()),
            };
            let findings = match (fields.get("findings"), base) {
                (Some(value), _) => Findings::read(reader, value, base.map(|base| base.map(|base| &base.findings))),
                (None, Some(base)) => base.map(|base| base.findings.clone()),
                (None, None) => reader.required(&fields, "findings", 0..0).and(None),
            };
            let lists = match (fields.get("lists"), base.flatten()) {
                (Some(value), _) => reader.one_of(value, &READINGS),
                (None, Some(base)) => Some(base.lists),
                (None, None) => Some(Reading::Strict),
            };
            let rules = reader.entries(&fields, "rules", Rule::read);
            let exceptions = reader.entries(&fields, "exceptions", Exception::read);
            let grants = reader.entries(&fields, "grants", Grant::read);
            let corrections = reader.entries(&fields, "corrections", Correction::read);
            let reviews = reader.entries(&fields, "reviews", Review::read);
            let meanings = reader.entries(&fields, "licenses", Meaning::read);
            let base = base.flatten();
            let rules = behind(base.map(|base| &base.rules), rules);
            let corrections = behind(base.map(|base| &base.corrections), corrections);
            let reviews = behind(base.map(|base| &base.reviews), reviews);
            let meanings = behind(base.map(|base| &base.meanings), meanings);
            contradictions(reader, &rules, &corrections, &reviews);
            meaning::contradictions(reader, &meanings);
            let () = version?;
            // Its own terms are asked first.
            let mut terms: Vec<(String, Option<Arc<str>>)> =
                own_terms?.into_iter().map(|named| (named, file.clone())).collect();
            for (named, of) in base.into_iter().flat_map(|base| base.terms.iter().zip(&base.terms_of)) {
                let is_known = |(known, from): &(String, Option<Arc<str>>)| {
                    known == named && (from == of || !named.ends_with(".toml"))
                };
                if !terms.iter().any(is_known) {
                    terms.push((named.clone(), of.clone()));
                }
            }
            let (terms, terms_of) = terms.into_iter().unzip();
            let mut texts = vec![text.to_owned()];
            texts.extend(base.into_iter().flat_map(|base| base.texts.clone()));
            let inherited = base.map_or(&[] as &[Mistake], |base| &base.warnings);
            Some(Self {
                name: name?,
                terms,
                terms_of,
                lists: lists?,
                classes: classes?,
                findings: findings?,
                rules: without_places(rules),
                exceptions: without_places(behind(base.map(|base| &base.exceptions), exceptions)),
                grants: without_places(behind(base.map(|base| &base.grants), grants)),
                corrections: without_places(corrections),
                reviews: without_places(reviews),
                meanings: without_places(meanings),
                inherited_reviews: base.map_or(0, |base| base.reviews.len()),
                warnings: [inherited, &reader.take_warnings()].concat(),
                texts,
            })
        })
    }

    /// The terms that a text names, as far as it can be read at all: for whoever looks for the mistakes in all files.
    pub fn terms_in(text: &str) -> Vec<String> {
        let (root, _) = DeTable::parse_recoverable(text);
        let Some(DeValue::Array(items)) = root.get_ref().get("terms").map(Spanned::get_ref) else { return Vec::new() };
        items.iter().filter_map(|item| item.get_ref().as_str()).map(str::to_owned).collect()
    }

    /// The policy's name, for reports.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The terms it reads: ids of shipped ones, or paths of files relative to the policy's.
    pub fn terms(&self) -> &[String] {
        &self.terms
    }

    /// The same, each with the file that names it, where the policy extends that one: paths are relative to it.
    pub fn named_terms(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.terms.iter().map(String::as_str).zip(self.terms_of.iter().map(Option::as_deref))
    }

    /// The texts that it was read from: its own, and then those that it extends.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// How many of its reviews, the first ones, stand in a policy that it extends.
    pub(crate) fn inherited_reviews(&self) -> usize {
        self.inherited_reviews
    }

    /// What is no mistake and perhaps not meant, in the order of the entries.
    pub fn warnings(&self) -> &[Mistake] {
        &self.warnings
    }

    /// How lists of licenses are read.
    pub fn lists(&self) -> Reading {
        self.lists
    }

    /// Whether it puts any facts right, of packages or of all that have a license by some name.
    pub fn corrects(&self) -> bool {
        !self.corrections.is_empty() || !self.meanings.is_empty()
    }

    /// What is done with packages of a class.
    pub fn action(&self, class: Class) -> Action {
        // Every class is there after parsing; what could not be asked is withheld.
        self.classes.get(&class).copied().unwrap_or(Action::Withhold)
    }
}

/// A policy together with the terms it names, on a certain day.
#[derive(Clone, Debug)]
pub struct Rules {
    policy: Policy,
    terms: Vec<Terms>,
    today: Date,
    index: Index,
    names_outputs: bool,
}

impl Rules {
    /// Puts them together. Which texts the names stand for, and what day it is, is the caller's to find out:
    /// exceptions and grants end.
    pub fn new(policy: Policy, terms: Vec<Terms>, today: Date) -> Self {
        let index = Index::new(&policy);
        let rules = policy.rules.iter().map(|rule| &rule.about);
        let mut about = rules.chain(policy.exceptions.iter().map(|exception| &exception.about));
        let names_outputs = about.any(|about| about.patterns().any(|(field, _)| field == "output"));
        Self { policy, terms, today, index, names_outputs }
    }

    /// The day.
    pub fn today(&self) -> Date {
        self.today
    }

    /// What the facts come to, as this policy reads lists.
    pub fn class(&self, facts: Option<&LicenseFacts>) -> Class {
        facts.map_or(Class::Unknown, |facts| facts.class_under(self.policy.lists))
    }

    /// The facts as the policy puts them right; `None` where it does not. Everything that is decided goes by
    /// these.
    pub fn correct(&self, case: &Case<'_>, facts: &LicenseFacts) -> Option<LicenseFacts> {
        let about = self.about(&Asked::new(case, Some(facts)));
        let corrected = about.corrections().map(|correction| correction.correct(facts));
        // Of equals, the first one.
        let stricter = |first, next| if self.class(Some(&next)) > self.class(Some(&first)) { next } else { first };
        corrected.reduce(stricter).or_else(|| self.with_meanings(facts))
    }

    /// Whether packages with the same facts may come to different decisions by what they are called.
    pub fn asks_for_names(&self) -> bool {
        let policy = &self.policy;
        let lists = [policy.rules.len(), policy.exceptions.len(), policy.grants.len(), policy.reviews.len()];
        lists.iter().any(|entries| *entries > 0)
    }

    /// Whether two outputs of a derivation may come to different decisions by what they are called.
    pub fn names_outputs(&self) -> bool {
        self.names_outputs
    }

    /// Whether it has entries beside its classes and findings.
    pub fn has_entries(&self) -> bool {
        self.asks_for_names() || self.policy.corrects()
    }

    /// Where its entries are found.
    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The terms that apply to a package by what it declares, given by its full name and the nixpkgs attributes
    /// of its licenses. A package has to meet all of them, so that naming more never loosens anything:
    ///
    /// 1. of the terms that speak of a package of this name, the first in the policy's order;
    /// 2. for each license that these do not accept, or for each where there are none, the first terms that
    ///    stand behind it.
    pub fn terms_of_package<'l>(&self, package: &str, licenses: impl IntoIterator<Item = &'l str>) -> Vec<&Terms> {
        let name = bare_name(package);
        let named = self.terms.iter().find(|terms| terms.names(name));
        let mut found: Vec<&Terms> = named.into_iter().collect();
        for license in licenses.into_iter().filter(|license| !named.is_some_and(|terms| terms.accepts(license))) {
            let covering = self.terms.iter().find(|terms| terms.covers(license));
            // Two files may give themselves one name, and both count.
            found.extend(covering.filter(|terms| !found.iter().any(|known| std::ptr::eq(*known, *terms))));
        }
        found
    }

    /// Whether terms speak of a package by its name.
    pub(crate) fn are_terms_about(&self, package: &str) -> bool {
        self.terms.iter().any(|terms| terms.names(bare_name(package)))
    }

    /// Whether a package may be an application with some of a vendor's files in it, and so teaches nothing.
    pub fn may_be_application(&self, case: &Case<'_>, facts: &LicenseFacts) -> bool {
        crate::application::may_be_application(case, Some(facts), self)
    }

    /// Every text that decisions under these rules rest on: the policy's, those that it extends, and those of its terms.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.policy.texts.iter().map(String::as_str).chain(self.terms.iter().map(Terms::text))
    }

    /// The terms that it names, in its order.
    pub fn terms(&self) -> &[Terms] {
        &self.terms
    }

    /// The terms that can permit material in other packages. They have to answer for all licenses that the
    /// material is under: where others apply as well, they alone permit nothing. Material without a license has
    /// no terms.
    ///
    /// 1. Where terms speak of a package of this name, only these are asked: the first in the policy's order
    ///    that accepts every license.
    /// 2. Where none do, the first terms that stand behind every license.
    pub fn terms_for(&self, material: &Material) -> Option<&Terms> {
        if material.licenses.is_empty() {
            return None;
        }
        let mut named = self.terms.iter().filter(|terms| terms.names(&material.name)).peekable();
        if named.peek().is_some() {
            return named.find(|terms| material.licenses.iter().all(|license| terms.accepts(license)));
        }
        self.terms.iter().find(|terms| material.licenses.iter().all(|license| terms.covers(license)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shipped;

    #[test]
    fn the_shipped_policies_are_sound() {
        use Treatment::{Publish, Terms, Withhold};
        assert_eq!(shipped::POLICIES[0], ("default", shipped::DEFAULT_POLICY));
        let all_terms = shipped::TERMS.map(|(id, _)| id);
        let check = |name: &str, terms: &[&str], restricted, treated, undecided| {
            let (_, text) = shipped::POLICIES.iter().find(|(known, _)| *known == name).unwrap();
            let policy = Policy::parse(text).unwrap();
            assert_eq!(policy.name(), name);
            assert!(policy.warnings().is_empty(), "{name}: {:?}", policy.warnings());
            assert_eq!(policy.terms(), terms, "{name}");
            for class in [Class::Free, Class::Redistributable] {
                assert_eq!(policy.action(class), Action::Publish, "{name}");
            }
            assert_eq!(
                (policy.action(Class::Restricted), policy.action(Class::Unknown)),
                (restricted, Action::Withhold)
            );
            let f = &policy.findings;
            let found = [f.copy, f.modified_copy, f.static_code, f.cudart_static, f.device_code];
            assert_eq!(found, treated, "{name}");
            assert_eq!([f.suspected, f.driver, f.not_fully_audited], [undecided; 3], "{name}");
        };
        check("default", &all_terms, Action::Withhold, [Terms; 5], Action::Withhold);
        check("strict", &all_terms, Action::Withhold, [Withhold; 5], Action::Withhold);
        let only = [Withhold, Withhold, Withhold, Terms, Withhold];
        check("redistributable-only", &all_terms, Action::Withhold, only, Action::Withhold);
        check("private", &[], Action::Publish, [Publish; 5], Action::Publish);
        let policy = |text: &str| Policy::parse(text).unwrap();
        assert_eq!(policy(shipped::DEFAULT_POLICY).action(Class::MadeFromFree), Action::Publish);
        let without = shipped::DEFAULT_POLICY.replace("\nmade-from-free = \"publish\"", "");
        assert_eq!(policy(&without).action(Class::MadeFromFree), Action::Withhold);
    }

    fn rules(terms: &[&str]) -> Rules {
        let terms = terms.iter().map(|text| crate::Terms::parse(text).unwrap()).collect();
        Rules::new(Policy::parse(shipped::DEFAULT_POLICY).unwrap(), terms, Date::of_unix_time(0))
    }

    /// Terms that are about nothing but who they are about.
    fn about(id: &str, licenses: &str, packages: &str, package_licenses: &str) -> String {
        format!(
            "version = 1\nid = \"{id}\"\ntitle = \"{id}\"\nlicenses = {licenses}\npackages = {packages}\n\
             package-licenses = {package_licenses}\nmodified = false\nmodified-clause = \"1\"\nstandalone = false\n\
             standalone-clause = \"1\"\nconditions = []\naccompanying = []\ndistributable = []\n"
        )
    }

    /// By name first, then by license.
    #[test]
    fn which_terms_are_asked() {
        let toolkit = about("toolkit", "['cuda']", "[]", "[]");
        let dnn = about("dnn", "['dnn']", "['dnn', 'cuda[0-9]*-dnn']", "['cuda', 'unfree']");
        let later = about("later", "['cuda', 'dnn', 'other']", "['dnn']", "['unfree']");
        let rules = rules(&[&toolkit, &dnn, &later]);
        let check = |package: &str, licenses: &[&str], declared: &[&str], material: Option<&str>| {
            let found = rules.terms_of_package(package, licenses.iter().copied());
            assert_eq!(found.into_iter().map(crate::Terms::id).collect::<Vec<_>>(), declared, "{package} {licenses:?}");
            let origin = Material::of_package(package, licenses.iter().map(|l| (*l).to_owned()).collect());
            assert_eq!(rules.terms_for(&origin).map(crate::Terms::id), material, "{package} {licenses:?}");
        };
        // No terms speak of the name: by license.
        check("rt-1.2", &["cuda"], &["toolkit"], Some("toolkit"));
        check("rt-1.2", &["unfree"], &[], None);
        check("rt-1.2", &[], &[], None);
        // All licenses apply to a package; one file has to answer for all of material.
        check("rt-1.2", &["cuda", "other"], &["toolkit", "later"], Some("later"));
        check("rt-1.2", &["cuda", "unfree"], &["toolkit"], None);
        // The name comes first, with a license of its own and with one that says too little.
        check("dnn-9.1", &["dnn"], &["dnn"], Some("dnn"));
        check("dnn-9.1", &["cuda"], &["dnn"], Some("dnn"));
        check("dnn-9.1", &["unfree"], &["dnn"], Some("dnn"));
        check("cuda12.9-dnn-9.1-lib", &["cuda", "unfree"], &["dnn"], Some("dnn"));
        // Of two that speak of it, the first that answers for all.
        check("dnn-9.1", &["other"], &["dnn", "later"], Some("later"));
        // A license that those who speak of it do not accept is never permitted by others' terms.
        check("cuda12.9-dnn-9.1", &["other"], &["dnn", "later"], None);
        check("cuda12.9-dnn-9.1", &["cuda", "other"], &["dnn", "later"], None);
        // The name without a license permits nothing.
        check("dnn-9.1", &[], &["dnn"], None);
        // Two files that call themselves the same are two.
        let twins = [about("twin", "['dnn']", "['dnn']", "[]"), about("twin", "['cuda']", "[]", "[]")];
        let twins = self::rules(&twins.each_ref().map(String::as_str));
        let found = twins.terms_of_package("dnn-9.1", ["cuda", "dnn"]);
        assert!(found.len() == 2 && found[1].covers("cuda"), "{found:?}");
        // Names are whole names.
        check("cudadnn-9.1", &["unfree"], &[], None);
        check("dnn-tools-9.1", &["unfree"], &[], None);
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
    fn terms_that_are_named_twice_are_a_mistake() {
        let text = shipped::DEFAULT_POLICY.replace("terms = [", "terms = [\"./mine.toml\", \"./mine.toml\", ");
        let line = text.lines().position(|line| line.starts_with("terms = ")).unwrap() + 1;
        let mistakes = Policy::parse(&text).unwrap_err();
        let shown: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
        assert_eq!(shown, [format!("{line}:25: the terms `./mine.toml` are named twice")]);
    }

    #[test]
    fn a_key_of_the_whole_file_in_a_table_is_told_where_it_belongs() {
        let lines = shipped::DEFAULT_POLICY.lines().count();
        let check = |more: &str, expected: &str| {
            let mistakes = Policy::parse(&format!("{}\n{more}\n", shipped::DEFAULT_POLICY)).unwrap_err();
            let first = &mistakes[0];
            assert_eq!(format!("{}:{}", first.line - lines - 1, first.message), expected);
        };
        let known = "known are `copy`, `modified-copy`, `static-code`, `cudart-static`, `device-code`, `suspected`, \
                     `driver`, `not-fully-audited`";
        let hint = "as a key of the whole file it belongs above the first table";
        check("lists = \"strict\"", &format!("1:`lists` is not known here; {known}; {hint}"));
        check("list = \"strict\"", &format!("1:`list` is not known here; {known}"));
        let rule = "[[rules]]\npackage = [\"a\"]\nthen = \"publish\"\nreason = \"x\"\n";
        let mistakes = Policy::parse(&format!("{}\n{rule}terms = []\n", shipped::DEFAULT_POLICY)).unwrap_err();
        assert!(mistakes.len() == 1 && mistakes[0].message.ends_with(hint), "{mistakes:?}");
        // At its place it is known, and what nobody knows is not.
        assert_eq!(
            Policy::parse(&format!("lists = \"lenient\"\n{}", shipped::DEFAULT_POLICY)).unwrap().lists(),
            Reading::Lenient
        );
        let above = Policy::parse(&format!("list = 1\n{}", shipped::DEFAULT_POLICY)).unwrap_err();
        assert!(!above[0].message.contains(hint), "{above:?}");
    }

    #[test]
    fn broken_toml_is_a_mistake_with_a_line() {
        let mistakes = Policy::parse("version = 1\nname = \n").unwrap_err();
        assert!(mistakes.iter().any(|m| m.line == 2), "{mistakes:?}");
    }
}
