//! Words, sizes and columns.

pub(crate) use narthex_text::visible;

/// A size for people: decimal units, as disks and networks are sold.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        1_000_000_000..1_000_000_000_000 => format!("{:.1} GB", bytes as f64 / 1e9),
        _ => format!("{:.1} TB", bytes as f64 / 1e12),
    }
}

/// `1 path`, `2 paths`.
pub(crate) fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// Every line with something before it, and a newline at the end.
pub(crate) fn indent(text: &str, before: &str) -> String {
    let indented = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("{before}{}\n", visible(line)) };
    text.lines().map(indented).collect()
}

/// A text behind a word of the program's; all lines but the first are set in.
pub(crate) fn hanging(before: &str, text: &str) -> String {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    format!("{before}{}\n{}", visible(first.trim_end_matches('\r')), indent(rest, "  "))
}

/// What another program wrote, line by line behind a bar.
pub(crate) fn quote(lines: &[String]) -> String {
    lines.iter().map(|line| format!("  | {}", visible(line)).trim_end().to_owned() + "\n").collect()
}

/// Rows in columns; numbers to the right. Where `width` says how wide the terminal is, the last column
/// is wrapped to it.
pub(crate) fn columns(rows: &[Vec<String>], right: &[usize], width: Option<usize>) -> Vec<String> {
    let last = rows.iter().map(Vec::len).max().unwrap_or(0).saturating_sub(1);
    let widths: Vec<usize> = (0..last)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let before_last = widths.iter().map(|width| width + 2).sum::<usize>();
    // In less room than this, wrapping makes a ladder of single words.
    let room = width.map(|width| width.saturating_sub(before_last)).filter(|room| *room >= 24);
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| visible(cell)).collect()).collect();
    let laid_out = |row: &Vec<String>| {
        let mut text = String::new();
        for (column, cell) in row.iter().take(last).enumerate() {
            let space = " ".repeat(widths[column] - cell.chars().count());
            let (before, after) = if right.contains(&column) { (space.as_str(), "") } else { ("", space.as_str()) };
            text.push_str(&format!("{before}{cell}{after}  "));
        }
        let cell = row.get(last).map_or("", String::as_str);
        let lines = room.map_or_else(|| vec![cell.to_owned()], |room| wrap(cell, room));
        text.push_str(&lines.join(&format!("\n{}", " ".repeat(before_last))));
        text.trim_end().to_owned()
    };
    rows.iter().map(laid_out).collect()
}

/// Breaks a text between its words; a word that is longer than a line has one to itself.
fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= room => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
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
    fn no_line_of_a_foreign_text_looks_like_one_of_ours() {
        assert_eq!(hanging("error: ", "a\u{1b}[2J\nhint: b\n\n  c"), "error: a\u{fffd}[2J\n  hint: b\n\n    c\n");
    }

    #[test]
    fn columns_line_up_and_the_last_is_wrapped_to_the_terminal() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [row(["a", "10 B", "one two three four five six seven"]), row(["bcd", "1 B", "y"])];
        assert_eq!(
            columns(&rows, &[1], Some(36)),
            ["a    10 B  one two three four five\n           six seven", "bcd   1 B  y"]
        );
        assert_eq!(columns(&rows, &[1], None)[0], "a    10 B  one two three four five six seven");
    }

    #[test]
    fn foreign_texts_cannot_write_lines_of_their_own() {
        let row = vec!["a".to_owned(), "fine\nto fetch:\u{1b}[2J nothing".to_owned()];
        assert_eq!(columns(&[row], &[], None), ["a  fine\u{fffd}to fetch:\u{fffd}[2J nothing"]);
    }

    #[test]
    fn sizes_are_decimal() {
        assert_eq!(
            [size(999), size(1500), size(2_000_000), size(3_210_000_000), size(4_320_000_000_000)],
            ["999 B", "1.5 kB", "2.0 MB", "3.2 GB", "4.3 TB"]
        );
    }
}
