//! Attributes that do not evaluate, those that fail alike together: a current nixpkgs has 1,700 names of packages that were
//! removed.
//!
//! Failures are alike when their messages differ only in what stands in quotation marks or has a slash in it: names, and
//! places in files. Only how they are shown depends on that, never a decision.

use super::text::indent;
use narthex_nix::EvalError;
use narthex_text::visible;
use serde_json::json;
use std::collections::BTreeMap;

/// So many of the attributes that fail alike are named in a table.
const NAMED: usize = 8;

/// Failures that are alike, those that most attributes have first.
fn groups(errors: &[EvalError]) -> Vec<Vec<&EvalError>> {
    let mut groups: BTreeMap<String, Vec<&EvalError>> = BTreeMap::new();
    for error in errors {
        groups.entry(kind(&error.message)).or_default().push(error);
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by(|a, b| (b.len(), &a[0].attr).cmp(&(a.len(), &b[0].attr)));
    groups
}

/// A message without what differs between attributes that fail alike.
fn kind(message: &str) -> String {
    let mut kind = String::with_capacity(message.len());
    let mut rest = message;
    let mut before = ' ';
    while let Some(c) = rest.chars().next() {
        let opens = !before.is_alphanumeric();
        let quoted = matches!(c, '\'' | '‘' | '"' | '`') && opens;
        let end = if quoted { end_of_quote(rest, c) } else { end_of_path(rest).filter(|_| before.is_whitespace()) };
        let taken = end.unwrap_or(c.len_utf8());
        kind.push_str(if end.is_some() { "…" } else { &rest[..taken] });
        before = rest[..taken].chars().next_back().unwrap_or(' ');
        rest = &rest[taken..];
    }
    kind
}

/// Where what is quoted ends, with its mark; an apostrophe within a word is none.
fn end_of_quote(text: &str, open: char) -> Option<usize> {
    let close = if open == '‘' { '’' } else { open };
    let line = text.lines().next().unwrap_or_default();
    let ends = line.char_indices().skip(1).filter(|(_, c)| *c == close).map(|(at, c)| at + c.len_utf8());
    ends.into_iter().find(|end| !text[*end..].chars().next().is_some_and(char::is_alphanumeric))
}

/// Where a word with a slash in it ends.
fn end_of_path(text: &str) -> Option<usize> {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    text[..end].contains('/').then_some(end)
}

/// For people: the first of those that are alike with its message, and the names of others.
pub(super) fn text(errors: &[EvalError]) -> String {
    let mut text = String::new();
    for group in groups(errors) {
        let first = group[0];
        match group.len() - 1 {
            0 => text.push_str(&format!("\n`{}` does not evaluate:\n", visible(&first.attr))),
            1 => text.push_str(&format!("\n`{}` does not evaluate, and another fails alike:\n", visible(&first.attr))),
            more => text
                .push_str(&format!("\n`{}` does not evaluate, and {more} others fail alike:\n", visible(&first.attr))),
        }
        text.push_str(&indent(&first.message, "  "));
        if group.len() > 1 {
            let names: Vec<String> = group[1..].iter().take(NAMED).map(|error| visible(&error.attr)).collect();
            let more = group.len() - 1 - names.len();
            let more = if more > 0 { format!(" and {more} more, which --format json names") } else { String::new() };
            text.push_str(&format!("  also: {}{more}\n", names.join(", ")));
        }
    }
    text
}

/// For programs: each attribute with its whole message, in the order of the attributes; `alike` is what those that fail
/// alike have in common, and `count` says how many they are.
pub(super) fn lines(errors: &[EvalError]) -> Vec<serde_json::Value> {
    let kinds: Vec<String> = errors.iter().map(|error| kind(&error.message)).collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for kind in &kinds {
        *counts.entry(kind).or_default() += 1;
    }
    let line = |(error, kind): (&EvalError, &String)| {
        let count = counts.get(kind.as_str()).copied().unwrap_or(1);
        let said = json!({"kind": "evaluation", "message": error.message, "alike": kind, "count": count});
        json!({"attr": error.attr, "error": said})
    };
    errors.iter().zip(&kinds).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(attr: &str, message: &str) -> EvalError {
        EvalError { attr: attr.to_owned(), message: message.to_owned() }
    }

    #[test]
    fn names_and_places_make_no_other_kind() {
        let check = |message: &str, expected: &str| assert_eq!(kind(message), expected, "{message}");
        check("'a' has been removed, as it doesn't build", "… has been removed, as it doesn't build");
        check("it isn't there, and 'a's author isn't", "it isn't there, and 'a's author isn't");
        check(
            "Package ‘x-1’ in /n/x.nix:7 has an unfree license (‘unfree’)",
            "Package … in … has an unfree license (…)",
        );
        check("attribute \"a b\" missing\nat /s.nix:3:13", "attribute … missing\nat …");
        check("a `quote` that 'does not end\nand a ' behind", "a … that 'does not end\nand a ' behind");
        check("either/or and and/or ‘", "… and … ‘");
        check("", "");
    }

    #[test]
    fn those_that_fail_alike_stand_together() {
        let mut errors: Vec<EvalError> =
            (0..12).map(|n| error(&format!("old{n:02}"), &format!("'old{n}' is gone"))).collect();
        errors.insert(0, error("a", "no such thing\nat /x.nix:1:1"));
        errors.push(error("z", "no such thing\nat /y.nix:1:1"));
        errors.push(error("zz", "it is alone"));
        let expected = "\n`old00` does not evaluate, and 11 others fail alike:\n  'old0' is gone\n  also: old01, old02, old03, old04, \
                        old05, old06, old07, old08 and 3 more, which --format json names\n\n`a` does not evaluate, and another \
                        fails alike:\n  no such thing\n  at /x.nix:1:1\n  also: z\n\n`zz` does not evaluate:\n  it is alone\n";
        assert_eq!(text(&errors), expected);
        let lines = lines(&errors);
        assert_eq!(lines.len(), errors.len());
        let of = |n: usize| (&lines[n]["attr"], &lines[n]["error"]["alike"], &lines[n]["error"]["count"]);
        assert_eq!(of(1), (&json!("old00"), &json!("… is gone"), &json!(12)));
        assert_eq!(of(14), (&json!("zz"), &json!("it is alone"), &json!(1)));
        assert_eq!(lines[0]["error"]["message"], "no such thing\nat /x.nix:1:1");
    }
}
