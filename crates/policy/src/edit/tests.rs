//! What is written, what stays as it is, and what is refused.

use super::*;
use crate::shipped;

fn today() -> Date {
    Date::new(2026, 11, 22).unwrap()
}

fn new<'a>(packages: &'a [String], entry: Entry<'a>) -> NewAnswer<'a> {
    let until = Date::new(2027, 6, 30).unwrap();
    NewAnswer {
        packages,
        licenses: &[],
        entry,
        reason: "read \"it\"",
        responsible: "ann@example.org",
        until: Some(until),
    }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// For a policy that extends none.
fn answer(text: &str, new: &NewAnswer<'_>, today: Date) -> Result<Edited, EditError> {
    let policy = PolicyText { called: "mine.toml".to_owned(), text: text.to_owned() };
    super::answer(&policy, &mut crate::extend::no_files, new, today)
}

/// What stands in a policy that it extends counts, and is not touched.
#[test]
fn an_answer_goes_into_the_file_that_is_named() {
    let company =
        policy(&(review("\"steam\"", "from-vendor", "2026-01-01") + &review("\"fine\"", "confirmed", "2999-01-01")));
    let mine = "version = 1\nname = \"mine\"\nextends = \"company.toml\"\n".to_owned();
    let check = |text: &str, package: &str, entry: Entry<'_>| {
        let mut find = |named: &str, _: &str| {
            Ok(PolicyText { called: named.to_owned(), text: company.replace("\"default\"", "\"company\"") })
        };
        let policy = PolicyText { called: "mine.toml".to_owned(), text: text.to_owned() };
        super::answer(&policy, &mut find, &new(&names(&[package]), entry), today())
    };
    let edited = check(&mine, "zoom", Entry::FromVendor).unwrap();
    assert_eq!(edited.text, format!("{mine}\n{}", edited.entry));
    assert!(matches!(check(&mine, "fine", Entry::Confirmed), Err(EditError::Decided { .. })));
    // Ended there, it goes on to withhold: it has to be changed there.
    assert!(check(&mine, "steam*", Entry::Grant("x")).is_ok());
    assert!(matches!(check(&mine, "steam", Entry::Grant("x")), Err(EditError::StillWithheld { .. })));
    // Of its own, one that has ended is edited, whatever stands before it elsewhere.
    let with = format!("{mine}{}", review("\"unity\"", "from-vendor", "2026-01-01"));
    let edited = check(&with, "unity", Entry::Confirmed).unwrap();
    assert_eq!(edited.text.matches("[[reviews]]").count(), 1, "{}", edited.text);
    assert!(edited.text.contains("answer = \"confirmed\""), "{}", edited.text);
}

fn policy(more: &str) -> String {
    format!("{}\n{more}", shipped::DEFAULT_POLICY)
}

fn review(package: &str, answer: &str, until: &str) -> String {
    format!(
        "# About {package}.\n[[reviews]]\npackage = [{package}] # these\nanswer = \"{answer}\"\nreason = \"x\"\n\
         responsible = \"y\"\nuntil = {until} # last day\n"
    )
}

#[test]
fn an_answer_stands_at_the_end_and_all_else_stays() {
    let check = |entry: Entry<'_>| {
        let text = policy("# Nothing yet.");
        let edited = answer(&text, &new(&names(&["cuda_nvcc", "steam-*"]), entry), today()).unwrap();
        assert_eq!(edited.text, format!("{text}\n\n{}", edited.entry));
        // The next one stands behind it, with a line between.
        let more = answer(&edited.text, &new(&names(&["zoom"]), entry), today()).unwrap();
        assert_eq!(more.text, format!("{}\n{}", edited.text, more.entry));
        edited.entry
    };
    let entries = [Entry::Confirmed, Entry::Grant("NVIDIA, 2025"), Entry::Replaced("zluda"), Entry::FromVendor];
    insta::assert_snapshot!(entries.map(check).join("\n"), @r#"
    [[reviews]]
    package = ["cuda_nvcc", "steam-*"]
    answer = "confirmed"
    reason = 'read "it"'
    responsible = "ann@example.org"
    until = 2027-06-30

    [[grants]]
    agreement = "NVIDIA, 2025"
    package = ["cuda_nvcc", "steam-*"]
    reason = 'read "it"'
    responsible = "ann@example.org"
    until = 2027-06-30

    [[reviews]]
    package = ["cuda_nvcc", "steam-*"]
    answer = "replaced"
    replacement = "zluda"
    reason = 'read "it"'
    responsible = "ann@example.org"
    until = 2027-06-30

    [[reviews]]
    package = ["cuda_nvcc", "steam-*"]
    answer = "from-vendor"
    reason = 'read "it"'
    responsible = "ann@example.org"
    until = 2027-06-30
    "#);
}

