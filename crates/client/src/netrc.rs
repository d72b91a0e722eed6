//! Credentials as netrc files have them: the few words that curl, and Nix with it, reads there.
//!
//! The first entry for a host counts, and `default` where there is none. A secret is never shown: there is no `Debug`.

/// Whom to log in as.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Login {
    pub(crate) name: String,
    pub(crate) password: Option<String>,
}

/// The entries of a file, in their order; of `default`, without a host.
#[derive(Clone, Default)]
pub(crate) struct Netrc(Vec<(Option<String>, Login)>);

impl Netrc {
    /// Reads a file. Words that mean nothing are passed over, as curl does.
    pub(crate) fn read(text: &str) -> Self {
        let mut entries: Vec<(Option<String>, Login)> = Vec::new();
        let mut words = Words(text);
        while let Some(word) = words.next() {
            match word.as_str() {
                "machine" => entries.extend(words.next().map(|host| (Some(host), Login::none()))),
                "default" => entries.push((None, Login::none())),
                "macdef" => words.skip_macro(),
                "login" | "user" | "password" | "account" => {
                    let (Some((_, login)), Some(value)) = (entries.last_mut(), words.next()) else { continue };
                    match word.as_str() {
                        "password" => login.password = Some(value),
                        "account" => {}
                        _ => login.name = value,
                    }
                }
                _ => {}
            }
        }
        Self(entries)
    }

    /// Whom to log in as at a host.
    pub(crate) fn login(&self, host: &str) -> Option<&Login> {
        let of = |(known, _): &&(Option<String>, Login)| {
            known.as_deref().is_none_or(|known| known.eq_ignore_ascii_case(host))
        };
        self.0.iter().find(of).map(|(_, login)| login)
    }
}

impl Login {
    fn none() -> Self {
        Self { name: String::new(), password: None }
    }
}

/// Words between white space; with quotes around them they may have white space inside. A word that begins with `#` begins
/// a comment, except behind a word that wants a value.
struct Words<'t>(&'t str);

impl Words<'_> {
    /// A macro ends with an empty line.
    fn skip_macro(&mut self) {
        self.0 = self.0.find("\n\n").map_or("", |end| &self.0[end..]);
    }
}

impl Iterator for Words<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        loop {
            self.0 = self.0.trim_start();
            match self.0.strip_prefix('#') {
                Some(comment) => self.0 = comment.split_once('\n').map_or("", |(_, rest)| rest),
                None => break,
            }
        }
        let Some(quoted) = self.0.strip_prefix('"') else {
            let end = self.0.find(char::is_whitespace).unwrap_or(self.0.len());
            let (word, rest) = self.0.split_at(end);
            self.0 = rest;
            return (!word.is_empty()).then(|| word.to_owned());
        };
        let (mut word, mut characters) = (String::new(), quoted.chars());
        while let Some(c) = characters.next() {
            match c {
                '"' => break,
                '\\' => word.extend(characters.next().map(|c| match c {
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    c => c,
                })),
                c => word.push(c),
            }
        }
        self.0 = characters.as_str();
        Some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_for_a_host_counts() {
        let check = |text: &str, host: &str, expected: Option<(&str, Option<&str>)>| {
            let netrc = Netrc::read(text);
            let found = netrc.login(host).map(|login| (login.name.as_str(), login.password.as_deref()));
            assert_eq!(found, expected, "{text:?} {host}");
        };
        let two = "# ours\nmachine a.example login me password s3\"cret#1 account x\nmachine b.example\n\tlogin you\n";
        check(two, "a.example", Some(("me", Some("s3\"cret#1"))));
        check(two, "A.Example", Some(("me", Some("s3\"cret#1"))));
        check(two, "b.example", Some(("you", None)));
        check(two, "c.example", None);
        check("machine a login x password 1 machine a login y password 2 default login z", "a", Some(("x", Some("1"))));
        check("machine a login x default login z password 0", "b", Some(("z", Some("0"))));
        check("default login z machine a login x", "a", Some(("z", None)));
        check("machine a password \"two words \\\" \\\\\" login \"\"", "a", Some(("", Some("two words \" \\"))));
        check("macdef init\nmachine x login y\n\nmachine a password p", "x", None);
        check("macdef init\nmachine x login y\n\nmachine a password p", "a", Some(("", Some("p"))));
        for text in ["", "machine", "login x", "machine a login", "nonsense machine b login", "\"", "machine a #", "#"]
        {
            check(text, "nowhere", None);
        }
    }
}
