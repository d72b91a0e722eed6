//! Tables of license values, their classes and their texts.

use super::*;
use proptest::prelude::*;

fn check(value: Value, class: Class, text: &str) {
    let expr = Expr::from_json(&value);
    assert_eq!((expr.class(), expr.to_string().as_str()), (class, text), "{value}");
}

fn mit() -> Value {
    json!({"shortName": "mit", "spdxId": "MIT", "free": true, "redistributable": true})
}

fn cuda(redistributable: bool) -> Value {
    json!({"shortName": "CUDA EULA", "free": false, "redistributable": redistributable})
}

#[test]
fn every_form_of_a_license_value() {
    check(json!(null), Class::Unknown, "NOASSERTION");
    check(json!("mit"), Class::Free, "MIT");
    check(json!("GPL or so"), Class::Unknown, "NOASSERTION (\"GPL or so\")");
    check(mit(), Class::Free, "MIT");
    check(cuda(false), Class::Restricted, "LicenseRef-nvidiaCuda");
    check(cuda(true), Class::Redistributable, "LicenseRef-nvidiaCudaRedist");
    check(json!({"shortName": "x", "free": false}), Class::Restricted, "LicenseRef-x");
    check(json!({"shortName": "x", "free": true, "redistributable": false}), Class::Restricted, "LicenseRef-x");
    check(json!({"shortName": "mine"}), Class::Unknown, "NOASSERTION (\"mine\")");
    check(json!({"shortName": "mine", "fullName": "My own", "url": "u"}), Class::Unknown, "NOASSERTION (\"mine\")");
    check(json!({"url": "u"}), Class::Unknown, "NOASSERTION");
    check(json!({"spdxId": "MIT"}), Class::Free, "MIT");
    check(json!({"spdxId": "GPL-2.0+", "shortName": "gpl2Plus", "free": null}), Class::Free, "GPL-2.0-or-later");
    check(json!({"spdxId": "MIT", "shortName": "unfree"}), Class::Restricted, "LicenseRef-unfree");
    check(json!({"shortName": "CUDA EULA", "free": true}), Class::Restricted, "LicenseRef-nvidiaCuda");
    check(json!({"fullName": "MIT License", "free": false}), Class::Restricted, "LicenseRef-MIT-License.was.20");
    check(json!({"shortName": "inria", "free": null}), Class::Restricted, "LicenseRef-inria");
    check(json!({"shortName": "inria", "free": true}), Class::Restricted, "LicenseRef-inria");
    check(json!("notion_lgpl"), Class::Free, "LicenseRef-notion-lgpl.was.5f");
    check(json!(true), Class::Unknown, "NOASSERTION");
    check(json!({"malformed": "lambda"}), Class::Unknown, "NOASSERTION");
    check(json!({"shortName": 3}), Class::Unknown, "NOASSERTION");
}

/// A field that is missing is the table's, where the license is the one that the table means.
#[test]
fn a_missing_field_is_what_the_table_says() {
    let redistributable = "LicenseRef-unfreeRedistributable";
    check(json!({"shortName": "unfreeRedistributable", "free": false}), Class::Redistributable, redistributable);
    check(
        json!({"fullName": "Unfree redistributable", "free": false}),
        Class::Redistributable,
        "LicenseRef-Unfree-redistributable.was.20",
    );
    check(json!({"shortName": "unfree", "free": false}), Class::Restricted, "LicenseRef-unfree");
    check(json!({"shortName": "mit", "free": false}), Class::Restricted, "LicenseRef-mit");
    let two = json!({"shortName": "unfreeRedistributable", "fullName": "Unfree", "free": false});
    check(two, Class::Restricted, "LicenseRef-unfreeRedistributable");
    let said = json!({"shortName": "unfreeRedistributable", "free": false, "redistributable": false});
    assert_eq!(Expr::from_json(&said).class(), Class::Restricted);
}

