//! What a corpus knows.

use super::text::{columns, count};
use super::{out, out_json};
use narthex_audit::{Corpus, Listed, Material};
use serde_json::json;

/// Materials that were learned here rather than shipped.
fn learned_here(own: &Corpus) -> Vec<Material> {
    own.list().into_iter().map(|one| one.material).collect()
}

fn whence(one: &Listed, own: &[Material]) -> &'static str {
    if own.contains(&one.material) { "learned here" } else { "shipped" }
}

pub(crate) fn corpus_table(all: &Corpus, own: &Corpus) {
    let listed = all.list();
    let here = learned_here(own);
    let mut rows =
        vec![["material", "files", "functions", "entries", "kernels", "from", "licenses"].map(str::to_owned).to_vec()];
    for one in &listed {
        rows.push(vec![
            one.material.package(),
            one.files.to_string(),
            one.functions.to_string(),
            one.entries.to_string(),
            one.kernels.to_string(),
            whence(one, &here).to_owned(),
            one.material.licenses.join(", "),
        ]);
    }
    let mut text = String::new();
    if listed.is_empty() {
        text.push_str("nothing was learned yet\n");
    } else {
        text = columns(&rows, &[1, 2, 3, 4], None).join("\n") + "\n";
    }
    if let Some((files, releases)) = all.records().map(narthex_audit::Records::size) {
        text.push_str(&format!(
            "{} of {} are known by their hashes as well\n",
            count(files, "file"),
            count(releases, "published release")
        ));
    }
    let free: Vec<&str> = all.subtracted().collect();
    text.push_str(&format!(
        "{}; of them is left alone what is in {} of free software\n",
        count(listed.len(), "material"),
        count(free.len(), "package")
    ));
    if !free.is_empty() {
        text.push_str(&format!("free: {}\n", free.join(", ")));
    }
    out(&text);
}

pub(crate) fn corpus_json(all: &Corpus, own: &Corpus) {
    let here = learned_here(own);
    let line = |one: Listed| {
        let line = json!({
            "name": one.material.name,
            "version": one.material.version,
            "licenses": one.material.licenses,
            "files": one.files,
            "functions": one.functions,
            "entries": one.entries,
            "kernels": one.kernels,
            "shipped": !here.contains(&one.material),
        });
        format!("{line}\n")
    };
    out_json(&all.list().into_iter().map(line).collect::<String>());
}
