//! How much of a text that others wrote goes into decisions, records, entries and pages.
//!
//! Package sets, files and programs say things of any length: the license value of one package was a whole header of a vendor.
//! What is longer than its purpose needs is cut, and the cut shows how much is gone. It knows lengths only: what a terminal
//! must not see is the terminal's business.

/// Characters of a name: of a license, a package, an attribute.
pub const NAME: usize = 200;

/// Characters of a line: of a log, a place in a file, an expression of licenses.
pub const LINE: usize = 1000;

/// Characters of a message, which may name many things.
pub const MESSAGE: usize = 4000;

/// So many items of a list are shown.
pub const ITEMS: usize = 100;

/// Cuts a text behind so many characters, with a mark that says how many are gone.
pub fn cut(text: &mut String, most: usize) {
    // There are at least as many bytes.
    if text.len() <= most {
        return;
    }
    if let Some((at, _)) = text.char_indices().nth(most) {
        let gone = text[at..].chars().count();
        // What was cut before is not cut again, whatever the mark adds.
        if is_mark(&text[at..]) {
            return;
        }
        text.truncate(at);
        text.push_str(&mark(gone, "characters"));
    }
}

/// The same text, cut.
#[must_use]
pub fn bounded(text: impl Into<String>, most: usize) -> String {
    let mut text = text.into();
    cut(&mut text, most);
    text
}

/// Cuts a list of texts and each of them.
pub fn cut_all(texts: &mut Vec<String>, most: usize) {
    if texts.len() > ITEMS && !(texts.len() == ITEMS + 1 && texts.last().is_some_and(|last| is_mark(last))) {
        let gone = texts.len() - ITEMS;
        texts.truncate(ITEMS);
        texts.push(mark(gone, "items").trim_start().to_owned());
    }
    texts.iter_mut().filter(|text| !is_mark(text)).for_each(|text| cut(text, most));
}

/// What stands where something was cut.
pub fn mark(gone: usize, what: &str) -> String {
    format!(" … ({gone} {what} more)")
}

fn is_mark(text: &str) -> bool {
    let Some(rest) = text.trim_start().strip_prefix("… (") else { return false };
    let number = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    number.len() < rest.len() && [" characters more)", " items more)"].contains(&number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let check = |text: &str, most: usize, expected: &str| {
            let once = bounded(text, most);
            assert_eq!(once, expected, "{text}");
            assert_eq!(bounded(once.clone(), most), once, "cut twice");
        };
        check("", 3, "");
        check("abc", 3, "abc");
        check("abcd", 3, "abc … (1 characters more)");
        check("äöü", 3, "äöü");
        check("äöüßé", 3, "äöü … (2 characters more)");
        check(&"x".repeat(1_400_000), 2, "xx … (1399998 characters more)");
        // What only looks like a mark is cut as well.
        check("abc … (characters more)", 3, "abc … (20 characters more)");
    }

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        let mut texts: Vec<String> = (0..ITEMS + 5).map(|number| format!("item {number}")).collect();
        cut_all(&mut texts, 6);
        assert_eq!(texts.len(), ITEMS + 1);
        assert_eq!(texts.last().unwrap(), "… (5 items more)");
        assert_eq!(texts[10], "item 1 … (1 characters more)");
        let once = texts.clone();
        cut_all(&mut texts, 6);
        assert_eq!(texts[..ITEMS], once[..ITEMS]);
    }
}
