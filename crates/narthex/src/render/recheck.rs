//! What auditing again came to.

use super::explain::why;
use super::json::record_json;
use super::out;
use super::text::count;
use narthex_farm::{Explanation, Recheck};

pub(crate) fn recheck_table(result: &Recheck) {
    out(&format!("{} audited again, {} taken back\n", count(result.audited, "published path"), result.withdrawn.len()));
    for record in &result.withdrawn {
        why(&Explanation::of(record.clone()), true);
    }
}

pub(crate) fn recheck_json(result: &Recheck) {
    for record in &result.withdrawn {
        record_json(record, None);
    }
}
