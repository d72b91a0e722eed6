//! Declared licenses as SPDX documents can carry them, and the standard texts of SPDX's list.
//!
//! What is declared is kept as it was said. A document takes expressions only that follow the grammar, with names that
//! are on the list or explained in the document itself; what is neither gets a name of its own here, or stays out. It
//! does not say what a license allows.

use std::collections::BTreeSet;

pub use crate::reference::{REF, name_of, reference};

use crate::reference::{escaped, is_idstring};
use crate::{Expr, table};
use ::spdx::expression::{ExprNode, Operator};
use ::spdx::{AdditionItem, LicenseItem, LicenseReq, ParseMode};

/// A license string that is longer is read as a name: nobody writes such expressions by hand, and reading them takes room.
const LONGEST: usize = 1000;

/// Reads a license string that is an expression of SPDX: of licenses by their names on SPDX's list that nixpkgs knows as
/// well, and exceptions on that list, joined by `OR`, `AND` and `WITH` in capitals, with parentheses; old crates write a
/// slash for `OR`. `None` for everything else: where one part is not known, nothing of the whole is.
pub(crate) fn read(text: &str) -> Option<Expr> {
    let has_slash = text.contains('/');
    let operators: Vec<&str> =
        words(text).into_iter().filter(|word| ["and", "or", "with"].contains(&word.to_lowercase().as_str())).collect();
    let is_plain = operators.iter().all(|word| ["AND", "OR", "WITH"].contains(word));
    // What a slash binds is not written down anywhere, so it joins nothing but names.
    let is_mixed = has_slash && (!operators.is_empty() || text.contains(['(', ')']));
    if text.len() > LONGEST || !is_plain || is_mixed {
        return None;
    }
    let mode = ParseMode {
        allow_slash_as_or_operator: has_slash,
        allow_imprecise_license_names: false,
        allow_postfix_plus_on_gpl: true,
        allow_deprecated: true,
        allow_unknown: false,
    };
    let parsed = ::spdx::Expression::parse_mode(text, mode).ok()?;
    // The library gives operators behind what they join.
    let mut stack: Vec<Expr> = Vec::new();
    for node in parsed.iter() {
        let next = match node {
            ExprNode::Req(one) => license(&one.req)?,
            ExprNode::Op(operator) => {
                let (two, one) = (stack.pop()?, stack.pop()?);
                let parts = |expr: Expr| match (operator, expr) {
                    (Operator::Or, Expr::Any(parts)) | (Operator::And, Expr::All(parts)) => parts,
                    (_, other) => vec![other],
                };
                let parts = [parts(one), parts(two)].concat();
                if *operator == Operator::Or { Expr::Any(parts) } else { Expr::All(parts) }
            }
        };
        stack.push(next);
    }
    let whole = stack.pop()?;
    stack.is_empty().then_some(whole)
}

/// One license of an expression, with its exception.
fn license(said: &LicenseReq) -> Option<Expr> {
    let LicenseItem::Spdx { id, or_later } = &said.license else { return None };
    let one = Expr::One(table::by_spdx_id(id.name)?);
    let one = if *or_later { Expr::OrLater(Box::new(one)) } else { one };
    match &said.addition {
        None => Some(one),
        Some(AdditionItem::Spdx(exception)) => Some(Expr::With(Box::new(one), exception.name.to_owned())),
        Some(AdditionItem::Other(_)) => None,
    }
}

/// A declared license as a document can carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Declared {
    /// An expression.
    Expression(SpdxExpression),
    /// `NONE`: a list without a license in it.
    Nothing,
    /// Nothing is declared, or nothing that makes an expression.
    NoAssertion,
}

/// An expression in SPDX's grammar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpdxExpression {
    /// The expression.
    pub text: String,
    /// Licenses and exceptions of SPDX's list, each once and in their order.
    pub listed: Vec<String>,
    /// Names that begin with `LicenseRef-`.
    pub own: BTreeSet<String>,
}

impl Declared {
    /// Reads what was declared: an expression as license values are shown.
    pub fn read(said: &str) -> Self {
        if said == "NONE" {
            return Self::Nothing;
        }
        Self::expression(said).map_or(Self::NoAssertion, Self::Expression)
    }

    fn expression(said: &str) -> Option<SpdxExpression> {
        let mut expression = SpdxExpression { text: String::new(), listed: Vec::new(), own: BTreeSet::new() };
        let words = words(said);
        let mut rest = words.as_slice();
        while let [word, following @ ..] = rest {
            rest = following;
            let mut part = (*word).to_owned();
            if !["(", ")", "AND", "OR"].contains(word) {
                if let ["WITH", exception, after @ ..] = following {
                    rest = after;
                    part = expression.with(word, exception);
                } else {
                    part = expression.name(word)?;
                }
            }
            if !(expression.text.is_empty() || expression.text.ends_with('(') || part == ")") {
                expression.text.push(' ');
            }
            expression.text.push_str(&part);
        }
        let mode =
            ::spdx::ParseMode { allow_deprecated: true, allow_postfix_plus_on_gpl: true, ..::spdx::ParseMode::STRICT };
        ::spdx::Expression::parse_mode(&expression.text, mode).ok()?;
        Some(expression)
    }
}