/// Every license value of nixpkgs 15.09, 17.10 and 18.03: what is free there and what is not, and nothing that is unknown.
#[test]
fn no_license_of_older_sets_is_unknown() {
    const UNFREE: [&str; 19] = [
        "amazonsl",
        "amd",
        "cc-by-nc-sa-20",
        "cc-by-nc-sa-25",
        "cc-by-nc-sa-30",
        "cc-by-nc-sa-40",
        "cc-by-nd-30",
        "eapl",
        "epson",
        "ffsl",
        "geogebra",
        "inria",
        "inria-compcert",
        "inria-icesl",
        "msrla",
        "postman",
        "unfree",
        "unfreeRedistributable",
        "watcom",
    ];
    let mut count = 0;
    for line in include_str!("../../tests/data/nixpkgs-old-licenses.jsonl").lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let (attr, class) = (line["attr"].as_str().unwrap(), Expr::from_json(&line["meta"]["license"]).class());
        let (_, name) = attr.split_once('.').unwrap();
        let expected = !UNFREE.contains(&name);
        assert_eq!(class.is_free(), expected, "{attr}: {class}");
        assert_ne!(class, Class::Unknown, "{attr}");
        count += 1;
    }
    assert_eq!(count, 323);
}

#[test]
fn strings_that_are_expressions() {
    check(json!("MIT OR Apache-2.0"), Class::Free, "MIT OR Apache-2.0");
    check(json!("MIT/Apache-2.0"), Class::Free, "MIT OR Apache-2.0");
    check(json!("Zlib / MIT / Apache-2.0"), Class::Free, "Zlib OR MIT OR Apache-2.0");
    check(json!("MIT AND BSD-3-Clause AND Zlib"), Class::Free, "MIT AND BSD-3-Clause AND Zlib");
    check(json!("(MIT OR GPL-2.0+) AND Zlib"), Class::Free, "(MIT OR GPL-2.0-or-later) AND Zlib");
    check(json!("MIT OR Zlib AND BUSL-1.1"), Class::Free, "MIT OR (Zlib AND BUSL-1.1)");
    check(json!("MIT AND BUSL-1.1"), Class::Redistributable, "MIT AND BUSL-1.1");
    check(json!("MIT AND CC-BY-NC-4.0"), Class::Restricted, "MIT AND CC-BY-NC-4.0");
    check(json!("MIT OR CC-BY-NC-4.0"), Class::Free, "MIT OR CC-BY-NC-4.0");
    check(json!("GPL-2.0"), Class::Free, "GPL-2.0");
    check(json!("LGPL-2.1 OR MIT"), Class::Free, "LGPL-2.1 OR MIT");
    check(json!("Apache-2.0+"), Class::Free, "Apache-2.0+");
    check(
        json!("GPL-2.0-or-later WITH Classpath-exception-2.0"),
        Class::Free,
        "GPL-2.0-or-later WITH Classpath-exception-2.0",
    );
    check(json!(["MIT OR Zlib", "bsd3"]), Class::Free, "(MIT OR Zlib) AND BSD-3-Clause");
    let deep = format!("{}MIT{}", "(".repeat(400), ")".repeat(400));
    check(json!(deep), Class::Free, "MIT");
}

/// A part that nobody knows makes the whole unknown, and nothing is guessed.
#[test]
fn strings_that_are_no_expressions() {
    for text in [
        "MIT OR no-such-license",
        "MIT AND LicenseRef-mine",
        "LicenseRef-mine",
        "DocumentRef-a:LicenseRef-b OR MIT",
        "MIT WITH no-such-exception",
        "MIT WITH AdditionRef-mine",
        "MIT or Apache-2.0",
        "MIT Or Apache-2.0",
        "MIT, Apache-2.0",
        "MIT & Apache-2.0",
        "MIT OR",
        "OR MIT",
        "MIT Apache-2.0",
        "(MIT OR Zlib",
        "MIT OR Zlib)",
        "MIT/",
        "MIT//Zlib",
        "MIT/Zlib AND BSD-3-Clause",
        "(MIT/Zlib)",
        "MIT OR apache-2.0",
        "MIT OR asl20",
        "gpl-2.0+ OR MIT",
        "GPL-2.0-or-later+",
        "MIT ++",
        "MIT WITH Classpath-exception-2.0+",
        "(MIT OR Zlib) WITH Classpath-exception-2.0",
        "NONE",
        "NOASSERTION OR MIT",
        "МIT OR Zlib",
        "MIT\u{a0}OR Zlib2",
        "",
        " ",
        "()",
        "WITH",
        "GPL-9.0 OR MIT",
    ] {
        let expr = Expr::from_json(&json!(text));
        assert_eq!((expr.class(), expr.unknown_names()), (Class::Unknown, vec![text]), "{text}");
    }
    let long = vec!["MIT"; 200].join(" OR ");
    assert_eq!(Expr::from_json(&json!(long)).class(), Class::Unknown);
}

