//! What answers, what it does, and when it ends.

use crate::{Case, Code, Date, Policy, Provenance, Rules, Verdict, forecast, shipped};
use narthex_license::LicenseFacts;
use serde_json::{Value, json};
use std::sync::LazyLock;

const TODAY: (u16, u8, u8) = (2026, 11, 22);

fn rules(more: &str) -> Rules {
    let text = format!("{}\n{more}", shipped::DEFAULT_POLICY);
    let policy = Policy::parse(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{more}"));
    let (year, month, day) = TODAY;
    Rules::new(policy, Vec::new(), Date::new(year, month, day).unwrap())
}

fn review(about: &str, answer: &str, until: &str) -> String {
    format!(
        "[[reviews]]\n{about}\nanswer = {answer}\nreason = \"read it\"\nresponsible = \"ann@example.org\"\nuntil = {until}\n"
    )
}

const TORCH: &str = "package = [\"torch\"]";
static ATTRS: LazyLock<Vec<String>> = LazyLock::new(|| vec!["alias".to_owned(), "python3Packages.torch".to_owned()]);
static CASE: LazyLock<Case<'static>> =
    LazyLock::new(|| Case { package: "torch-2.1.0", attrs: &ATTRS, ..Case::default() });

/// Who answers, and what becomes of the package, with all reasons of the operator's.
fn said(license: Value, more: &str) -> String {
    let rules = rules(more);
    let facts = LicenseFacts::from_json(&json!({ "license": license }));
    let (verdict, reasons) = forecast(&CASE, &Provenance::Output(Some(&facts)), &rules);
    let answered = rules.answered(&CASE, Some(&facts));
    let mut text = answered.map_or("nobody".to_owned(), |one| format!("{} by {}", one.answer.as_str(), one.by));
    text += if verdict == Verdict::Publish { "; published" } else { "; withheld" };
    for ended in rules.ended_answers(&CASE, Some(&facts)) {
        text += &format!("; {ended}");
    }
    for reason in reasons.iter().filter(|reason| reason.code == Code::PolicyReview) {
        text += &format!("\n  {:?}: {}", reason.effect, reason.message);
    }
    text
}

#[test]
fn an_answer_explains_or_withholds_and_never_loosens() {
    let replaced = "\"replaced\"\nreplacement = \"torch-free\"";
    let rows = [
        (json!("unfreeRedistributable"), review(TORCH, "\"confirmed\"", "2027-06-30")),
        (json!("unfree"), review(TORCH, "\"confirmed\"", "2027-06-30")),
        (json!("unfreeRedistributable"), review(TORCH, "\"from-vendor\"", "2027-06-30")),
        (json!("unfreeRedistributable"), review("license = [\"unfree*\"]", replaced, "2027-06-30")),
        (json!("unfreeRedistributable"), review("attribute = [\"*.torch\"]", "\"confirmed\"", "2026-11-22")),
        // On the next day, a confirmation is gone and what withheld goes on to do so.
        (json!("unfreeRedistributable"), review(TORCH, "\"confirmed\"", "2026-11-21")),
        (json!("unfreeRedistributable"), review(TORCH, "\"from-vendor\"", "2026-11-21")),
        (json!("unfreeRedistributable"), review("package = [\"jax\"]", "\"from-vendor\"", "2027-06-30")),
    ];
    let shown: Vec<String> = rows.map(|(license, more)| said(license, &more)).into();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    confirmed by the review about package torch; published
      Note: a review about package torch, until 2027-06-30: the rights are confirmed: read it (ann@example.org)
    confirmed by the review about package torch; withheld
      Note: a review about package torch, until 2027-06-30: the rights are confirmed: read it (ann@example.org)
    from-vendor by the review about package torch; withheld
      Withhold: a review about package torch, until 2027-06-30: users fetch it from the vendor: read it (ann@example.org)
    replaced by the review about license unfree*; withheld
      Withhold: a review about license unfree*, until 2027-06-30: torch-free takes its place: read it (ann@example.org)
    confirmed by the review about attribute *.torch; published
      Note: a review about attribute *.torch, until 2026-11-22: the rights are confirmed: read it (ann@example.org)
    nobody; published; the review about package torch ended on 2026-11-21; ask ann@example.org
    nobody; withheld; the review about package torch ended on 2026-11-21; ask ann@example.org
      Withhold: a review about package torch, which ended on 2026-11-21 and still holds: users fetch it from the vendor: read it (ann@example.org)
    nobody; published
    "#);
}

#[test]
fn other_entries_answer_as_well() {
    let warrant = |until: &str| format!("reason = \"x\"\nresponsible = \"y\"\nuntil = {until}\n");
    let grant = |covers: &str, until: &str| format!("[[grants]]\nagreement = \"A\"\n{covers}\n{}", warrant(until));
    let except =
        |about: &str, codes: &str| format!("[[exceptions]]\n{about}\ncodes = [{codes}]\n{}", warrant("2027-01-01"));
    let rule = |about: &str, then: &str| format!("[[rules]]\n{about}\nthen = \"{then}\"\nreason = \"x\"\n");
    let check = |license: Value, more: String, expected: &str| {
        let said = said(license, &more);
        assert_eq!(said.lines().next().unwrap(), expected, "{more}");
    };
    let redistributable = || json!("unfreeRedistributable");
    let (unfree, nothing) = (|| json!("unfree"), || json!("nobody knows"));
    check(redistributable(), String::new(), "nobody; published");
    check(unfree(), grant("license = [\"unfree\"]", "2027-01-01"), "confirmed by the grant `A`; published");
    check(unfree(), grant(TORCH, "2026-01-01"), "nobody; withheld; the grant `A` ended on 2026-01-01; ask y");
    check(unfree(), grant("package = [\"jax\"]", "2027-01-01"), "nobody; withheld");
    check(redistributable(), rule(TORCH, "publish"), "confirmed by the rule about package torch; published");
    check(redistributable(), rule(TORCH, "withhold"), "from-vendor by the rule about package torch; withheld");
    // A part of the package is not the package, and a suspicion is not its license.
    for part in ["output = [\"out\"]", "file = [\"lib/*\"]", "finding = [\"copy\"]", "provenance = [\"binary*\"]"] {
        check(redistributable(), rule(part, "publish"), "nobody; published");
    }
    check(redistributable(), rule(&format!("{TORCH}\noutput = [\"out\"]"), "publish"), "nobody; published");
    // Who publishes everything, or a license, has not looked at the package.
    for wide in ["package = [\"*\"]", "package = [\"?*\", \"jax\"]", "attribute = [\"**\"]", "license = [\"unfree*\"]"]
    {
        check(redistributable(), rule(wide, "publish"), "nobody; published");
        let by = wide.replace(" = [\"", " ").replace("\", \"", " or ").replace("\"]", "");
        check(redistributable(), rule(wide, "withhold"), &format!("from-vendor by the rule about {by}; withheld"));
    }
    let named = rule("attribute = [\"*.torch\"]\nlicense = [\"unfree*\"]", "publish");
    let by = "confirmed by the rule about license unfree*, attribute *.torch; published";
    check(redistributable(), named, by);
    check(
        redistributable(),
        rule("package = [\"*\", \"tor*\"]", "publish"),
        "confirmed by the rule about package * or tor*; published",
    );
    check(nothing(), except(TORCH, "\"license-unknown\""), "confirmed by the exception about package torch; published");
    check(nothing(), except(TORCH, "\"audit-suspected\""), "nobody; withheld");
    check(redistributable(), except(TORCH, "\"license-unknown\""), "nobody; published");
    // A grant does not help where a review withholds, and the answer is the review's.
    let both = grant(TORCH, "2027-01-01") + &review(TORCH, "\"from-vendor\"", "2027-01-01");
    check(unfree(), both, "from-vendor by the review about package torch; withheld");
}

#[test]
fn mistakes_in_reviews_are_shown_with_their_places() {
    let text = format!(
        "{}\n{}",
        shipped::DEFAULT_POLICY,
        "[[reviews]]\nanswer = \"maybe\"\nreason = \"x\"\nresponsible = \"y\"\nuntil = 2027-01-01\n\
         [[reviews]]\npackage = [\"a\"]\nanswer = \"replaced\"\nreason = \"x\"\nresponsible = \"y\"\nuntil = 2027-01-01\n\
         [[reviews]]\npackage = [\"b\"]\nfile = [\"x\"]\nanswer = \"confirmed\"\nreplacement = \"c\"\nreason = \"x\"\n\
         responsible = \"y\"\nuntil = 2027-01-01\n\
         [[reviews]]\npackage = [\"d\"]\nanswer = \"confirmed\"\nreason = \"x\"\nresponsible = \"y\"\nuntil = 2027-01-01\n\
         [[reviews]]\npackage = [\"d\"]\nanswer = \"from-vendor\"\nreason = \"x\"\nresponsible = \"y\"\nuntil = 2027-01-01\n"
    );
    let lines = shipped::DEFAULT_POLICY.lines().count();
    let mistakes = Policy::parse(&text).unwrap_err();
    let shown = mistakes.iter().map(|m| format!("{}:{}: {}", m.line.saturating_sub(lines + 1), m.column, m.message));
    insta::assert_snapshot!(shown.collect::<Vec<_>>().join("\n"), @r#"
    1:1: it names nothing that it is about: one of `license`, `package`, `attribute`, `output`, `provenance`, `file`, `finding` is missing
    2:10: `"maybe"` should be one of `confirmed`, `replaced`, `from-vendor`
    6:1: `replacement` is missing
    14:1: `file` is not known here; known are `license`, `package`, `attribute`, `answer`, `replacement`, `reason`, `responsible`, `until`
    16:15: only what is `replaced` has a `replacement`
    26:1: an earlier review is about package d as well
    "#);
}