impl SpdxExpression {
    /// One license by its name. `None` where the word says that none is known.
    fn name(&mut self, word: &str) -> Option<String> {
        if ["NOASSERTION", "NONE", "WITH"].contains(&word) {
            return None;
        }
        let name = without_plus(word);
        Some(match (listed_license(&name), word.strip_suffix('+').and_then(listed_license)) {
            (Some(id), _) => {
                self.list(id);
                name
            }
            // The text is that of the version that is named.
            (None, Some(version)) => {
                self.list(version);
                self.own(&name)
            }
            (None, None) => self.own(&name),
        })
    }

    /// A license with an exception to it. Before version 3, SPDX has no names for exceptions that are not on its list.
    fn with(&mut self, license: &str, exception: &str) -> String {
        let license = without_plus(license);
        match (listed_license(&license), ::spdx::exception_id(exception)) {
            (Some(id), Some(known)) => {
                self.list(id);
                self.list(known.name);
                format!("{license} WITH {exception}")
            }
            _ => self.own(&format!("{license}-with-{exception}")),
        }
    }

    fn list(&mut self, id: &str) {
        if !self.listed.iter().any(|known| known == id) {
            self.listed.push(id.to_owned());
        }
    }

    fn own(&mut self, said: &str) -> String {
        // What is a reference already is one to the same name.
        let is_reference = said.strip_prefix(REF).is_some_and(is_idstring);
        let name = if is_reference { said.to_owned() } else { reference(said) };
        let own = name_of(&name);
        let name = match table::name_of_nixpkgs(&own) {
            Some(short_name) => format!("{REF}{NIXPKGS}{short_name}"),
            // Somebody else's license of such a name is another one.
            None if own.strip_prefix(NIXPKGS).is_some_and(|rest| table::by_name_of_nixpkgs(rest).is_some()) => {
                escaped(&own)
            }
            None => name,
        };
        self.own.insert(name.clone());
        name
    }
}

/// The full name of a license that is not on SPDX's list, and the URL of its text, where nixpkgs has them.
pub fn about(reference: &str) -> Option<(&'static str, Option<&'static str>)> {
    reference.starts_with(REF).then(|| table::about(&own_name(reference)))?
}

/// The name of the license that a document has under a reference; for a license of nixpkgs, its attribute there.
pub fn own_name(reference: &str) -> String {
    let of_nixpkgs = reference.strip_prefix(REF).and_then(|id| id.strip_prefix(NIXPKGS));
    let attribute = of_nixpkgs.and_then(table::by_name_of_nixpkgs);
    attribute.map_or_else(|| name_of(reference), str::to_owned)
}

/// What `toSPDX` of nixpkgs writes between `LicenseRef-` and the short name of a license, so that documents of different tools
/// have one name for it.
const NIXPKGS: &str = "nixos-";

/// "This version or any later one" as a name: the validators of documents take no `+`, although the grammar has it.
fn without_plus(word: &str) -> String {
    word.strip_suffix('+').map_or_else(|| word.to_owned(), |version| format!("{version}-or-later"))
}

/// The license of SPDX's list that a word names, letter by letter.
fn listed_license(word: &str) -> Option<&'static str> {
    // The library's own search leaves out any number of `+`.
    let found = ::spdx::license_id(word)?;
    (found.name == word).then_some(found.name)
}

/// Words and parentheses.
fn words(text: &str) -> Vec<&str> {
    text.split_whitespace()
        .flat_map(|word| word.split_inclusive(['(', ')']))
        .flat_map(|part| {
            let (word, bracket) = match part.strip_suffix(['(', ')']) {
                Some(word) => (word, &part[word.len()..]),
                None => (part, ""),
            };
            [word, bracket]
        })
        .filter(|word| !word.is_empty())
        .collect()
}

/// The standard text of a license or an exception of SPDX's list.
pub fn standard_text(id: &str) -> Option<&'static str> {
    let license = || ::spdx::license_id(id).filter(|license| license.name == id).map(|license| license.text());
    license().or_else(|| ::spdx::exception_id(id).map(|exception| exception.text()))
}