/// What a package set calls an SPDX id or an exception does not add words to an expression.
#[test]
fn names_add_no_words() {
    let own = |id: &str| json!({"shortName": "mine", "spdxId": id, "free": false});
    check(own("MIT OR X"), Class::Restricted, "LicenseRef-mine");
    check(own("LicenseRef-unfree"), Class::Restricted, "LicenseRef-mine");
    check(own("NONE"), Class::Restricted, "LicenseRef-mine");
    check(own("Own-1.0"), Class::Restricted, "Own-1.0");
    let exception = json!({"licenseType": "exception", "license": mit(), "exception": {"shortName": "x OR Zlib"}});
    check(exception, Class::Free, "MIT WITH x-OR-Zlib.was.20.20");
    let two = ["Свободная", "Закрытая ", "a b", "a_b"];
    let shown: std::collections::BTreeSet<String> =
        two.iter().map(|name| Expr::from_json(&json!({"fullName": name, "free": false})).to_string()).collect();
    assert_eq!(shown.len(), two.len());
}

#[test]
fn lists_and_expressions() {
    check(json!([mit(), cuda(false)]), Class::Restricted, "MIT AND LicenseRef-nvidiaCuda");
    check(json!([]), Class::Unknown, "NONE");
    let compound =
        |op: &str, licenses: Vec<Value>| json!({"licenseType": "compound", "operator": op, "licenses": licenses});
    check(compound("AND", vec![mit(), cuda(true)]), Class::Redistributable, "MIT AND LicenseRef-nvidiaCudaRedist");
    check(compound("OR", vec![mit(), cuda(false)]), Class::Free, "MIT OR LicenseRef-nvidiaCuda");
    check(
        json!([compound("OR", vec![mit(), cuda(false)]), cuda(true)]),
        Class::Redistributable,
        "(MIT OR LicenseRef-nvidiaCuda) AND LicenseRef-nvidiaCudaRedist",
    );
    check(json!({"licenseType": "compound", "licenses": [mit()]}), Class::Unknown, "NOASSERTION");
    check(
        json!({"licenseType": "exception", "license": mit(), "exception": {"spdxId": "LLVM-exception"}}),
        Class::Free,
        "MIT WITH LLVM-exception",
    );
    check(json!({"licenseType": "plus", "license": mit()}), Class::Free, "MIT+");
    let plus = |license: Value| json!({"licenseType": "plus", "license": license});
    check(plus(json!("gpl2Only")), Class::Free, "GPL-2.0-or-later");
    check(plus(json!("gpl2Plus")), Class::Free, "GPL-2.0-or-later");
    check(plus(compound("AND", vec![mit(), json!("bsd3")])), Class::Free, "MIT+ AND BSD-3-Clause+");
    let llvm = json!({"licenseType": "exception", "license": compound("OR", vec![mit(), cuda(false)]),
                      "exception": {"spdxId": "LLVM-exception", "free": true}});
    check(llvm, Class::Free, "MIT WITH LLVM-exception OR LicenseRef-nvidiaCuda WITH LLVM-exception");
}

#[test]
fn what_is_not_understood_never_makes_a_license_free() {
    let exception = |exception: Value| json!({"licenseType": "exception", "license": mit(), "exception": exception});
    check(exception(json!(null)), Class::Unknown, "MIT AND NOASSERTION");
    check(exception(json!({"malformed": "lambda"})), Class::Unknown, "MIT AND NOASSERTION");
    check(exception(json!(3)), Class::Unknown, "MIT AND NOASSERTION");
    let commons = json!({"shortName": "commons-clause", "free": false});
    check(exception(commons), Class::Restricted, "MIT AND LicenseRef-commons-clause");
    check(exception(json!({"shortName": "x", "free": "no"})), Class::Unknown, "MIT AND NOASSERTION");
    let strange = json!({"licenseType": "disjunction", "shortName": "x", "free": true, "licenses": ["unfree"]});
    check(strange, Class::Unknown, "NOASSERTION");
    check(json!({"licenseType": 3, "shortName": "mit", "free": true}), Class::Unknown, "NOASSERTION");
    check(json!({"licenseType": "simple", "shortName": "x", "free": true}), Class::Free, "LicenseRef-x");
    check(json!({"shortName": "mit", "redistributable": false}), Class::Restricted, "MIT");
    check(json!({"licenseType": "plus"}), Class::Unknown, "NOASSERTION");
}

