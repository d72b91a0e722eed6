//! What a person or another program sees: data on stdout, everything else on stderr.

mod audit;
mod corpus;
mod costs;
mod diff;
mod eval;
mod explain;
mod failed;
mod json;
mod plan;
mod policy;
mod progress;
mod realise;
mod recheck;
pub(crate) mod report;
mod review;
mod table;
mod terminal;
mod text;

pub(crate) use audit::{Audited, audit_explained, audit_json, audit_sarif, audit_table};
pub(crate) use corpus::{corpus_json, corpus_table};
pub(crate) use costs::{costs_json, costs_table};
pub(crate) use diff::{diff_json, diff_table, preview_table};
pub(crate) use eval::{EvalLines, eval_table, eval_warnings};
pub(crate) use explain::{why, why_json};
pub(crate) use json::run_json;
pub(crate) use plan::{plan_json, plan_table, plan_warnings};
pub(crate) use policy::{policy_json, policy_table};
pub(crate) use progress::{Progress, Scanning};
pub(crate) use realise::{holes_remain, realise_plan, realised};
pub(crate) use recheck::{recheck_json, recheck_table, recheck_warnings};
pub(crate) use review::{review_json, review_table, review_warnings};
pub(crate) use table::run_table;
pub(crate) use terminal::{err, out, out_json, stream, unwritten, usage};
pub(crate) use text::count;

use crate::error::CommandError;
use narthex_server::Served;
use narthex_text::visible;

/// A remark that is neither data nor an error.
pub(crate) fn note(text: &str) {
    err(&format!("narthex: {}\n", visible(text)));
}

/// Something that the user should know and that stops nothing.
pub(crate) fn warning(text: &str) {
    err(&format!("warning: {}\n", visible(text)));
}

/// So many warnings of one kind are shown.
const WARNINGS: usize = 5;

/// Several of one kind; of many, some.
pub(crate) fn warnings(texts: Vec<String>) {
    texts.iter().take(WARNINGS).for_each(|text| warning(text));
    if texts.len() > WARNINGS {
        warning(&format!("… and {} more of this kind", texts.len() - WARNINGS));
    }
}

/// Shows an error: the thing, what led to it, and the way out. What runs over several lines is set in, so that no line of
/// it looks like one of the program's own.
pub(crate) fn error(error: &CommandError) {
    let mut text = text::hanging("error: ", &error.message);
    for cause in &error.causes {
        text.push_str(&text::indent(cause, "  "));
    }
    if let Some(hint) = &error.hint {
        text.push_str(&text::hanging("hint: ", hint));
    }
    err(&text);
}

/// Says where the cache is and how to use it.
pub(crate) fn serving(url: &str, public_keys: &[String]) {
    out(&format!(
        "serving on {url}/\n\nin nix.conf:\n  extra-substituters = {url}\n  extra-trusted-public-keys = {}\n",
        public_keys.join(" ")
    ));
}

/// One line for each answered request.
pub(crate) fn served(served: &Served) {
    err(&format!("{}\n", visible(&format!("{} {} {}", served.status, served.method, served.target))));
}
