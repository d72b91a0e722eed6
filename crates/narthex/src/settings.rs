//! From arguments and files to what the use cases take.

use crate::error::CommandError;
use crate::render;
use narthex_cache::State;
use narthex_nix::{Expression, Nix};
use narthex_policy::{Date, Mistake, Policy, PolicyText, Rules, Terms, shipped, terms_clash};
use std::path::{Path, PathBuf};

/// Opens the state folder, and makes it where it is not there.
pub(crate) fn state(given: Option<&Path>) -> Result<State, CommandError> {
    Ok(State::open(&state_folder(given)?)?)
}

/// Opens a state folder that an earlier run filled.
pub(crate) fn existing_state(given: Option<&Path>) -> Result<State, CommandError> {
    Ok(State::existing(&state_folder(given)?)?)
}

/// A state folder that an earlier run filled, where there is one.
pub(crate) fn state_if_any(given: Option<&Path>) -> Option<State> {
    State::existing(&state_folder(given).ok()?).ok()
}

/// A state folder of which only the corpus is of interest; it need not be there.
pub(crate) fn corpus_state(given: Option<&Path>) -> Option<State> {
    state_folder(given).ok().map(|folder| State::at(&folder))
}

/// The folder that was given, else the one of the XDG base directories.
fn state_folder(given: Option<&Path>) -> Result<PathBuf, CommandError> {
    let folder = match given {
        Some(folder) => folder.to_owned(),
        None => default_state().ok_or_else(|| {
            CommandError::usage("there is no place for the state: neither XDG_STATE_HOME nor HOME is set")
                .hint("give a folder with --state")
        })?,
    };
    // Nix and the garbage collector's roots want absolute paths.
    Ok(std::path::absolute(&folder).unwrap_or(folder))
}

fn default_state() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")))?;
    Some(base.join("narthex"))
}

/// The file that says which authorities are trusted, where the environment names one; Nix's own variable goes first.
pub(crate) fn certificates() -> Option<PathBuf> {
    let named = |name| std::env::var_os(name).filter(|file| !file.is_empty());
    named("NIX_SSL_CERT_FILE").or_else(|| named("SSL_CERT_FILE")).map(PathBuf::from)
}

/// Finds Nix and gives it the options of the command line.
pub(crate) async fn nix(options: &[String]) -> Result<Nix, CommandError> {
    let pairs = options.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone()));
    Ok(Nix::detect_with_files(pairs.collect()).await?)
}

/// An expression: a file, which must be there before Nix is asked, or a flake reference, which is Nix's to read.
pub(crate) fn expression(given: &str) -> Result<Expression, CommandError> {
    let error = match Path::new(given).canonicalize() {
        Ok(folder) if folder.join("flake.nix").exists() && !folder.join("default.nix").exists() => {
            return Ok(Expression::Flake {
                reference: folder.display().to_string(),
                fragment: narthex_closure::AttrPath::default(),
            });
        }
        Ok(file) => return Ok(Expression::File(file)),
        Err(error) => error,
    };
    Expression::flake(given).ok_or_else(|| {
        CommandError::usage(format!("{given} cannot be read"))
            .caused_by(&error)
            .hint("give a Nix file, a folder with a default.nix, or a flake as in `.#packages.x86_64-linux`")
    })
}

/// Reads a policy with its terms: a shipped one by its name, or a file; without either, the shipped default. A file
/// that is called as a shipped policy is named with its folder, `./strict`.
pub(crate) fn rules(given: Option<&Path>) -> Result<Rules, CommandError> {
    let given = given.unwrap_or(Path::new("default"));
    let (read, name) = policy_text(given)?;
    let rules = assembled(given, &read, &name)?;
    let policy = rules.policy();
    // Decisions and reports name the policy and nothing else of it.
    if shipped::POLICIES.iter().any(|(known, shipped)| *known == policy.name() && *shipped != read.text) {
        let called = policy.name();
        render::warning(&format!(
            "{name} calls itself `{called}` as a shipped policy does, and says something else: give it a `name` of its own"
        ));
    }
    let of_policy = |mistakes: &[Mistake]| mistakes.iter().map(|mistake| mistake.shown_in(&name)).collect();
    render::warnings(of_policy(policy.warnings()));
    render::warnings(of_policy(&rules.ended()));
    Ok(rules)
}

/// The rules of a policy's text that stands in this file, or would: what warns of it was said elsewhere.
pub(crate) fn rules_of(file: &Path, text: &PolicyText) -> Result<Rules, CommandError> {
    assembled(file, text, &file.display().to_string())
}

