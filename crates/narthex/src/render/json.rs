//! One JSON object a line.

use super::out_json;
use narthex_cache::Record;
use narthex_farm::RunReport;
use narthex_nix::EvalError;
use serde_json::{Value, json};

/// First a line for each decided path, then one where only a part of the set was evaluated, then one for each failure.
pub(crate) fn run_json(report: &RunReport) {
    for row in &report.rows {
        record_json(&row.record, row.file_size);
    }
    if let Some(not_known) = report.not_known {
        line(&json!({ "part": true, "notKnown": not_known }));
    }
    errors(&report.errors);
    for failure in &report.failures {
        line(&json!({
            "attr": failure.attr,
            "name": failure.name,
            "drvPath": failure.derivation.to_string(),
            "error": {
                "kind": failure.kind.name(),
                "message": failure.message,
                "failed": failure.failed.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "log": failure.log,
            },
        }));
    }
}

pub(crate) fn record_json(record: &Record, file_size: Option<u64>) {
    let mut value = record_value(record);
    if let Some(size) = file_size {
        value["fileSize"] = size.into();
    }
    line(&value);
}

pub(super) fn record_value(record: &Record) -> Value {
    json!({
        "path": record.path.to_string(),
        "name": record.path.name(),
        "attr": record.attr,
        "output": record.output,
        "deriver": record.deriver.as_ref().map(ToString::to_string),
        "verdict": record.verdict,
        "narHash": record.nar_hash,
        "narSize": record.nar_size,
        "license": record.license,
        "references": record.references.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "reasons": record.reasons,
        "policy": record.policy,
    })
}

pub(super) fn errors(failed: &[EvalError]) {
    for value in super::failed::lines(failed) {
        line(&value);
    }
}

pub(super) fn line(value: &Value) {
    out_json(&format!("{value}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use narthex_closure::NarHash;
    use narthex_policy::{Code, Effect, Evidence, Reason, Source, Verdict};

    #[test]
    fn the_keys_are_those_that_are_promised() {
        let path: narthex_closure::StorePath = "/nix/store/00000000000000000000000000000000-x".parse().unwrap();
        let record = Record {
            path: path.clone(),
            attr: None,
            output: Some("out".to_owned()),
            deriver: None,
            nar_hash: NarHash::from_sha256([0; 32]),
            nar_size: 1,
            references: [path].into(),
            license: Some("MIT".to_owned()),
            verdict: Verdict::Withhold,
            reasons: vec![Reason {
                code: Code::TermsModified,
                source: Source::Terms,
                effect: Effect::Withhold,
                message: "m".to_owned(),
                evidence: vec![Evidence { place: "lib/a".to_owned(), ..Evidence::default() }],
            }],
            policy: "default".to_owned(),
        };
        insta::assert_json_snapshot!(record_value(&record));
    }
}
