//! `narthex policy check`: mistakes as compilers show theirs.

use super::text::{count, visible};
use super::{out, out_json};
use crate::settings::Checked;
use narthex_policy::Mistake;
use serde_json::json;

/// A line for each mistake and each warning, `FILE:LINE:COLUMN: what`, and one in the end.
pub(crate) fn policy_table(files: &[Checked]) {
    for file in files {
        let mistakes = file.mistakes.iter().map(|mistake| (mistake, ""));
        for (mistake, level) in mistakes.chain(file.warnings.iter().map(|warning| (warning, " (a warning)"))) {
            out(&format!("{}{level}\n", visible(&mistake.shown_in(&file.name))));
        }
    }
    let number = |of: &dyn Fn(&Checked) -> usize| files.iter().map(of).sum::<usize>();
    let mistakes = match number(&|file| file.mistakes.len()) {
        0 => "no mistakes".to_owned(),
        mistakes => count(mistakes, "mistake"),
    };
    let warnings = match number(&|file| file.warnings.len()) {
        0 => String::new(),
        warnings => format!(", {}", count(warnings, "warning")),
    };
    let terms = files.len() - 1;
    let read = format!("{} and {terms} file{} of terms", visible(&files[0].name), if terms == 1 { "" } else { "s" });
    out(&format!("{read}: {mistakes}{warnings}\n"));
}

/// One object a mistake or warning: `file`, `line`, `column`, `level`, `message`.
pub(crate) fn policy_json(files: &[Checked]) {
    for file in files {
        for (level, mistakes) in [("mistake", &file.mistakes), ("warning", &file.warnings)] {
            for Mistake { file: of, line, column, message } in mistakes {
                let file = of.as_deref().unwrap_or(&file.name);
                let row = json!({ "file": file, "line": line, "column": column, "level": level, "message": message });
                out_json(&format!("{row}\n"));
            }
        }
    }
}
