//! Why an attribute does not evaluate, taken from what Nix says: the error itself without the way to it, the place that
//! it names, and no advice that is not for whoever reads it here.

use crate::command::error_message;
use std::fmt;

/// The end of what Nix said, as text.
pub(super) fn last_words(words: &[u8]) -> String {
    String::from_utf8_lossy(words).into_owned()
}

/// An error as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) message: String,
    /// File, line and column.
    pub(super) position: Option<String>,
}

impl Reason {
    /// Reads what Nix wrote.
    pub(super) fn read(words: &str) -> Self {
        let message = error_message(words);
        let lines: Vec<&str> = message.lines().collect();
        let found = lines.iter().enumerate().rev().find_map(|(index, line)| Some((index, place(line)?)));
        let (kept, position) = match found {
            // What follows shows the lines of that file.
            Some((index, place)) if index > 0 => (&lines[..index], Some(place)),
            _ => (&lines[..], None),
        };
        Self {
            message: without_advice(&kept.join("\n")).to_owned(),
            position: position.filter(|place| is_file(place)).map(str::to_owned),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.position.as_ref().map_or(Ok(()), |position| write!(f, "\nat {position}"))
    }
}

/// How nixpkgs begins to say which of its settings would let a package evaluate (`check-meta.nix`, in its versions).
const ADVICE: [&str; 3] = [
    "a) To temporarily allow",
    "You can install it anyway by allowing this package, using the",
    "To allow evaluation regardless, use:",
];

/// What is wrong, without nixpkgs' advice on how to have it evaluated all the same: it is for whoever builds one package.
pub fn without_advice(message: &str) -> &str {
    let lines = message.split_inclusive('\n');
    let is_advice = |line: &str| ADVICE.iter().any(|advice| line.trim_start().starts_with(advice));
    let kept: usize = lines.take_while(|line| !is_advice(line)).map(str::len).sum();
    // What says nothing else is said as it is.
    match message[..kept].trim() {
        "" => message.trim(),
        kept => kept,
    }
}

/// The place that a line of Nix names: `at FILE:LINE:COLUMN:`.
fn place(line: &str) -> Option<&str> {
    let place = line.trim().strip_prefix("at ")?.strip_suffix(':')?;
    let mut parts = place.rsplitn(3, ':');
    let is_number =
        |part: Option<&str>| part.is_some_and(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    (is_number(parts.next()) && is_number(parts.next()) && parts.next().is_some()).then_some(place)
}

/// Whether it is a file that somebody can look at, and not a line that was typed, or a part of Nix.
fn is_file(place: &str) -> bool {
    !["(string)", "«string»", "«none»", "«nix-internal»", "<nix/", "(stdin)", "«stdin»"]
        .iter()
        .any(|beginning| place.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_places_and_advice() {
        let check = |words: &str, message: &str, position: Option<&str>| {
            let reason = Reason::read(words);
            assert_eq!((reason.message.as_str(), reason.position.as_deref()), (message, position), "{words}");
        };
        check("error: it is gone\n", "it is gone", None);
        check(
            "error: attribute 'x' missing\n\n       at /a b/s.nix:3:13:\n\n            2|   a\n            3|   b\n             |   ^\n",
            "attribute 'x' missing",
            Some("/a b/s.nix:3:13"),
        );
        // Newer versions tell the way there first, with places of its own, and some of them are ours.
        check(
            "error:\n       … while calling the 'seq' builtin\n         at «string»:1:1:\n            1| x\n\n       error: attribute 'x' missing\n       at /s.nix:3:13:\n            2| a\n",
            "attribute 'x' missing",
            Some("/s.nix:3:13"),
        );
        check(
            "trace: error: a trace\nerror:\n       … while evaluating\n         at /a.nix:1:2:\n            1| x\n\n       error: gone\n",
            "gone",
            None,
        );
        check("error: value is a set\n\n       at (string):1:5:\n\n            1| w\n", "value is a set", None);
        check(
            "error: Package ‘x’ in /n/x.nix:7 has an unfree license (‘unfree’), refusing to evaluate.\n\n       a) To temporarily allow unfree packages, you can use an environment variable\n          for a single invocation of the nix tools.\n\n            $ export NIXPKGS_ALLOW_UNFREE=1\n",
            "Package ‘x’ in /n/x.nix:7 has an unfree license (‘unfree’), refusing to evaluate.",
            None,
        );
        check(
            "error: builder for 'x' failed; last log lines:\n       > error: no compiler\n",
            "builder for 'x' failed; last log lines:\n> error: no compiler",
            None,
        );
        check(
            "error: Refusing to evaluate package 'x' in /n/x.nix:5 because it is marked as insecure\n\n       Known issues:\n        - CVE-1\n\n       You can install it anyway by allowing this package, using the\n       following methods:\n\n       a) To temporarily allow all insecure packages\n",
            "Refusing to evaluate package 'x' in /n/x.nix:5 because it is marked as insecure\n\nKnown issues:\n - CVE-1",
            None,
        );
        check(
            "error: it has problems:\n       - broken: it is\n\n       To allow evaluation regardless, use:\n       - Nixpkgs import\n",
            "it has problems:\n- broken: it is",
            None,
        );
        check("error: a) To temporarily allow it\n", "a) To temporarily allow it", None);
        check("error: \u{1b}[31mred\u{1b}[0m\n", "red", None);
        check("error: at /s.nix:3:13:\n", "at /s.nix:3:13:", None);
    }
}
