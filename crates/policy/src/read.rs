//! Reads policy files so that every mistake is found at once, each with its line.

use crate::date::Date;
use std::{collections::BTreeMap, fmt, ops::Range, sync::Arc};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One mistake in a policy or terms file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file that it is in, where that is one that the file which was read extends.
    pub file: Option<Arc<str>>,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Mistake {
    /// A mistake at a place in a text: bytes from its beginning.
    pub fn at(text: &str, at: usize, message: String) -> Self {
        let before = &text.as_bytes()[..at.min(text.len())];
        let before = String::from_utf8_lossy(before);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let (line, column) = (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1);
        Self { file: None, line, column, message }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

pub(crate) type Value<'a> = Spanned<DeValue<'a>>;

/// Where something stands in a file, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    file: Option<Arc<str>>,
    line: usize,
    column: usize,
}

impl Place {
    pub(crate) fn mistake(&self, message: String) -> Mistake {
        Mistake { file: self.file.clone(), line: self.line, column: self.column, message }
    }
}

/// Fields of one table; what is taken out is known.
pub(crate) type Fields<'t, 'a> = BTreeMap<&'t str, &'t Value<'a>>;

/// Collects mistakes while a file is read.
pub(crate) struct Reader<'a> {
    /// The file, where another one extends it.
    file: Option<Arc<str>>,
    text: &'a str,
    /// Where each line begins.
    lines: Vec<usize>,
    /// The keys that the file itself has, above its tables.
    root: Vec<String>,
    mistakes: Vec<Mistake>,
    /// What is allowed and perhaps not meant.
    warnings: Vec<Mistake>,
}

impl<'a> Reader<'a> {
    /// Parses the text and has `read` take from its root table what it wants.
    ///
    /// # Errors
    /// All mistakes, in the order of their places; a value comes back only when there is none.
    pub(crate) fn run<T>(
        text: &'a str,
        read: impl for<'t> FnOnce(&mut Self, &'t Spanned<DeTable<'a>>) -> Option<T>,
    ) -> Result<T, Vec<Mistake>> {
        Self::run_in(text, None, read)
    }