/// A policy with its terms.
fn assembled(given: &Path, read: &PolicyText, name: &str) -> Result<Rules, CommandError> {
    let policy = Policy::read(&read.text, &read.called, &mut extended).map_err(|mistakes| mistaken(name, &mistakes))?;
    let (mut terms, mut known) = (Vec::new(), Vec::new());
    for (named, of) in policy.named_terms() {
        let (text, called) = terms_text(given, name, named, of)?;
        // A policy and one that it extends may name one file.
        if known.contains(&called) {
            continue;
        }
        let read = Terms::parse(&text).map_err(|mistakes| mistaken(&called, &mistakes))?;
        render::warnings(read.warnings().iter().map(|warning| format!("{called}:{warning}")).collect());
        terms.push(read);
        known.push(called);
    }
    if let Some(id) = terms_clash(&terms) {
        let error = CommandError::usage(format!("{name}: two of its terms call themselves `{id}`"));
        return Err(error.hint("give the `id` of yours another name: what is recorded names terms by it"));
    }
    Ok(Rules::new(policy, terms, today()))
}

/// How a state remembers the policy that somebody named: a shipped one by its name, a file by its whole path.
pub(crate) fn remembered(given: Option<&Path>) -> Option<String> {
    let given = given?;
    let is_shipped = shipped::POLICIES.iter().any(|(name, _)| given.as_os_str() == *name);
    Some(if is_shipped { given.display().to_string() } else { called(given) })
}

/// A file of a policy, and what is wrong with it.
pub(crate) struct Checked {
    pub(crate) name: String,
    pub(crate) mistakes: Vec<Mistake>,
    /// What is allowed and perhaps not meant, and entries that have ended.
    pub(crate) warnings: Vec<Mistake>,
}

/// Looks for mistakes in a policy and in the terms that it names. Terms that are not there are a mistake of the
/// policy.
pub(crate) fn check(given: &Path) -> Result<Vec<Checked>, CommandError> {
    let (read, name) = policy_text(given)?;
    let text = &read.text;
    let (policy, mistakes) = match Policy::read(text, &read.called, &mut extended) {
        Ok(policy) => (Some(policy), Vec::new()),
        Err(mistakes) => (None, mistakes),
    };
    let warnings = match &policy {
        Some(policy) => {
            let ended = Rules::new(policy.clone(), Vec::new(), today()).ended();
            let mut warnings = [policy.warnings(), &ended].concat();
            warnings.sort_by_key(|warning| (warning.file.clone(), warning.line, warning.column));
            warnings
        }
        None => Vec::new(),
    };
    let named: Vec<(String, Option<String>)> = match &policy {
        Some(policy) => policy.named_terms().map(|(named, of)| (named.to_owned(), of.map(str::to_owned))).collect(),
        None => Policy::terms_in(text).into_iter().map(|named| (named, None)).collect(),
    };
    let mut files = vec![Checked { name: name.clone(), mistakes, warnings }];
    let mut terms: Vec<Terms> = Vec::new();
    for (named, of) in named {
        let found = terms_text(given, &name, &named, of.as_deref());
        // A policy and one that it extends may name one file.
        if found.as_ref().is_ok_and(|(_, name)| files.iter().any(|file| file.name == *name)) {
            continue;
        }
        let mut wrong = |message| {
            let at = text.find(&format!("\"{named}\"")).or_else(|| text.find("extends")).unwrap_or(0);
            files[0].mistakes.push(Mistake::at(text, at, message));
        };
        match found {
            Ok((text, name)) => {
                let (mistakes, warnings) = match Terms::parse(&text) {
                    Ok(read) => {
                        if let Some(other) = terms.iter().find(|other| other.id() == read.id()) {
                            wrong(format!(
                                "other terms call themselves `{}` as well: give yours another `id`",
                                other.id()
                            ));
                        }
                        let warnings = read.warnings().to_vec();
                        terms.push(read);
                        (Vec::new(), warnings)
                    }
                    Err(mistakes) => (mistakes, Vec::new()),
                };
                files.push(Checked { name, mistakes, warnings });
            }
            Err(error) => wrong(error.message),
        }
    }
    Ok(files)
}

/// The text of a policy, and what it is called for people.
fn policy_text(given: &Path) -> Result<(PolicyText, String), CommandError> {
    if let Some((name, text)) = shipped::POLICIES.iter().find(|(name, _)| given.as_os_str() == *name) {
        let read = PolicyText { called: (*name).to_owned(), text: (*text).to_owned() };
        return Ok((read, format!("the shipped policy {name}")));
    }
    let known: Vec<&str> = shipped::POLICIES.iter().map(|(name, _)| *name).collect();
    let hint = format!("give a TOML file, or the name of a shipped policy: {}", known.join(", "));
    let text = read(given, "policy").map_err(|error| error.hint(hint))?;
    Ok((PolicyText { called: called(given), text }, given.display().to_string()))
}

/// What a file is called, from wherever it is named. A link counts as a file in its own folder.
fn called(file: &Path) -> String {
    std::path::absolute(file).unwrap_or_else(|_| file.to_owned()).display().to_string()
}

