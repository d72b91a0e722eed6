//! What goes before what, as one table: classes, terms, findings, rules, exceptions, grants, corrections, reviews, dates.

use super::*;
use crate::{Date, Policy, shipped};
use narthex_audit::{Finding, Gap, Material, Origin, Place, Sign};
use serde_json::json;

const WITHHOLD_TORCH: &str = "[[rules]]\npackage = [\"torch\"]\nthen = \"withhold\"\nreason = \"not yet\"\n";
const PUBLISH_TORCH: &str = "[[rules]]\npackage = [\"torch\"]\nthen = \"publish\"\nreason = \"we want it\"\n";
const NO_ARCHIVES: &str = "[[rules]]\nfile = [\"share/*.rar\"]\nthen = \"withhold\"\nreason = \"unread\"\n";
const WARRANT: &str = "reason = \"looked at\"\nresponsible = \"ann@example.org\"\n";

pub(super) fn exception(codes: &str, about: &str, until: &str) -> String {
    format!("[[exceptions]]\n{about}\ncodes = [{codes}]\n{WARRANT}until = {until}\n")
}

pub(super) fn grant(covers: &str, until: &str) -> String {
    format!("[[grants]]\nagreement = \"NVIDIA, 2025\"\n{covers}\n{WARRANT}until = {until}\n")
}

fn review(answer: &str, until: &str) -> String {
    format!("[[reviews]]\npackage = [\"torch\"]\nanswer = {answer}\n{WARRANT}until = {until}\n")
}

pub(super) fn rules(more: &str) -> Rules {
    rules_of(&format!("{}\n{more}", shipped::DEFAULT_POLICY))
}

