//! HTML as a stream, in which every text is escaped.
//!
//! Names of elements and attributes are part of the program; everything else goes through [`Html::text`] or is the value
//! of an attribute, and cannot become markup. There is no way to write markup that came from elsewhere.

use crate::render::text::visible;
use std::io::{self, Write};

/// Columns whose cells are numbers, which stand to the right.
const NUMBERS: [&str; 2] = ["Paths", "Size"];

/// A document that is being written.
pub(super) struct Html<'w> {
    out: &'w mut dyn Write,
}

impl<'w> Html<'w> {
    pub(super) fn new(out: &'w mut dyn Write) -> Self {
        Self { out }
    }

    /// Markup that is part of the program.
    pub(super) fn fixed(&mut self, markup: &'static str) -> io::Result<()> {
        self.out.write_all(markup.as_bytes())
    }

    /// A text, escaped and without control characters.
    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(escaped(text).as_bytes())
    }

    /// Opens an element.
    pub(super) fn open(&mut self, name: &'static str, attributes: &[(&'static str, &str)]) -> io::Result<()> {
        write!(self.out, "<{name}")?;
        for (attribute, value) in attributes {
            write!(self.out, " {attribute}=\"{}\"", escaped(value))?;
        }
        self.out.write_all(b">")
    }

    /// Closes an element.
    pub(super) fn close(&mut self, name: &'static str) -> io::Result<()> {
        writeln!(self.out, "</{name}>")
    }

    /// An element with a text in it.
    pub(super) fn element(&mut self, name: &'static str, text: &str) -> io::Result<()> {
        write!(self.out, "<{name}>{}</{name}>", escaped(text))
    }

    /// A paragraph.
    pub(super) fn paragraph(&mut self, text: &str) -> io::Result<()> {
        self.element("p", text)?;
        self.fixed("\n")
    }

    /// A heading with a place to link to.
    pub(super) fn heading(&mut self, name: &'static str, id: &str, text: &str) -> io::Result<()> {
        self.open(name, &[("id", id)])?;
        self.text(text)?;
        self.close(name)
    }

    /// A link within the document.
    pub(super) fn link(&mut self, id: &str, text: &str) -> io::Result<()> {
        self.open("a", &[("href", &format!("#{id}"))])?;
        self.text(text)?;
        self.fixed("</a>")
    }

    /// A list of texts.
    pub(super) fn list(&mut self, items: impl IntoIterator<Item = impl AsRef<str>>) -> io::Result<()> {
        self.fixed("<ul>")?;
        for item in items {
            self.element("li", item.as_ref())?;
        }
        self.close("ul")
    }

    /// The beginning of a table: what it is, and the heads of its columns.
    pub(super) fn table(&mut self, caption: &str, columns: &[&str]) -> io::Result<()> {
        self.fixed("<table>")?;
        self.element("caption", caption)?;
        self.fixed("<thead><tr>")?;
        for column in columns {
            let attributes = [("scope", "col"), ("class", "number")];
            self.open("th", &attributes[..if NUMBERS.contains(column) { 2 } else { 1 }])?;
            self.text(column)?;
            self.fixed("</th>")?;
        }
        self.fixed("</tr></thead>\n<tbody>\n")
    }

    /// The first cell of a row, which names it.
    pub(super) fn row_head(&mut self) -> io::Result<()> {
        self.fixed("<tr><th scope=\"row\">")
    }

    pub(super) fn end_table(&mut self) -> io::Result<()> {
        self.fixed("</tbody></table>\n")
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        let mut out = Vec::new();
        let mut html = Html::new(&mut out);
        let hostile = "</p><script>alert('1')</script>&amp;\u{1b}[2J\u{202e}x\"onload=\"";
        html.open("p", &[("title", hostile)]).unwrap();
        html.text(hostile).unwrap();
        html.close("p").unwrap();
        let harmless =
            "&lt;/p&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;amp;\u{fffd}[2J\u{fffd}x&quot;onload=&quot;";
        assert_eq!(String::from_utf8(out).unwrap(), format!("<p title=\"{harmless}\">{harmless}</p>\n"));
    }
}