#[test]
fn an_ended_review_becomes_the_new_one() {
    let old = review("\"steam\"", "replaced", "2026-01-31").replace("reason", "replacement = \"z\"\nreason");
    let text = policy(&(old + "\n# The end.\n"));
    let edited = answer(&text, &new(&names(&["steam"]), Entry::Confirmed), today()).unwrap();
    insta::assert_snapshot!(edited.text[text.find("# About").unwrap()..], @r#"
    # About "steam".
    [[reviews]]
    package = ["steam"] # these
    answer = "confirmed"
    reason = 'read "it"'
    responsible = "ann@example.org"
    until = 2027-06-30 # last day

    # The end.
    "#);
    assert!(edited.text.starts_with(&text[..text.find("# About").unwrap()]));
    // Of others it is still an ended review.
    let text = policy(&review("\"steam\", \"zoom\"", "from-vendor", "2026-01-31"));
    let edited = answer(&text, &new(&names(&["steam"]), Entry::Grant("Valve, 2026")), today()).unwrap();
    insta::assert_snapshot!(edited.text[text.find("# About").unwrap()..], @r#"
    # About "steam", "zoom".
    [[reviews]]
    package = ["zoom"] # these
    answer = "from-vendor"
    reason = "x"
    responsible = "y"
    until = 2026-01-31 # last day

    [[grants]]
    agreement = "Valve, 2026"
    package = ["steam"]
    reason = 'read "it"'
    responsible = "ann@example.org"
    until = 2027-06-30
    "#);
    // A grant beside an ended review that withholds would not help.
    let text = policy(&review("\"steam\"", "from-vendor", "2026-01-31"));
    let edited = answer(&text, &new(&names(&["steam"]), Entry::Grant("Valve, 2026")), today()).unwrap();
    assert!(!edited.text.contains("[[reviews]]"), "{}", edited.text);
}

#[test]
fn what_cannot_be_written_is_refused() {
    let check = |text: &str, package: &str, entry: Entry<'_>, expected: &str| {
        let error = answer(text, &new(&names(&["fine", package]), entry), today()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    let living = policy(&review("\"steam\"", "from-vendor", "2026-11-22"));
    let by = "by the review about package steam";
    check(&living, "steam", Entry::Confirmed, &format!("steam is decided already, {by}"));
    check(&living, "steam-1.0", Entry::FromVendor, &format!("steam-1.0 is decided already, {by}"));
    let wide = policy(&review("\"ste*\"", "from-vendor", "2026-01-31"));
    check(
        &wide,
        "steam",
        Entry::Confirmed,
        "steam is still withheld by the review about package ste*, which has ended",
    );
    let line = shipped::DEFAULT_POLICY.replace("version = 1", "version = 1\nreviews = []");
    check(&line, "steam", Entry::Confirmed, "`reviews` is a list in one line");
    assert!(answer(&line, &new(&names(&["steam"]), Entry::Grant("x")), today()).is_ok());
    check("version = 1", "steam", Entry::Confirmed, "the policy has mistakes");
    check(shipped::DEFAULT_POLICY, "[", Entry::Confirmed, "the policy would have mistakes");
    let over = NewAnswer { until: Date::new(2026, 11, 21), ..new(&[], Entry::Confirmed) };
    assert_eq!(answer(&living, &over, today()).unwrap_err(), EditError::Over(over.until.unwrap()));
}

/// Quotes, line ends and control characters stay what they are, and no text ends an entry.
#[test]
fn texts_come_back_as_they_were_given() {
    let lines = ["two\nlines\n[[rules]]", "two\r\nlines\n", "\n\"\"\" ''' \u{1b} \\n ä"];
    for reason in ["a \"quoted\" 'one' \\ #", "\u{1b}[2J\u{7f} ä \"\"\" '''"].into_iter().chain(lines) {
        let packages = names(&["steam"]);
        let new = NewAnswer { reason, ..new(&packages, Entry::FromVendor) };
        for text in [shipped::DEFAULT_POLICY.to_owned(), windows(shipped::DEFAULT_POLICY)] {
            let edited = answer(&text, &new, today()).unwrap();
            let policy = Policy::parse(&edited.text).unwrap();
            assert_eq!((policy.reviews[0].warrant.reason.as_str(), policy.rules.len()), (reason, 0));
        }
    }
}

fn windows(text: &str) -> String {
    text.replace('\n', "\r\n")
}

/// A file with the line ends of Windows keeps them, and so does one with a mark at its beginning keep that.
#[test]
fn line_ends_stay_as_they_are() {
    let living = |package: &str| review(package, "from-vendor", "2027-06-30");
    let ended = |packages: &str| review(packages, "from-vendor", "2026-01-31");
    let check = |text: &str, entry: Entry<'_>| {
        let packages = names(&["steam"]);
        let new = new(&packages, entry);
        let plain = answer(text, &new, today()).unwrap();
        let edited = answer(&windows(text), &new, today()).unwrap();
        assert_eq!(edited.text, windows(&plain.text), "{text}");
        assert_eq!((edited.entry, edited.beside), (plain.entry, plain.beside));
        let marked = answer(&format!("\u{feff}{text}"), &new, today()).unwrap();
        assert_eq!(marked.text, format!("\u{feff}{}", plain.text));
    };
    for more in ["# The end.", "# The end.\n", "# The end.\n\n"] {
        check(&policy(&(living("\"a\"") + more)), Entry::Confirmed);
        check(&policy(&(living("\"a\"") + &ended("\"steam\"") + &living("\"b\"") + more)), Entry::Confirmed);
        let two = ended("\"a\", \"steam\"") + &living("\"b\"") + &ended("\"steam\", \"c\"");
        check(&policy(&(two + more)), Entry::Grant("Valve, 2026"));
    }
}

/// Where lines end in both ways, only those of the edited place change.
#[test]
fn lines_that_end_differently_stay_different() {
    let front = windows(&policy("# Here.\n"));
    let back = "[[rules]]\npackage = [\"b\"]\nthen = \"publish\"\nreason = \"\"\"x\r\ny\"\"\"\n";
    let between = "[[rules]]\npackage = [\"c\"]\nthen = \"publish\"\nreason = \"x\"\n";
    let [first, second] =
        ["zoom", "teams"].map(|other| review(&format!("\"steam\", \"{other}\""), "from-vendor", "2026-01-31"));
    let text = format!("{front}{first}{between}{second}{back}");
    let edited = answer(&text, &new(&names(&["steam"]), Entry::FromVendor), today()).unwrap();
    let [first, second] =
        [first, second].map(|review| review.replace("[\"steam\", ", "[").replace("# these\n", "# these\r\n"));
    let expected = format!("{front}{first}{between}{second}{back}\r\n{}", windows(&edited.entry));
    assert_eq!(edited.text, expected);
}

/// Leave for what is unknown is an exception, about patterns as well as names.
#[test]
fn what_is_unknown_is_answered_by_an_exception() {
    let edited =
        answer(shipped::DEFAULT_POLICY, &new(&names(&["tinycc-*", "libc.a"]), Entry::Unknown), today()).unwrap();
    let [exceptions, codes] =
        ["[[exceptions]]\npackage = [\"tinycc-*\", \"libc.a\"]\n", "codes = [\"license-unknown\"]\n"];
    assert!(edited.entry.starts_with(exceptions) && edited.entry.contains(codes), "{}", edited.entry);
    assert!(Policy::parse(&edited.text).is_ok());
    let again = answer(&edited.text, &new(&names(&["tinycc-boot"]), Entry::Unknown), today());
    assert!(matches!(again, Err(EditError::Decided { .. })), "{again:?}");
    // An answer that ended and withholds makes room for it.
    let ended = format!("{}\n{}", shipped::DEFAULT_POLICY, review("\"libc.a\"", "from-vendor", "2026-01-01"));
    let edited = answer(&ended, &new(&names(&["libc.a"]), Entry::Unknown), today()).unwrap();
    assert!(!edited.text.contains("[[reviews]]"), "{}", edited.text);
}

#[test]
fn license_values_are_answered_in_the_place_of_packages() {
    let licenses = names(&["GPL", "gpl"]);
    let check = |entry: Entry<'_>, until: Option<Date>, expected: &str| {
        let new = NewAnswer { licenses: &licenses, until, ..new(&[], entry) };
        let edited = answer(&policy(""), &new, today()).unwrap();
        assert_eq!(edited.entry, expected);
        assert!(edited.text.ends_with(expected), "{}", edited.text);
        edited.text
    };
    let who = "reason = 'read \"it\"'\nresponsible = \"ann@example.org\"\n";
    let means = format!("[[licenses]]\nnamed = [\"GPL\", \"gpl\"]\nmeans = \"GPL-1.0-or-later\"\n{who}");
    let text = check(Entry::Means("GPL-1.0-or-later"), None, &means);
    let until = format!("{means}until = 2027-01-31\n");
    check(Entry::Means("GPL-1.0-or-later"), Date::new(2027, 1, 31), &until);
    let review =
        format!("[[reviews]]\nlicense = [\"GPL\", \"gpl\"]\nanswer = \"from-vendor\"\n{who}until = 2027-01-31\n");
    check(Entry::FromVendor, Date::new(2027, 1, 31), &review);
    // Said already, no license, and what is known: nothing of it becomes a text.
    let refused = |text: &str, licenses: &[&str], means: &str, expected: &str| {
        let licenses = names(licenses);
        let new = NewAnswer { licenses: &licenses, until: None, ..new(&[], Entry::Means(means)) };
        let Err(EditError::After(mistakes)) = answer(text, &new, today()) else { panic!("{licenses:?}") };
        assert!(mistakes.iter().any(|mistake| mistake.message.contains(expected)), "{mistakes:?}");
    };
    refused(&text, &["gpl"], "MIT", "what `gpl` means is said earlier as well");
    refused(&policy(""), &["GPL"], "whatever", "`whatever` names no license that is known");
    refused(&policy(""), &["unfree"], "MIT", "`unfree` is known already");
}

#[test]
fn a_license_value_that_is_answered_is_named() {
    let about = |about: &str, until: &str| review("\"x\"", "from-vendor", until).replace("package = [\"x\"]", about);
    let check = |text: &str, licenses: &[&str], entry: Entry<'_>| {
        let licenses = names(licenses);
        answer(&policy(text), &NewAnswer { licenses: &licenses, ..new(&[], entry) }, today())
    };
    let unfree = about("license = [\"mit*\", \"unfree*\"]", "2999-01-01");
    for (license, entry) in [
        ("unfree*", Entry::FromVendor),
        ("unfreeRedistributable", Entry::Confirmed),
        ("unfreeRedistributable*", Entry::Grant("x")),
        ("unfree", Entry::Replaced("y")),
    ] {
        let error = check(&unfree, &["issl", license], entry).unwrap_err();
        let EditError::Decided { package, by } = &error else { panic!("{license}: {error}") };
        assert_eq!(*package, format!("the license value {license}"));
        assert!(by.contains("unfree*"), "{by}");
    }
    let grant = "[[grants]]\nlicense = [\"issl\"]\nagreement = \"a\"\nreason = \"x\"\nresponsible = \"y\"\nuntil = 2999-01-01\n";
    assert!(matches!(check(grant, &["issl"], Entry::FromVendor), Err(EditError::Decided { .. })));
    // One that has ended, and one that is about some packages only, answer for no license; nor does a narrower one.
    for (text, beside) in [
        (about("license = [\"unf*\"]", "2026-01-01"), 0),
        (about("license = [\"unf*\"]\npackage = [\"x\"]", "2999-01-01"), 0),
        (about("license = [\"unfreeRedistributable\"]", "2999-01-01"), 1),
    ] {
        let edited = check(&text, &["unfree*"], Entry::FromVendor).unwrap();
        assert_eq!(edited.beside.len(), beside, "{text}");
    }
    // One that has ended and says the very same is named, too.
    let error = check(&about("license = [\"unfree*\"]", "2026-01-01"), &["unfree*"], Entry::FromVendor).unwrap_err();
    let EditError::After(mistakes) = error else { panic!("{error}") };
    assert!(mistakes[0].message.contains("about license unfree* as well"), "{mistakes:?}");
}
