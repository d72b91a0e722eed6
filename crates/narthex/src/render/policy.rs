//! `narthex policy check`: mistakes as compilers show theirs.

use super::out;
use super::text::visible;
use crate::settings::Checked;
use serde_json::json;

/// A line for each mistake, `FILE:LINE:COLUMN: what`, and one in the end.
pub(crate) fn policy_table(files: &[Checked]) {
    for file in files {
        for mistake in &file.mistakes {
            out(&format!("{}:{}\n", visible(&file.name), visible(&mistake.to_string())));
        }
    }
    let mistakes: usize = files.iter().map(|file| file.mistakes.len()).sum();
    let plural = if mistakes == 1 { "" } else { "s" };
    let terms = files.len() - 1;
    let read = format!("{} and {terms} file{} of terms", visible(&files[0].name), if terms == 1 { "" } else { "s" });
    out(&match mistakes {
        0 => format!("{read}: no mistakes\n"),
        _ => format!("{read}: {mistakes} mistake{plural}\n"),
    });
}

/// One object a mistake: `file`, `line`, `column`, `message`.
pub(crate) fn policy_json(files: &[Checked]) {
    for file in files {
        for mistake in &file.mistakes {
            let (line, column, message) = (mistake.line, mistake.column, &mistake.message);
            let row = json!({ "file": file.name, "line": line, "column": column, "message": message });
            out(&format!("{row}\n"));
        }
    }
}