/// The version of SPDX's list, for instance `3.29`.
pub fn list_version() -> &'static str {
    let version = ::spdx::license_version();
    version.rsplit_once('.').map_or(version, |(minor, _)| minor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(said: &str, text: &str, listed: &[&str], own: &[&str]) {
        let Declared::Expression(expression) = Declared::read(said) else { panic!("{said}: no expression") };
        assert_eq!(expression.text, text, "{said}");
        assert_eq!(expression.listed, listed, "{said}");
        assert_eq!(expression.own.iter().collect::<Vec<_>>(), own, "{said}");
    }

    #[test]
    fn what_is_declared_becomes_an_expression() {
        check("MIT", "MIT", &["MIT"], &[]);
        check("MIT AND (BSD-3-Clause OR MIT)", "MIT AND (BSD-3-Clause OR MIT)", &["MIT", "BSD-3-Clause"], &[]);
        check("MIT AND LicenseRef-nvidiaCuda", "MIT AND LicenseRef-nvidiaCuda", &["MIT"], &["LicenseRef-nvidiaCuda"]);
        check(
            "Apache-2.0 WITH LLVM-exception",
            "Apache-2.0 WITH LLVM-exception",
            &["Apache-2.0", "LLVM-exception"],
            &[],
        );
        check("GPL-2.0+", "GPL-2.0-or-later", &["GPL-2.0-or-later"], &[]);
        let later = "LicenseRef-Apache-2.0-or-later";
        check("Apache-2.0+", later, &["Apache-2.0"], &[later]);
        check("mine+", "LicenseRef-mine-or-later", &[], &["LicenseRef-mine-or-later"]);
        let classpath = "GPL-2.0-or-later WITH Classpath-exception-2.0";
        check(
            "GPL-2.0+ WITH Classpath-exception-2.0",
            classpath,
            &["GPL-2.0-or-later", "Classpath-exception-2.0"],
            &[],
        );
        // A package set can call a license as it likes.
        check("mit", "LicenseRef-mit", &[], &["LicenseRef-mit"]);
        let odd = "LicenseRef-MIT-b-.was.3c.3e";
        check("MIT<b>", odd, &[], &[odd]);
        check(odd, odd, &[], &[odd]);
        check(
            "GPL-2.0-only WITH mine",
            "LicenseRef-GPL-2.0-only-with-mine",
            &[],
            &["LicenseRef-GPL-2.0-only-with-mine"],
        );
    }

    /// `toSPDX` of nixpkgs writes the short name, whatever may stand there; what is valid and means one license is the same here.
    #[test]
    fn licenses_of_nixpkgs_have_the_names_that_nixpkgs_gives_them() {
        let check = |said: &str, text: &str, attribute: &str| {
            let Declared::Expression(expression) = Declared::read(said) else { panic!("{said}") };
            assert_eq!(expression.text, text);
            let own = expression.own.first().unwrap();
            assert_eq!(
                (own_name(own).as_str(), about(own).is_some()),
                (attribute, table::is_attribute(attribute)),
                "{own}"
            );
        };
        check("LicenseRef-unfree", "LicenseRef-nixos-unfree", "unfree");
        check("MIT AND LicenseRef-tsl", "MIT AND LicenseRef-nixos-TSL", "tsl");
        // A space, and a name of two licenses; an underscore.
        check("LicenseRef-nvidiaCuda", "LicenseRef-nvidiaCuda", "nvidiaCuda");
        check("LicenseRef-ocamlpro-nc.was.5f", "LicenseRef-ocamlpro-nc.was.5f", "ocamlpro_nc");
        // Licenses of other people.
        check("LicenseRef-mine", "LicenseRef-mine", "mine");
        check("LicenseRef-nixos-mine", "LicenseRef-nixos-mine", "nixos-mine");
        check("LicenseRef-nixos-unfree", "LicenseRef-nixos-unfree.was.2d", "nixos-unfree");
        check("LicenseRef-nixos-TSL", "LicenseRef-nixos-TSL.was.2d", "nixos-TSL");
        let mut names = BTreeSet::new();
        for attribute in table::attributes().filter(|attribute| table::name_of_nixpkgs(attribute).is_some()) {
            assert!(names.insert(table::name_of_nixpkgs(attribute)), "{attribute}");
            assert_eq!(
                own_name(&format!("LicenseRef-nixos-{}", table::name_of_nixpkgs(attribute).unwrap())),
                attribute
            );
        }
        assert_eq!(names.len(), 49);
    }

    #[test]
    fn what_is_no_expression_asserts_nothing() {
        for said in
            ["", "NOASSERTION", "NOASSERTION (\"a b\")", "MIT AND NOASSERTION", "MIT AND", "(MIT", "MIT GPL", "WITH"]
        {
            assert_eq!(Declared::read(said), Declared::NoAssertion, "{said}");
        }
        assert_eq!(Declared::read("NONE"), Declared::Nothing);
    }

    #[test]
    fn licenses_and_exceptions_of_the_list_have_texts() {
        for id in ["MIT", "GPL-2.0", "GPL-3.0-or-later", "LLVM-exception"] {
            assert!(standard_text(id).is_some_and(|text| text.len() > 500), "{id}");
        }
        assert_eq!((standard_text("mit"), standard_text("MIT+"), standard_text("")), (None, None, None));
        assert!(list_version().starts_with("3."), "{}", list_version());
        let known = about("LicenseRef-nvidiaCuda").unwrap();
        assert!(known.0.starts_with("CUDA Toolkit") && known.1.is_some_and(|url| url.starts_with("https://")));
        assert_eq!((about("nvidiaCuda"), about("LicenseRef-mine")), (None, None));
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_what_comes_out_is_an_expression(said in "[ ()+\"a-zA-Z0-9.-]{0,40}") {
            if let Declared::Expression(expression) = Declared::read(&said) {
                let again = Declared::read(&expression.text);
                let Declared::Expression(again) = again else { panic!("{said} became {}", expression.text) };
                prop_assert_eq!(&again.text, &expression.text);
                prop_assert_eq!(again.own, expression.own);
            }
        }
    }
}