/// The text of a file that a policy extends; its path is relative to that policy's.
pub(crate) fn extended(named: &str, from: &str) -> Result<PolicyText, String> {
    let file = Path::new(from).parent().unwrap_or(Path::new(".")).join(named);
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    Ok(PolicyText { called: called(&file), text })
}

/// The text of a policy's file.
pub(crate) fn policy_file(file: &Path) -> Result<PolicyText, CommandError> {
    let text = read(file, "policy")
        .map_err(|error| error.hint("`narthex policy show default > mine.toml` makes one to begin with"))?;
    Ok(PolicyText { called: called(file), text })
}

/// The text of a policy with everything that it extends in it, or of the suggestions that ship, which are no policy.
pub(crate) fn resolved_policy(given: &Path) -> Result<String, CommandError> {
    if given.as_os_str() == "suggested-licenses" {
        return Ok(shipped::SUGGESTED_LICENSES.to_owned());
    }
    let (read, name) = policy_text(given)?;
    let policy =
        Policy::read(&read.text, &read.called, &mut extended).map_err(|mistakes| mistaken(&name, &mistakes))?;
    policy.resolved().map_err(|error| CommandError::failed(format!("{name} cannot be shown")).caused_by(&error))
}

/// The text of terms that a policy names, or a file that it extends, and what they are called.
fn terms_text(policy: &Path, name: &str, named: &str, of: Option<&str>) -> Result<(String, String), CommandError> {
    if let Some((_, text)) = shipped::TERMS.iter().find(|(id, _)| *id == named) {
        return Ok(((*text).to_owned(), format!("the shipped terms {named}")));
    }
    if named.ends_with(".toml") {
        let file = of.map_or(policy, Path::new).parent().unwrap_or(Path::new(".")).join(named);
        return Ok((read(&file, "terms")?, file.display().to_string()));
    }
    let known: Vec<&str> = shipped::TERMS.iter().map(|(id, _)| *id).collect();
    Err(CommandError::usage(format!("{name}: there are no terms `{named}`"))
        .hint(format!("shipped are {}; terms of your own are named by their file, ending in .toml", known.join(", "))))
}

/// The terms that decisions may have been made under: those of a policy, where one is given, and those that ship.
pub(crate) fn terms(policy: Option<&Path>) -> Result<Vec<Terms>, CommandError> {
    let mut terms = match policy {
        Some(policy) => rules(Some(policy))?.terms().to_vec(),
        None => Vec::new(),
    };
    for (id, text) in shipped::TERMS {
        terms.push(Terms::parse(text).map_err(|mistakes| mistaken(&format!("the shipped terms {id}"), &mistakes))?);
    }
    Ok(terms)
}

/// The day in UTC.
pub(crate) fn today() -> Date {
    Date::of_unix_time(now())
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// The time that a document bears, in seconds since 1970: now, or what SOURCE_DATE_EPOCH says, so that a document can
/// be made again.
pub(crate) fn time_of_creation() -> Result<u64, CommandError> {
    let Some(given) = std::env::var_os("SOURCE_DATE_EPOCH").filter(|given| !given.is_empty()) else { return Ok(now()) };
    let seconds = given.to_str().and_then(|text| text.parse::<u64>().ok());
    // The last second of the year 9999: later ones have no place in the documents.
    seconds.filter(|seconds| *seconds < 253_402_300_800).ok_or_else(|| {
        CommandError::usage("SOURCE_DATE_EPOCH is no number of seconds since 1970")
            .hint("unset it, or set it to a number")
    })
}

fn read(file: &Path, what: &str) -> Result<String, CommandError> {
    std::fs::read_to_string(file).map_err(|error| {
        CommandError::usage(format!("the {what} file {} cannot be read", file.display())).caused_by(&error)
    })
}

pub(crate) fn mistaken(name: &str, mistakes: &[Mistake]) -> CommandError {
    let count = mistakes.len();
    let mut error = CommandError::usage(format!("{name} has {count} mistake{}", if count == 1 { "" } else { "s" }));
    error.causes = mistakes.iter().map(|mistake| mistake.shown_in(name)).collect();
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_a_shipped_name_or_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("strict");
        std::fs::write(&file, shipped::DEFAULT_POLICY.replace("\"default\"", "\"mine\"")).unwrap();
        let check = |given: Option<&Path>, expected: &str| {
            assert_eq!(rules(given).unwrap().policy().name(), expected, "{given:?}");
        };
        check(None, "default");
        for (name, _) in shipped::POLICIES {
            check(Some(Path::new(name)), name);
        }
        // A file of such a name has a folder before it.
        check(Some(&file), "mine");
        let error = rules(Some(Path::new("lax"))).unwrap_err();
        assert_eq!(error.message, "the policy file lax cannot be read");
        assert_eq!(
            error.hint.as_deref(),
            Some("give a TOML file, or the name of a shipped policy: default, strict, redistributable-only, private")
        );
    }
}
