//! Names for licenses that are not on SPDX's list: `LicenseRef-` and what SPDX lets stand there.
//!
//! Different names get different references, and the name can be read back from its reference. A name that has letters,
//! digits, `.` and `-` only stays as it is. In any other, everything else becomes `-`, and behind `.was` stands what each
//! `-` was, in hexadecimal: `My License` becomes `My-License.was.20`. It does not know which licenses there are.

/// What comes before the name of a license that is not on SPDX's list.
pub const REF: &str = "LicenseRef-";

/// What comes before the characters that were replaced.
const WAS: &str = ".was";

/// Whether a text is one that SPDX lets stand behind `LicenseRef-`.
pub(crate) fn is_idstring(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
}

/// A reference for a license by its name.
pub fn reference(name: &str) -> String {
    format!("{REF}{}", encoded(name))
}

/// The name that a reference was made from.
pub fn name_of(reference: &str) -> String {
    let id = reference.strip_prefix(REF).unwrap_or(reference);
    decoded(id).unwrap_or_else(|| id.to_owned())
}

/// A reference that says what each `-` was also where it need not, for a name whose plain reference somebody else has.
pub(crate) fn escaped(name: &str) -> String {
    format!("{REF}{}", replaced(name))
}

/// A name as SPDX lets it stand in an expression.
pub(crate) fn encoded(name: &str) -> String {
    if is_idstring(name) && split(name).is_none() {
        return name.to_owned();
    }
    if name.is_empty() {
        return format!("unnamed{WAS}");
    }
    replaced(name)
}

fn replaced(name: &str) -> String {
    let (mut text, mut was) = (String::with_capacity(name.len()), String::from(WAS));
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || c == '.' {
            text.push(c);
        } else {
            text.push('-');
            was.push_str(&format!(".{:x}", u32::from(c)));
        }
    }
    text + &was
}

/// A name before `.was`, and what stands behind it.
fn split(id: &str) -> Option<(&str, &str)> {
    let (text, was) = id.rsplit_once(WAS)?;
    let is_code =
        |code: &str| !code.is_empty() && code.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    (was.is_empty() || was.strip_prefix('.').is_some_and(|codes| codes.split('.').all(is_code))).then_some((text, was))
}

fn decoded(id: &str) -> Option<String> {
    let (text, was) = split(id)?;
    if (text, was) == ("unnamed", "") {
        return Some(String::new());
    }
    let mut codes = was.split('.').skip(1);
    let mut name = String::with_capacity(text.len());
    for c in text.chars() {
        name.push(if c == '-' { char::from_u32(u32::from_str_radix(codes.next()?, 16).ok()?)? } else { c });
    }
    codes.next().is_none().then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_stay_apart_and_can_be_read_back() {
        let check = |name: &str, id: &str| {
            assert_eq!(reference(name), format!("LicenseRef-{id}"));
            assert_eq!(name_of(&reference(name)), name);
        };
        check("nvidiaCuda", "nvidiaCuda");
        check("cc-by-30", "cc-by-30");
        check("My License", "My-License.was.20");
        check("My-License", "My-License");
        check("My/License+", "My-License-.was.2f.2b");
        check("Лицензия А", "----------.was.41b.438.446.435.43d.437.438.44f.20.410");
        check("Лицензия Б", "----------.was.41b.438.446.435.43d.437.438.44f.20.411");
        check("a-b c", "a-b-c.was.2d.20");
        check("", "unnamed.was");
        check("unnamed", "unnamed");
        check("unnamed.was", "unnamed.was.was");
        check("My-License.was.20", "My-License.was.20.was.2d");
        let similar =
            ["a b", "a-b", "a_b", "a+b", "a/b", "a\u{a0}b", "a\u{301}b", "aéb", "a.b", "a\u{202e}b", "a--b", "a b "];
        let references: BTreeSet<String> = similar.iter().map(|name| reference(name)).collect();
        assert_eq!(references.len(), similar.len());
    }

    proptest! {
        #[test]
        fn any_name_can_be_read_back(name in "([a-z.-]|was|\\.was|[0-9a-f]|.){0,12}") {
            let made = reference(&name);
            prop_assert!(is_idstring(&made));
            prop_assert_eq!(name_of(&made), name);
        }
    }
}