    /// The same for a file that another one extends.
    pub(crate) fn run_in<T>(
        text: &'a str,
        file: Option<Arc<str>>,
        read: impl for<'t> FnOnce(&mut Self, &'t Spanned<DeTable<'a>>) -> Option<T>,
    ) -> Result<T, Vec<Mistake>> {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let mut reader = Self { file, text, lines, root: Vec::new(), mistakes: Vec::new(), warnings: Vec::new() };
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            reader.mistake(error.span().unwrap_or(0..0), error.message().to_owned());
        }
        let value = read(&mut reader, &root);
        match value {
            Some(value) if reader.mistakes.is_empty() => Ok(value),
            _ => {
                // Those of a file that it extends come behind its own.
                let order = |m: &Mistake| (m.file != reader.file, m.file.clone(), m.line, m.column);
                reader.mistakes.sort_by_key(order);
                reader.mistakes.dedup();
                Err(reader.mistakes)
            }
        }
    }

    pub(crate) fn mistake(&mut self, at: Range<usize>, message: String) {
        let mistake = self.place(at).mistake(message);
        self.mistakes.push(mistake);
    }

    /// Adds those of a file that this one extends.
    pub(crate) fn add_mistakes(&mut self, mistakes: Vec<Mistake>) {
        self.mistakes.extend(mistakes);
    }

    pub(crate) fn warning(&mut self, at: Range<usize>, message: String) {
        let warning = self.place(at).mistake(message);
        self.warnings.push(warning);
    }

    /// The warnings so far.
    pub(crate) fn take_warnings(&mut self) -> Vec<Mistake> {
        std::mem::take(&mut self.warnings)
    }

    /// The line and the column of something.
    pub(crate) fn place(&self, at: Range<usize>) -> Place {
        let at = at.start.min(self.text.len());
        let line = self.lines.partition_point(|start| *start <= at);
        let start = self.lines.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let before = String::from_utf8_lossy(&self.text.as_bytes()[start..at]);
        Place { file: self.file.clone(), line, column: before.chars().count() + 1 }
    }

    /// Whether a mistake begins at a place.
    fn has_mistake(&self, at: Range<usize>) -> bool {
        let Place { file, line, column } = self.place(at);
        self.mistakes.iter().any(|mistake| (&mistake.file, mistake.line, mistake.column) == (&file, line, column))
    }

    /// Takes the file itself apart, whose keys are looked for in its tables from then on.
    pub(crate) fn root<'t>(&mut self, root: &'t Spanned<DeTable<'a>>, known: &[&str]) -> Fields<'t, 'a> {
        self.root = known.iter().map(|name| (*name).to_owned()).collect();
        self.fields(root.get_ref(), known)
    }

    /// Takes a table apart; a key that is not among the known ones is a mistake.
    pub(crate) fn fields<'t>(&mut self, table: &'t DeTable<'a>, known: &[&str]) -> Fields<'t, 'a> {
        let mut fields = Fields::new();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                fields.insert(name, value);
            } else {
                // TOML takes what stands behind the head of a table for a part of it.
                let astray = self.root.iter().any(|key| key == name);
                let hint = if astray { "; as a key of the whole file it belongs above the first table" } else { "" };
                self.mistake(key.span(), format!("`{name}` is not known here; known are {}{hint}", list(known)));
            }
        }
        fields
    }

    /// A field that must be there.
    pub(crate) fn required<'t>(
        &mut self,
        fields: &Fields<'t, 'a>,
        name: &str,
        table: Range<usize>,
    ) -> Option<&'t Value<'a>> {
        let value = fields.get(name).copied();
        if value.is_none() {
            self.mistake(table, format!("`{name}` is missing"));
        }
        value
    }

    pub(crate) fn table<'t>(&mut self, value: &'t Value<'a>) -> Option<&'t DeTable<'a>> {
        match value.get_ref() {
            DeValue::Table(table) => Some(table),
            _ => self.wrong(value, "a table"),
        }
    }

    pub(crate) fn array<'t>(&mut self, value: &'t Value<'a>) -> Option<Vec<&'t Value<'a>>> {
        match value.get_ref() {
            DeValue::Array(items) => Some(items.iter().collect()),
            _ => self.wrong(value, "a list"),
        }
    }

    pub(crate) fn string(&mut self, value: &Value<'a>) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) => Some(text.to_string()),
            _ => self.wrong(value, "a text"),
        }
    }

    pub(crate) fn strings(&mut self, value: &Value<'a>) -> Option<Vec<String>> {
        let items = self.array(value)?;
        items.into_iter().map(|item| self.string(item)).collect()
    }

    pub(crate) fn bool(&mut self, value: &Value<'a>) -> Option<bool> {
        match value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => self.wrong(value, "true or false"),
        }
    }

    /// A date, as TOML writes it or as a text.
    pub(crate) fn date(&mut self, value: &Value<'a>) -> Option<Date> {
        let date = match value.get_ref() {
            DeValue::Datetime(at) if at.time.is_none() && at.offset.is_none() => at.to_string().parse().ok(),
            DeValue::String(text) => text.parse().ok(),
            _ => None,
        };
        match date {
            Some(date) => Some(date),
            // TOML itself knows that there is no such day.
            None if self.has_mistake(value.span()) => None,
            None => self.wrong(value, "a date that there is, such as 2027-01-31"),
        }
    }

    /// Reads every entry of a list of tables, where there is one; an entry with mistakes is left out.
    pub(crate) fn entries<'t, T>(
        &mut self,
        fields: &Fields<'t, 'a>,
        name: &str,
        read: impl Fn(&mut Self, &'t Value<'a>) -> Option<T>,
    ) -> Vec<(T, Range<usize>)> {
        let Some(items) = fields.get(name).and_then(|value| self.array(value)) else { return Vec::new() };
        items.into_iter().filter_map(|item| Some((read(self, item)?, item.span()))).collect()
    }

    /// The version of the file's format, of which there is one so far.
    pub(crate) fn version_one(&mut self, value: &Value<'a>) -> Option<()> {
        match value.get_ref() {
            DeValue::Integer(number) if number.as_str() == "1" => Some(()),
            _ => self.wrong(value, "1, the only version there is"),
        }
    }

    pub(crate) fn one_of<T: Copy>(&mut self, value: &Value<'a>, choices: &[(&str, T)]) -> Option<T> {
        if let DeValue::String(text) = value.get_ref()
            && let Some((_, choice)) = choices.iter().find(|(name, _)| name == text)
        {
            return Some(*choice);
        }
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        self.wrong(value, &format!("one of {}", list(&names)))
    }

    fn wrong<T>(&mut self, value: &Value<'a>, wanted: &str) -> Option<T> {
        let found = self.text.get(value.span()).unwrap_or("").lines().next().unwrap_or("");
        self.mistake(value.span(), format!("`{found}` should be {wanted}"));
        None
    }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