#[test]
fn what_is_restricted_stays_so_beside_what_nobody_knows() {
    let both = |value: Value| {
        let expr = Expr::from_json(&value);
        (expr.class(), expr.has_unknown_under(Reading::Strict))
    };
    assert_eq!(both(json!(["unfree", "no such license"])), (Class::Restricted, true));
    assert_eq!(both(json!(["unfree", "mit"])), (Class::Restricted, false));
    assert_eq!(both(json!(["unfreeRedistributable", "no such license"])), (Class::Unknown, true));
    assert_eq!(both(json!(["mit", [null, "unfree"]])), (Class::Restricted, true));
    assert_eq!(both(json!(null)), (Class::Unknown, true));
    let or = json!({"licenseType": "compound", "operator": "OR", "licenses": ["mit", "no such license"]});
    assert_eq!(both(or), (Class::Free, false));
}

#[test]
fn a_list_has_two_readings_and_an_expression_one() {
    let both = |value: Value| {
        let expr = Expr::from_json(&value);
        [Reading::Strict, Reading::Lenient].map(|reading| expr.class_under(reading))
    };
    let and = json!({"licenseType": "compound", "operator": "AND", "licenses": [mit(), cuda(false)]});
    let or = json!({"licenseType": "compound", "operator": "OR", "licenses": [mit(), cuda(false)]});
    assert_eq!(both(json!([mit(), cuda(false)])), [Class::Restricted, Class::Free]);
    assert_eq!(both(and.clone()), [Class::Restricted; 2]);
    assert_eq!(both(or), [Class::Free; 2]);
    assert_eq!(both(json!([and, cuda(true)])), [Class::Restricted, Class::Redistributable]);
    assert_eq!(both(json!([])), [Class::Unknown; 2]);
    assert_eq!(both(json!(["no such license", mit()])), [Class::Unknown, Class::Free]);
}

#[test]
fn what_is_written_is_read_as_the_same() {
    let check = |value: Value| {
        let expr = Expr::from_json(&value);
        assert_eq!(Expr::from_json(&expr.to_json()), expr, "{value}");
        let text = serde_json::to_string(&expr).unwrap();
        assert_eq!(serde_json::from_str::<Expr>(&text).unwrap(), expr, "{value}");
    };
    for (id, row) in table::ROWS.iter() {
        check(json!(id));
        check(json!({"shortName": row.short_name, "spdxId": row.spdx_id, "fullName": row.full_name, "free": row.free,
            "redistributable": row.redistributable}));
    }
    for value in [
        json!(null),
        json!("GPL or so"),
        json!("(MIT OR Apache-2.0+) AND GPL-2.0+ WITH Classpath-exception-2.0"),
        json!({"shortName": "x", "free": false, "redistributable": true}),
        json!({"fullName": "A License", "free": true}),
        json!({"url": "x", "free": true, "spdxId": "Y"}),
        json!([mit(), [cuda(true), "no license"], null]),
        json!({"licenseType": "compound", "operator": "AND", "licenses": [mit(), cuda(false)]}),
        json!({"licenseType": "compound", "operator": "OR", "licenses": [mit(), cuda(false)]}),
        json!({"licenseType": "exception", "license": mit(), "exception": {"spdxId": "LLVM-exception"}}),
        json!({"licenseType": "plus", "license": mit()}),
        json!({"licenseType": "plus"}),
        json!(3),
    ] {
        check(value);
    }
}

proptest! {
    /// Whatever a package set writes, reading it neither panics nor makes it free by accident: only a name that a free
    /// row of the table has does.
    #[test]
    fn strings_are_free_only_by_the_table(text in prop_oneof![".{0,40}", "(A|L|)GPL-[123]\\.[01](\\+|-only|-or-later|)"]) {
        let table: Value = serde_json::from_str(include_str!("../../data/nixpkgs-licenses.json")).unwrap();
        let has = |row: &Value, name: &str| ["spdxId", "shortName", "fullName"].iter().any(|key| row[key] == name);
        let named = |name: &str| {
            table.as_object().unwrap().iter().any(|(id, row)| id == name || (has(row, name) && row["free"] == true))
        };
        let today = match text.strip_suffix('+') {
            Some(version) => format!("{version}-or-later"),
            None => format!("{text}-only"),
        };
        let expr = Expr::from_json(&Value::String(text.clone()));
        prop_assert!(expr.class() != Class::Free || named(&text) || named(&today), "{text}");
    }
}
