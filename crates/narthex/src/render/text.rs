//! Words, sizes and columns.

/// A size for people: decimal units, as disks and networks are sold.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// `1 path`, `2 paths`.
pub(crate) fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// Every line with something before it, and a newline at the end.
pub(crate) fn indent(text: &str, before: &str) -> String {
    text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("{before}{line}\n") }).collect()
}

/// Rows in columns; numbers to the right. The last column is as wide as it likes, unless `width` says
/// how wide the terminal is.
pub(crate) fn columns(rows: &[Vec<String>], right: &[usize], width: Option<usize>) -> String {
    let last = rows.iter().map(Vec::len).max().unwrap_or(0).saturating_sub(1);
    let widths: Vec<usize> = (0..last)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            if column == last {
                line.push_str(&fitting(cell, width.map(|width| width.saturating_sub(line.chars().count()))));
                continue;
            }
            let space = " ".repeat(widths[column] - cell.chars().count());
            let (before, after) = if right.contains(&column) { (space.as_str(), "") } else { ("", space.as_str()) };
            line.push_str(&format!("{before}{cell}{after}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn fitting(cell: &str, room: Option<usize>) -> String {
    match room {
        // Too narrow a terminal shows it all, wrapped.
        Some(room) if room >= 20 && cell.chars().count() > room => cell.chars().take(room - 1).chain(['…']).collect(),
        _ => cell.to_owned(),
    }
}

/// The width of the terminal that stdout is, if it is one.
pub(crate) fn terminal_width() -> Option<usize> {
    let terminal = console::Term::stdout();
    terminal.is_term().then(|| usize::from(terminal.size().1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_end_where_the_terminal_does() {
        let rows = [
            vec!["a".to_owned(), "10 B".to_owned(), "x".repeat(50)],
            vec!["bcd".to_owned(), "1 B".to_owned(), "y".to_owned()],
        ];
        let text = columns(&rows, &[1], Some(35));
        assert_eq!(text, format!("a    10 B  {}…\nbcd   1 B  y\n", "x".repeat(23)));
    }

    #[test]
    fn sizes_are_decimal() {
        assert_eq!(
            [size(999), size(1500), size(2_000_000), size(3_210_000_000)],
            ["999 B", "1.5 kB", "2.0 MB", "3.2 GB"]
        );
    }
}
