//! Attribute paths, in one spelling: that of Nix, with quotes around names that need them (`a."b.c"`).
//!
//! Reading and writing are inverse. Reading takes more than is written: as after Nix's own `-A`, a name without dots and
//! quotes needs none, whatever it is made of. Which attributes there are is not known here.

use std::fmt;
use std::str::FromStr;

/// The names that lead from a package set to one of its attributes; none of them for the set itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttrPath(Vec<String>);

/// Why a text is no attribute path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttrPathError {
    /// A quote is never closed.
    #[error("a quote is not closed")]
    Open,
    /// Two dots follow each other, or one is at an end.
    #[error("a name is empty; one that is meant to be is written \"\"")]
    Empty,
    /// An expression in a name, which only an evaluation could tell.
    #[error("a name holds an expression; the characters themselves are written \\${{")]
    Expression,
}

/// The words of Nix's language that are no names without quotes.
const KEYWORDS: [&str; 10] = ["assert", "else", "if", "in", "inherit", "let", "or", "rec", "then", "with"];

impl AttrPath {
    /// A path of these names.
    pub fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    /// Its names, from the outermost one.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Its names, from the outermost one.
    pub fn into_names(self) -> Vec<String> {
        self.0
    }

    /// The path without its last name, and that name: of `a.dev`, the attribute and an output of it.
    pub fn split_last(&self) -> Option<(Self, &str)> {
        let (last, others) = self.0.split_last()?;
        Some((Self(others.to_vec()), last))
    }
}

impl FromStr for AttrPath {
    type Err = AttrPathError;

    fn from_str(text: &str) -> Result<Self, AttrPathError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let (mut names, mut name, mut quoted) = (Vec::new(), String::new(), false);
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '"' => {
                    quoted = true;
                    read_quoted(&mut chars, &mut name)?;
                }
                '.' if name.is_empty() && !quoted => return Err(AttrPathError::Empty),
                '.' => {
                    names.push(std::mem::take(&mut name));
                    quoted = false;
                }
                c => name.push(c),
            }
        }
        if name.is_empty() && !quoted {
            return Err(AttrPathError::Empty);
        }
        names.push(name);
        Ok(Self(names))
    }
}

/// Reads to the closing quote, as Nix's language reads strings.
fn read_quoted(chars: &mut std::str::Chars<'_>, name: &mut String) -> Result<(), AttrPathError> {
    loop {
        match chars.next().ok_or(AttrPathError::Open)? {
            '"' => return Ok(()),
            '\\' => match chars.next().ok_or(AttrPathError::Open)? {
                'n' => name.push('\n'),
                'r' => name.push('\r'),
                't' => name.push('\t'),
                c => name.push(c),
            },
            // Two of them are one dollar for Nix as well, and no expression.
            '$' if chars.as_str().starts_with('{') => return Err(AttrPathError::Expression),
            c => name.push(c),
        }
    }
}

impl fmt::Display for AttrPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(".")?;
            }
            write_name(f, name)?;
        }
        Ok(())
    }
}

fn write_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-'".contains(c);
    if !name.is_empty() && name.chars().all(is_plain) && !KEYWORDS.contains(&name) {
        return f.write_str(name);
    }
    f.write_str("\"")?;
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            '$' if chars.peek() == Some(&'{') => f.write_str("\\$")?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_read_and_how_it_is_written() {
        let check = |text: &str, names: &[&str], written: &str| {
            let path: AttrPath = text.parse().unwrap();
            assert_eq!(path.names(), names, "{text}");
            assert_eq!(path.to_string(), written);
        };
        check("", &[], "");
        check("a", &["a"], "a");
        check("a.\"b.c\".d", &["a", "b.c", "d"], "a.\"b.c\".d");
        check("\"a\".b", &["a", "b"], "a.b");
        check("a.1password", &["a", "1password"], "a.1password");
        check("pkgs.libstdc++", &["pkgs", "libstdc++"], "pkgs.\"libstdc++\"");
        check("a.if", &["a", "if"], "a.\"if\"");
        check("a.\"or\".b", &["a", "or", "b"], "a.\"or\".b");
        check("a.\"\"", &["a", ""], "a.\"\"");
        check("\"\"", &[""], "\"\"");
        check("a.\"x y\"", &["a", "x y"], "a.\"x y\"");
        check("a.übung", &["a", "übung"], "a.\"übung\"");
        check("a.\"\\${x}\"", &["a", "${x}"], "a.\"\\${x}\"");
        check("a.\"$x\"", &["a", "$x"], "a.\"$x\"");
        check("a.$x", &["a", "$x"], "a.\"$x\"");
        check("a.\"q\\\"q\\\\\\n\"", &["a", "q\"q\\\n"], "a.\"q\\\"q\\\\\\n\"");
        check("a.b\".c\"", &["a", "b.c"], "a.\"b.c\"");
        let refused = |text: &str, error: AttrPathError| assert_eq!(text.parse::<AttrPath>(), Err(error), "{text}");
        refused("a..b", AttrPathError::Empty);
        refused(".a", AttrPathError::Empty);
        refused("a.", AttrPathError::Empty);
        refused("a.\"b", AttrPathError::Open);
        refused("a.\"b\\", AttrPathError::Open);
        refused("a.\"${b}\"", AttrPathError::Expression);
    }

    proptest! {
        #[test]
        fn writing_and_reading_are_inverse(names in proptest::collection::vec("[a-c.\"\\\\${}\\n é漢if ]{0,6}", 0..4)) {
            let path = AttrPath::new(names);
            prop_assert_eq!(path.to_string().parse::<AttrPath>(), Ok(path));
        }

        #[test]
        fn no_text_is_too_odd_to_be_read(text in "\\PC{0,20}|[a.\"\\\\$]{0,12}") {
            if let Ok(path) = text.parse::<AttrPath>() {
                let written = path.to_string();
                prop_assert_eq!(written.parse::<AttrPath>(), Ok(path));
            }
        }
    }
}
