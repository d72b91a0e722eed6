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

/// What another policy has to be asked about.
pub(crate) fn recheck_warnings(result: &Recheck) {
    let left = |(policy, number): (&String, &usize)| {
        let paths = count(*number, "published path");
        format!(
            "not audited again, since another policy published it by an exception or a grant: {paths} of `{policy}`; give it with --policy"
        )
    };
    super::warnings(result.left.iter().map(left).collect());
}

pub(crate) fn recheck_json(result: &Recheck) {
    for record in &result.withdrawn {
        record_json(record, None);
    }
}