fn rules_of(text: &str) -> Rules {
    let terms = shipped::TERMS.iter().map(|(_, text)| Terms::parse(text).unwrap()).collect();
    let policy = Policy::parse(text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"));
    Rules::new(policy, terms, Date::new(2026, 11, 22).unwrap())
}

fn place(file: &str) -> Place {
    Place { file: file.to_owned(), members: vec![] }
}

fn origin(file: &str) -> Origin {
    Origin {
        material: Material::of_package("cuda_nvcc-12.9", vec!["nvidiaCuda".to_owned()]),
        file: file.to_owned(),
        member: None,
    }
}

pub(super) fn ptxas() -> Finding {
    Finding::Copy { place: place("bin/x"), original: origin("bin/ptxas"), releases: Vec::new() }
}

fn suspected() -> Finding {
    let signs = vec![Sign::Strings { found: 20, known: 30, examples: vec![] }];
    Finding::Suspected { place: place("lib/libx.so"), like: origin("libcudart.so.12"), signs }
}

fn gap() -> Finding {
    Finding::NotFullyAudited { place: place("share/a.rar"), gap: Gap::UnsupportedArchive("rar".to_owned()) }
}

fn decided(license: serde_json::Value, findings: Vec<Finding>, rules: &Rules) -> Decision {
    let attrs = ["alias".to_owned(), "python3Packages.torch".to_owned()];
    let case = Case { package: "torch-2.1.0", attrs: &attrs, output: Some("out"), has_supplier: false };
    let said = LicenseFacts::from_json(&json!({ "license": license, "provenance": ["binaryNativeCode"] }));
    let facts = rules.correct(&case, &said).unwrap_or(said);
    let files = ["bin/x", "lib/libx.so", "share/a.rar", "bin/app"].map(str::to_owned).to_vec();
    let report = Report { findings, files, own_code: vec![place("bin/app")], ..Report::default() };
    let path = "/nix/store/00000000000000000000000000000000-torch-2.1.0".parse().unwrap();
    let subject = Subject {
        path: &path,
        case,
        nar_hash: NarHash::from_sha256([0; 32]),
        provenance: Provenance::Output(Some(&facts)),
        report: Some(&report),
        lost: None,
        read_withheld: false,
    };
    decide(&subject, rules)
}

#[track_caller]
fn check(license: serde_json::Value, findings: Vec<Finding>, more: &str, verdict: Verdict, code: Code) {
    let decision = decided(license, findings, &rules(more));
    let first = &decision.reasons()[0];
    assert_eq!((decision.verdict(), first.code), (verdict, code), "{more}\n{:#?}", decision.reasons());
    assert_eq!(decision.permit().is_some(), verdict == Verdict::Publish);
}

#[test]
fn the_strictest_reason_wins_unless_an_exception_or_a_grant_names_the_case() {
    use Code::*;
    use Verdict::{Publish, Withhold};
    let mit = || json!("mit");
    let cuda = || json!("nvidiaCuda");
    let half_known = || json!(["nvidiaCuda", "nobody knows"]);
    let torch = "package = [\"torch\"]";
    let both = [WITHHOLD_TORCH, "[[rules]]\nattribute = [\"*.torch\"]\nthen = \"publish\"\nreason = \"x\"\n"].concat();
    let suspicion = |about: &str, until: &str| exception("\"audit-suspected\"", about, until);
    let rows: Vec<(serde_json::Value, Vec<Finding>, String, Verdict, Code)> = vec![
        // Rules add a reason, and lift none.
        (mit(), vec![], WITHHOLD_TORCH.to_owned(), Withhold, PolicyRule),
        (mit(), vec![], both, Withhold, PolicyRule),
        (cuda(), vec![], PUBLISH_TORCH.to_owned(), Withhold, LicenseRestricted),
        (json!(null), vec![], PUBLISH_TORCH.to_owned(), Withhold, LicenseUnknown),
        (mit(), vec![], WITHHOLD_TORCH.replace("torch", "jax"), Publish, LicenseFree),
        (
            mit(),
            vec![],
            WITHHOLD_TORCH.replace("package", "provenance").replace("torch", "binary*"),
            Withhold,
            PolicyRule,
        ),
        (mit(), vec![], WITHHOLD_TORCH.replace("package", "output").replace("torch", "static"), Publish, LicenseFree),
        (mit(), vec![], WITHHOLD_TORCH.replace("package", "license").replace("torch", "mit"), Withhold, PolicyRule),
        (
            mit(),
            vec![],
            WITHHOLD_TORCH.replace("package", "file").replace("torch", "share/*.rar"),
            Withhold,
            PolicyRule,
        ),
        (mit(), vec![], WITHHOLD_TORCH.replace("package", "finding").replace("torch", "stub"), Publish, LicenseFree),
        // Exceptions lift the codes that they name, in the cases that they name, until they end.
        (json!(null), vec![], exception("\"license-unknown\"", torch, "2026-11-22"), Publish, PolicyException),
        (json!(null), vec![], exception("\"license-unknown\"", torch, "2026-11-21"), Withhold, LicenseUnknown),
        (json!(null), vec![], exception("\"audit-suspected\"", torch, "2027-01-01"), Withhold, LicenseUnknown),
        (mit(), vec![suspected()], String::new(), Withhold, AuditSuspected),
        (mit(), vec![suspected()], suspicion("file = [\"lib/*\"]", "2027-01-01"), Publish, PolicyException),
        (mit(), vec![suspected()], suspicion("file = [\"bin/*\"]", "2027-01-01"), Withhold, AuditSuspected),
        (mit(), vec![suspected(), gap()], suspicion("file = [\"lib/*\"]", "2027-01-01"), Withhold, AuditIncomplete),
        (
            mit(),
            vec![],
            WITHHOLD_TORCH.to_owned() + &exception("\"policy-rule\"", torch, "2027-01-01"),
            Publish,
            PolicyException,
        ),
        // The same for rules about files and findings: what is lifted is what the exception names.
        (
            mit(),
            vec![],
            NO_ARCHIVES.to_owned() + &exception("\"policy-rule\"", torch, "2027-01-01"),
            Publish,
            PolicyException,
        ),
        (
            mit(),
            vec![],
            NO_ARCHIVES.to_owned() + &exception("\"policy-rule\"", "file = [\"share/a.*\"]", "2027-01-01"),
            Publish,
            PolicyException,
        ),
        (
            mit(),
            vec![],
            NO_ARCHIVES.to_owned() + &exception("\"policy-rule\"", "file = [\"share/b.*\"]", "2027-01-01"),
            Withhold,
            PolicyRule,
        ),
        (
            mit(),
            vec![],
            NO_ARCHIVES.to_owned() + &exception("\"policy-rule\"", "file = [\"share/a.*\"]", "2026-01-01"),
            Withhold,
            PolicyRule,
        ),
        (
            mit(),
            vec![],
            NO_ARCHIVES.to_owned() + &exception("\"audit-driver\"", "file = [\"share/a.*\"]", "2027-01-01"),
            Withhold,
            PolicyRule,
        ),
        (
            mit(),
            vec![],
            WITHHOLD_TORCH.to_owned() + &exception("\"policy-rule\"", "file = [\"*\"]", "2027-01-01"),
            Withhold,
            PolicyRule,
        ),
        // A grant lifts what a vendor's terms forbid, and nothing else.
        (cuda(), vec![], grant("license = [\"nvidiaCuda\"]", "2027-06-30"), Publish, PolicyGrant),
        (cuda(), vec![], grant("license = [\"nvidiaCuda\"]", "2026-06-30"), Withhold, LicenseRestricted),
        (
            json!(["nvidiaCuda", "unfree"]),
            vec![],
            grant("license = [\"nvidiaCuda\"]", "2027-06-30"),
            Withhold,
            LicenseRestricted,
        ),
        (mit(), vec![ptxas()], String::new(), Withhold, TermsFileNotListed),
        (mit(), vec![ptxas()], grant("license = [\"nvidia*\"]", "2027-06-30"), Publish, PolicyGrant),
        (mit(), vec![ptxas()], grant("package = [\"cuda_nvcc\"]", "2027-06-30"), Publish, PolicyGrant),
        (mit(), vec![ptxas()], grant("package = [\"cuda_cudart\"]", "2027-06-30"), Withhold, TermsFileNotListed),
        (mit(), vec![ptxas(), suspected()], grant("license = [\"nvidia*\"]", "2027-06-30"), Withhold, AuditSuspected),
        (cuda(), vec![ptxas()], grant("license = [\"nvidiaCuda\"]", "2027-06-30"), Publish, PolicyGrant),
        (json!(null), vec![], grant("package = [\"torch\"]", "2027-06-30"), Withhold, LicenseUnknown),
        // Beside what is restricted, a license that nobody knows is answered for by itself.
        (half_known(), vec![], String::new(), Withhold, LicenseRestricted),
        (half_known(), vec![], exception("\"license-unknown\"", torch, "2027-01-01"), Withhold, LicenseRestricted),
        (half_known(), vec![], grant("license = [\"nvidiaCuda\"]", "2027-06-30"), Withhold, LicenseUnknown),
        (
            half_known(),
            vec![],
            exception("\"license-unknown\"", torch, "2027-01-01") + &grant("license = [\"nvidiaCuda\"]", "2027-06-30"),
            Publish,
            PolicyGrant,
        ),
        // A review that withholds is lifted by nothing, also when its time is over; one that confirms permits nothing.
        (mit(), vec![], review("\"from-vendor\"", "2027-06-30"), Withhold, PolicyReview),
        (mit(), vec![], review("\"from-vendor\"", "2026-06-30"), Withhold, PolicyReview),
        (mit(), vec![], review("\"confirmed\"", "2027-06-30"), Publish, LicenseFree),
        (cuda(), vec![], review("\"confirmed\"", "2027-06-30"), Withhold, LicenseRestricted),
        (json!(null), vec![], review("\"confirmed\"", "2027-06-30"), Withhold, LicenseUnknown),
        (mit(), vec![ptxas()], review("\"confirmed\"", "2027-06-30"), Withhold, TermsFileNotListed),
        (
            cuda(),
            vec![],
            review("\"from-vendor\"", "2027-06-30") + &grant("license = [\"nvidiaCuda\"]", "2027-06-30"),
            Withhold,
            PolicyReview,
        ),
        (mit(), vec![], review("\"from-vendor\"", "2027-06-30") + PUBLISH_TORCH, Withhold, PolicyReview),
        (cuda(), vec![], review("\"from-vendor\"", "2027-06-30"), Withhold, LicenseRestricted),
        // A correction comes before all of it.
        (mit(), vec![], correction("\"mit\", \"nvidiaCuda\""), Withhold, LicenseRestricted),
        (cuda(), vec![], correction("\"bsd3\""), Publish, LicenseFree),
        // Lists.
        (json!(["mit", "unfree"]), vec![], String::new(), Withhold, LicenseRestricted),
        (json!(["mit", "unfree"]), vec![], "LENIENT".to_owned(), Publish, LicenseFree),
    ];
    for (license, findings, more, verdict, code) in rows {
        if more == "LENIENT" {
            let lenient = shipped::DEFAULT_POLICY.replace("version = 1", "version = 1\nlists = \"lenient\"");
            let decision = decided(license, findings, &rules_of(&lenient));
            assert_eq!((decision.verdict(), decision.reasons()[0].code), (verdict, code));
            let message = &decision.reasons()[0].message;
            assert!(message.contains("of which one may be chosen"), "{message}");
        } else {
            check(license, findings, &more, verdict, code);
        }
    }
}

fn correction(license: &str) -> String {
    format!(
        "[[corrections]]\npackage = [\"torch\"]\nlicense = [{license}]\nreason = \"built with CUDA\"\n\
         source = \"its build log\"\n"
    )
}

/// A policy that publishes what is restricted does not publish with it what nobody knows.
#[test]
fn an_unknown_license_counts_beside_a_restricted_one() {
    let private = shipped::POLICIES.iter().find(|(name, _)| *name == "private").unwrap().1;
    let decided = |license: serde_json::Value, text: &str| {
        let decision = decided(license, vec![], &rules_of(text));
        (decision.verdict(), decision.reasons()[0].code)
    };
    let half_known = || json!(["unfree", "nobody knows"]);
    assert_eq!(decided(json!("unfree"), private), (Verdict::Publish, Code::LicenseRestricted));
    assert_eq!(decided(half_known(), private), (Verdict::Withhold, Code::LicenseUnknown));
    let open = private.replace("unknown = \"withhold\"", "unknown = \"publish\"");
    assert_eq!(decided(half_known(), &open), (Verdict::Publish, Code::LicenseRestricted));
    // The same of another build of such a package.
    let facts = LicenseFacts::from_json(&json!({ "license": half_known() }));
    let provenance = Provenance::Original { name: "torch-2.1.0", facts: &facts };
    let (verdict, reasons) = forecast(&Case { package: "torch-2.1.0", ..Case::default() }, &provenance, &rules(""));
    let codes: Vec<Code> = reasons.iter().map(|reason| reason.code).collect();
    assert_eq!((verdict, codes.as_slice()), (Verdict::Withhold, &[Code::LicenseUnknown, Code::LicenseOfOriginal][..]));
    let shown: Vec<&str> = reasons.iter().map(|reason| reason.message.as_str()).collect();
    assert!(
        shown.iter().all(|message| message.starts_with("as torch-2.1.0, which it is another build of: ")),
        "{shown:?}"
    );
}

/// What a license forbids, and what a policy does all the same, are both said.
#[test]
fn a_policy_that_publishes_what_may_not_be_passed_on_says_so() {
    let private = shipped::POLICIES.iter().find(|(name, _)| *name == "private").unwrap().1;
    let open = private.replace("unknown = \"withhold\"", "unknown = \"publish\"");
    let shown = |license: serde_json::Value, text: &str| {
        let decision = decided(license, vec![], &rules_of(text));
        let declared = decision.reasons().iter().filter(|reason| reason.source == Source::Declared);
        let line = |reason: &Reason| format!("{:?} {}: {}", reason.effect, reason.code, reason.message);
        declared.map(line).collect::<Vec<_>>()
    };
    let mut lines = Vec::new();
    for text in [shipped::DEFAULT_POLICY, private, &open] {
        for license in [json!("unfree"), json!(["mit", "unfree"]), json!(["unfree", "x"]), json!("x"), json!(null)] {
            lines.extend(shown(license, text));
        }
        lines.push(String::new());
    }
    insta::assert_snapshot!(lines.join("\n"), @r#"
    Withhold license-restricted: LicenseRef-unfree may not be passed on
    Withhold license-restricted: MIT AND LicenseRef-unfree, a list all of which apply as this policy reads it, may not be passed on
    Withhold license-restricted: LicenseRef-unfree AND NOASSERTION ("x") may not be passed on
    Withhold license-unknown: its license is not fully known: LicenseRef-unfree AND NOASSERTION ("x")
    Withhold license-unknown: `x` names no license that is known
    Withhold license-unknown: it declares no license

    Publish license-restricted: LicenseRef-unfree does not permit passing it on, and the policy publishes what is restricted all the same
    Publish license-restricted: MIT AND LicenseRef-unfree, a list all of which apply as this policy reads it, does not permit passing it on, and the policy publishes what is restricted all the same
    Withhold license-unknown: its license is not fully known: LicenseRef-unfree AND NOASSERTION ("x")
    Publish license-restricted: LicenseRef-unfree AND NOASSERTION ("x") does not permit passing it on, and the policy publishes what is restricted all the same
    Withhold license-unknown: `x` names no license that is known
    Withhold license-unknown: it declares no license

    Publish license-restricted: LicenseRef-unfree does not permit passing it on, and the policy publishes what is restricted all the same
    Publish license-restricted: MIT AND LicenseRef-unfree, a list all of which apply as this policy reads it, does not permit passing it on, and the policy publishes what is restricted all the same
    Publish license-restricted: LicenseRef-unfree AND NOASSERTION ("x") does not permit passing it on, and the policy publishes what is restricted all the same
    Publish license-unknown: its license is not fully known: LicenseRef-unfree AND NOASSERTION ("x"), and the policy publishes what is unknown all the same
    Publish license-unknown: `x` names no license that is known, and the policy publishes what is unknown all the same
    Publish license-unknown: it declares no license, and the policy publishes what is unknown all the same
    "#);
}

/// Whatever was lifted, ended or put right is said.
#[test]
fn what_a_policy_did_is_shown() {
    let shown = |license, findings, more: &str| {
        let decision = decided(license, findings, &rules(more));
        let line = |reason: &Reason| format!("{:?} {}: {}", reason.effect, reason.code, reason.message);
        decision.reasons().iter().map(line).collect::<Vec<_>>().join("\n")
    };
    let ended = exception("\"license-unknown\"", "attribute = [\"*.torch\"]", "2026-01-31");
    insta::assert_snapshot!(shown(json!(null), vec![], &ended), @r#"
    Withhold license-unknown: it declares no license
    Note policy-expired: the exception from `license-unknown` about attribute *.torch ended on 2026-01-31; ask ann@example.org
    Note audit-clean: nothing restricted in 4 files
    "#);
    let held = grant("license = [\"nvidiaCuda\"]", "\"2027-06-30\"");
    insta::assert_snapshot!(shown(json!("nvidiaCuda"), vec![ptxas()], &held), @r#"
    Publish policy-grant: the grant `NVIDIA, 2025` covers it until 2027-06-30: looked at (ann@example.org)
    Note license-restricted: LicenseRef-nvidiaCuda may not be passed on
    Note terms-file-not-listed: the CUDA Toolkit EULA does not list bin/x (ptxas)
    "#);
    insta::assert_snapshot!(shown(json!("bsd3"), vec![], &correction("\"bsd3\", \"nvidiaCuda\"")), @r#"
    Withhold license-restricted: BSD-3-Clause AND LicenseRef-nvidiaCuda may not be passed on
    Note policy-correction: the package set says BSD-3-Clause; the policy puts it right: built with CUDA (its build log)
    Note audit-clean: nothing restricted in 4 files
    "#);
}

/// What an exception from a rule does not name goes on to withhold, apart from what it names.
#[test]
fn an_exception_from_a_rule_about_files_lifts_the_files_that_it_names() {
    let rule = "[[rules]]\nfile = [\"share/*\", \"lib/*\"]\nthen = \"withhold\"\nreason = \"x\"\n\
                [[rules]]\nfinding = [\"suspected\"]\nthen = \"withhold\"\nreason = \"y\"\n";
    let shown = |more: &str| {
        let policy = shipped::DEFAULT_POLICY.replace("suspected = \"withhold\"", "suspected = \"publish\"");
        let decision = decided(json!("mit"), vec![suspected()], &rules_of(&format!("{policy}\n{rule}{more}")));
        let of_rules = decision.reasons().iter().filter(|reason| reason.code == Code::PolicyRule);
        let line = |reason: &Reason| {
            let places: Vec<&str> = reason.evidence.iter().map(|one| one.place.as_str()).collect();
            format!("{:?} {}", reason.effect, places.join(" "))
        };
        of_rules.map(line).collect::<Vec<_>>()
    };
    let except = |about: &str| exception("\"policy-rule\"", about, "2027-01-01");
    assert_eq!(shown(""), ["Withhold lib/libx.so share/a.rar", "Withhold lib/libx.so"]);
    let libraries = shown(&except("file = [\"lib/*\"]"));
    assert_eq!(libraries, ["Withhold share/a.rar", "Note lib/libx.so", "Note lib/libx.so"]);
    // A file that a rule names is no finding.
    let suspicion = shown(&except("finding = [\"suspected\"]"));
    assert_eq!(suspicion, ["Withhold lib/libx.so share/a.rar", "Note lib/libx.so"]);
    let both = shown(&(except("file = [\"lib/*\"]") + &except("file = [\"share/*\"]")));
    assert_eq!(both, ["Note lib/libx.so share/a.rar", "Note lib/libx.so"]);
}

#[test]
fn an_exception_that_could_never_hold_is_a_mistake() {
    let check = |about: &str, codes: &str, expected: &[&str]| {
        let text = format!("{}\n{}", shipped::DEFAULT_POLICY, exception(codes, about, "2027-01-01"));
        let mistakes = Policy::parse(&text).err().unwrap_or_default();
        let shown: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(shown, expected, "{about} {codes}");
    };
    let line = shipped::DEFAULT_POLICY.lines().count() + 4;
    let never = |at: usize, code: &str, field: &str| {
        format!("{line}:{at}: `{code}` comes from no file, so that `{field}` can never hold for it")
    };
    let file = "file = [\"lib/*\"]";
    check(file, "\"license-unknown\"", &[&never(10, "license-unknown", "file")]);
    check("finding = [\"copy\"]", "\"source-of-withheld\"", &[&never(10, "source-of-withheld", "finding")]);
    check(file, "\"audit-driver\", \"license-unknown\"", &[&never(26, "license-unknown", "file")]);
    check(file, "\"policy-rule\", \"audit-driver\"", &[]);
    let source =
        format!("{line}:10: a source declares nothing, so that `license` can never hold for `source-of-withheld`");
    check("license = [\"mit\"]", "\"source-of-withheld\"", &[&source]);
    check("package = [\"torch\"]", "\"license-unknown\", \"source-of-withheld\"", &[]);
}

/// Of several corrections the strictest counts, in whatever order they stand.
#[test]
fn a_looser_correction_hides_no_stricter_one() {
    let wide = correction("\"mit\"").replace("\"torch\"", "\"tor*\"");
    let narrow = correction("\"nvidiaCuda\"");
    for entries in [format!("{wide}{narrow}"), format!("{narrow}{wide}")] {
        let decision = decided(json!("bsd3"), vec![], &rules(&entries));
        assert_eq!(decision.reasons()[0].code, Code::LicenseRestricted, "{entries}");
    }
}

#[test]
fn mistakes_in_entries_are_shown_with_their_places() {
    let text = format!(
        "{}\n{}",
        shipped::DEFAULT_POLICY,
        "[[rules]]\nthen = \"publish\"\nreason = \" \"\n\
         [[rules]]\npackage = [\"a\"]\nthen = \"publish\"\nreason = \"x\"\n\
         [[rules]]\npackage = [\"a\"]\nthen = \"withhold\"\nreason = \"y\"\n\
         [[exceptions]]\npackage = []\ncodes = [\"terms-modified\"]\nreason = \"x\"\nresponsible = \"y\"\nuntil = 2026-02-30\n\
         [[exceptions]]\nfinding = [\"statics\"]\ncodes = [\"policy-rule\"]\nreason = \"x\"\nuntil = \"next year\"\nby = 1\n\
         [[grants]]\nagreement = \"x\"\nreason = \"x\"\nresponsible = \"y\"\nuntil = 2027-01-01T10:00:00Z\n\
         [[corrections]]\npackage = [\"[\"]\nlicense = [\"nvidia\"]\nreason = \"x\"\nsource = \"y\"\n\
         [[rules]]\npackage = [\"b\", \"a\", \"b\"]\nthen = \"withhold\"\nreason = \"x\"\n\
         [[rules]]\npackage = [\"a\", \"b\"]\nthen = \"publish\"\nreason = \"x\"\n\
         [[exceptions]]\npackage = [\"a\"]\ncodes = []\nreason = \"x\"\nresponsible = \"y\"\nuntil = 2027-01-01\n\
         [[corrections]]\npackage = [\"a\"]\nlicense = []\nreason = \"x\"\nsource = \"y\"\n"
    );
    let lines = shipped::DEFAULT_POLICY.lines().count();
    let mistakes = Policy::parse(&text).unwrap_err();
    let shown = mistakes.iter().map(|m| format!("{}:{}: {}", m.line.saturating_sub(lines + 1), m.column, m.message));
    insta::assert_snapshot!(shown.collect::<Vec<_>>().join("\n"), @r#"
    1:1: it names nothing that it is about: one of `license`, `package`, `attribute`, `output`, `provenance`, `file`, `finding` is missing
    3:10: `reason` says nothing
    8:1: this rule contradicts an earlier one about package a
    13:11: an empty list matches nothing
    14:10: `"terms-modified"` should be one of `license-unknown`, `source-of-withheld`, `policy-vendor-code`, `policy-rule`, `audit-driver`, `audit-suspected`, `audit-incomplete`
    17:9: invalid date, expected day between 01 and 28
    18:1: `responsible` is missing
    19:11: `statics` is no kind of finding; there are copy, modified-copy, static, device-code, suspected, driver, dynamic, stub, not-audited
    22:9: `"next year"` should be a date that there is, such as 2027-01-31
    23:1: `by` is not known here; known are `license`, `package`, `attribute`, `output`, `provenance`, `file`, `finding`, `codes`, `reason`, `responsible`, `until`
    24:1: it covers nothing: `license` or `package` is missing
    28:9: `2027-01-01T10:00:00Z` should be a date that there is, such as 2027-01-31
    30:12: `[` is no pattern: unclosed character class; missing ']'
    31:11: `nvidia` is no license of nixpkgs, by the name of its attribute
    38:1: this rule contradicts an earlier one about package a or b
    44:9: `codes` says nothing
    50:11: `license` says nothing
    "#);
}

#[test]
fn entries_that_match_nothing_are_named() {
    let facts = LicenseFacts::from_json(&json!({ "license": "mit" }));
    let attrs = ["torch".to_owned()];
    let case = Case { package: "torch-2.1.0", attrs: &attrs, ..Case::default() };
    let more = [
        WITHHOLD_TORCH,
        &WITHHOLD_TORCH.replace("torch", "trch"),
        &grant("license = [\"nvidia*\"]", "2027-06-30"),
        &review("\"confirmed\"", "2027-06-30").replace("torch", "jax"),
        // Of these, one pattern each is needed.
        &exception("\"policy-rule\"", "package = [\"torch\", \"torhc\"]", "2027-06-30"),
        &grant("package = [\"tensorflow\", \"t?rch-2*\"]", "2027-06-30"),
    ];
    let idle = rules(&more.concat()).idle(&[(case, Some(&facts))]);
    assert_eq!(
        idle,
        [
            "the rule about package trch matches nothing",
            "of the exception about package torch or torhc, package torhc matches nothing",
            "the review about package jax matches nothing",
            "the grant `NVIDIA, 2025` matches nothing",
            "of the grant `NVIDIA, 2025`, package tensorflow matches nothing"
        ]
    );
}
