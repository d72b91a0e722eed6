//! A policy with all that it extends, as one text that extends nothing.
//!
//! It comes from the texts that the policy was read from, with their comments, and reads as the same rules. Pure: paths are
//! put together as texts, and no file is looked at.

use crate::policy::Policy;
use std::path::Path;
use toml_edit::{Array, DocumentMut, Item, Table, TomlError, value};

/// Keys that hold entries, which come behind those of the policy that is extended.
const ENTRIES: [&str; 6] = ["rules", "exceptions", "grants", "corrections", "reviews", "licenses"];

impl Policy {
    /// The text of the same policy without `extends`. One that extends nothing is given as it is. Files of terms that an
    /// extended policy names are named from where that one lies.
    ///
    /// # Errors
    /// When one of the texts is no TOML, which none is that a policy was read from.
    pub fn resolved(&self) -> Result<String, TomlError> {
        let Some(((own, bases), name)) = self.texts().split_first().zip(Some(self.name())) else {
            return Ok(String::new());
        };
        if bases.is_empty() {
            return Ok(own.clone());
        }
        let mut all = DocumentMut::new();
        for text in self.texts().iter().rev() {
            lay_over(&mut all, text.parse::<DocumentMut>()?.as_table_mut());
        }
        all["terms"] = value(self.terms_from_own_place());
        if let Some(mut first) = all.as_table_mut().iter_mut().next().map(|(key, _)| key) {
            first.leaf_decor_mut().set_prefix(format!("# `{name}` with all that it extends.\n"));
        }
        // What stood behind the last entry of one policy is no end of the whole.
        all.set_trailing("");
        Ok(renumbered(&all))
    }

    fn terms_from_own_place(&self) -> Array {
        let place = |(named, of): (&str, Option<&str>)| match of.filter(|_| named.ends_with(".toml")) {
            Some(of) => Path::new(of).parent().unwrap_or(Path::new("")).join(named).display().to_string(),
            None => named.to_owned(),
        };
        self.named_terms().map(place).collect()
    }
}

/// What one text says, over what those say that it extends.
fn lay_over(all: &mut DocumentMut, text: &mut Table) {
    for (key, item) in std::mem::take(text) {
        let known = all.get_mut(&key);
        match (key.as_str(), item, known) {
            ("extends", ..) => {}
            (name, Item::ArrayOfTables(entries), Some(Item::ArrayOfTables(known))) if ENTRIES.contains(&name) => {
                known.extend(entries);
            }
            ("classes" | "findings", Item::Table(keys), Some(Item::Table(known))) => {
                keys.into_iter().for_each(|(key, item)| {
                    known.insert(&key, item);
                });
            }
            (_, item, _) => {
                all.insert(&key, item);
            }
        }
    }
}

/// Tables remember where they stood, each in its own text: in one text they stand in the order in which they come.
fn renumbered(all: &DocumentMut) -> String {
    let mut all = all.clone();
    let mut next = 0..;
    for (_, item) in all.iter_mut() {
        match item {
            Item::Table(table) => table.set_position(next.next()),
            Item::ArrayOfTables(tables) => tables.iter_mut().for_each(|table| table.set_position(next.next())),
            Item::None | Item::Value(_) => {}
        }
    }
    all.to_string()
}

#[cfg(test)]
mod tests {
    use crate::{Date, Policy, PolicyText, Rules, shipped};

    #[test]
    fn the_resolved_policy_reads_as_the_same_rules() {
        let review = "[[reviews]] # Ask again.\npackage = [\"a\"]\nanswer = \"from-vendor\"\nreason = \"x\"\nresponsible = \"me\"\nuntil = 2030-01-01\n";
        let rule = |package: &str| {
            let rule =
                format!("[[rules]]\npackage = [\"{package}\"]\nthen = \"withhold\"\nreason = \"x\"\n# Behind it.\n");
            let answer = "means = \"MIT\"\nreason = \"x\"\nresponsible = \"me\"\n";
            format!("\n{rule}[[licenses]]\nnamed = [\"by {package}\"]\n{answer}")
        };
        let company = format!(
            "version = 1\nname = \"company\"\nextends = \"strict\"\nterms = [\"own.toml\"]\n[classes]\nunknown = \"publish\"\n{}{review}",
            rule("b")
        );
        let mine = format!(
            "# Mine.\nversion = 1\nname = \"mine\"\nextends = \"/etc/company.toml\"\nlists = \"lenient\"\n[findings]\ncopy = \"terms\"\n{}",
            rule("c")
        );
        let mut find =
            |_: &str, _: &str| Ok(PolicyText { called: "/etc/company.toml".to_owned(), text: company.clone() });
        let policy = Policy::read(&mine, "mine.toml", &mut find).unwrap();
        let text = policy.resolved().unwrap();
        let again = Policy::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"));
        let rules = |policy: &Policy| Rules::new(policy.clone(), Vec::new(), Date::of_unix_time(0));
        // Their file has another name from where the resolved text lies, and nothing else differs.
        let differences = rules(&policy).differences(&rules(&again));
        assert_eq!(differences, ["the terms own.toml: only before", "the terms /etc/own.toml: only after"], "{text}");
        assert_eq!((again.name(), again.texts().len()), ("mine", 1));
        assert_eq!(again.terms()[0], "/etc/own.toml");
        assert!(!text.contains("extends =") && text.contains("# Ask again."), "{text}");
        assert_eq!((text.matches("[[rules]]").count(), text.matches("[[licenses]]").count()), (2, 2), "{text}");
        assert!(text.find("\"b\"") < text.find("\"c\""), "{text}");
        assert_eq!(again.resolved().unwrap(), text);
        for (_, text) in shipped::POLICIES {
            assert_eq!(Policy::parse(text).unwrap().resolved().unwrap(), text);
        }
    }
}
