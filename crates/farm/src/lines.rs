//! Reads lines as `nix-eval-jobs` writes them: one JSON object a line, for a job, for an attribute that failed,
//! or for a derivation that jobs are made of.
//!
//! Keys that are read: `attr`, `attrPath`, `error`, `drvPath`, `outputs`, `inputDrvs`, `meta.license`,
//! `meta.sourceProvenance`, and of lines that describe a graph `fixedOutput`, `preferLocalBuild`, `allowSubstitutes`,
//! `inputSrcs` (local files), `mainSrcs` and `buildScripts` (those among them that the package is made from, or that its
//! builder takes as arguments), `generatedText`, `reached` (whether an evaluation came across its value) and `extraValue`: `facts`, as the
//! walker writes them where `--apply` carried it (derivations, each with its facts behind a space), or `license` and
//! `provenance` of this derivation alone, and `madeFrom`, the derivation of the package that a wrapper or a variant was made
//! from; and `last`, which is false in all lines of `narthex eval` but for one behind them. All others are passed over. `narthex eval --format json` writes such lines. Pure: text in, values out; who has
//! files or pipes opens them.

use crate::inventory::{Filling, Inventory, Traits};
use narthex_closure::{AttrPath, FlatError, Graph, Node, StorePath, parse_store_path};
use narthex_license::text::{LINE, MESSAGE, bounded};
use narthex_nix::{EvalError, without_advice};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// Why a line could not be used.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It is no JSON object, or one of its values has another shape than it should.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// It has neither a derivation nor an error.
    #[error("it has neither `drvPath` nor `error`")]
    Nothing,
    /// What should name a derivation does not.
    #[error("`{0}` is no path of a derivation")]
    NotADerivation(String),
}

/// Lines that are being read.
#[derive(Debug, Default)]
pub struct Lines {
    filling: Filling,
    read: usize,
    /// Whether lines said that they are not the last, and whether one said that it is.
    goes_on: bool,
    ends: bool,
}

/// An attribute as it is spelled everywhere; a text that is no attribute path stays as it is.
fn one_spelling(text: &str) -> String {
    text.parse::<AttrPath>().map_or_else(|_| text.to_owned(), |path| path.to_string())
}

impl Lines {
    /// Reads one line; an empty one says nothing.
    ///
    /// # Errors
    /// When the line cannot be used; it is as if it had not been there.
    pub fn line(&mut self, text: &str) -> Result<(), LineError> {
        if text.trim_ascii().is_empty() {
            return Ok(());
        }
        let result = self.take(text);
        if result.is_err() {
            self.filling.builder.forget();
        }
        self.read += 1;
        result
    }

    /// Whether the stream that was read last was cut off: lines of it said that more come, and none that it is the last. The
    /// next line begins another stream.
    pub fn was_cut(&mut self) -> bool {
        let was_cut = self.goes_on && !self.ends;
        (self.goes_on, self.ends) = (false, false);
        was_cut
    }

    /// How many lines there were that are not empty.
    pub fn count(&self) -> usize {
        self.read
    }

    /// Derivations that lines name, and of which none says what they are made from.
    pub fn undescribed(&self) -> Vec<StorePath> {
        let untold = self.filling.untold();
        self.filling.builder.undescribed().chain(untold).filter_map(parse_store_path).collect()
    }

    /// Whether a line describes a derivation.
    pub fn describes(&self, path: &StorePath) -> bool {
        self.filling.builder.is_described(&path.to_string())
    }

    /// Adds derivations as their `.drv` files describe them.
    pub fn derivations(&mut self, graph: &Graph) {
        for (path, derivation) in graph.iter() {
            let is_new = !self.describes(path);
            self.filling.add_derivation(path, derivation);
            // A file says nothing of licenses, and nobody asked the value.
            if let (true, Ok(node)) = (is_new, self.filling.builder.mention(&path.to_string())) {
                self.filling.add_traits(node, Traits::UNREACHED);
            }
        }
    }

    /// Everything that was read.
    pub fn finish(self) -> Inventory {
        self.filling.finish()
    }

    fn take(&mut self, text: &str) -> Result<(), LineError> {
        let mut json = serde_json::Deserializer::from_str(text);
        let line = LineSeed(&mut self.filling).deserialize(&mut json)?;
        json.end()?;
        self.goes_on |= line.is_last == Some(false);
        if line.is_last == Some(true) {
            self.ends = true;
            if line.derivation.is_none() && line.error.is_none() {
                self.filling.builder.forget();
                return Ok(());
            }
        }
        let attr = line.attr_path.map(|path| AttrPath::new(path).to_string());
        let attr = attr.or_else(|| line.attr.map(|text| one_spelling(&text)));
        let attr = attr.map(|attr| bounded(attr, LINE));
        if let Some(message) = line.error {
            let message = without_advice(message.strip_prefix("error: ").unwrap_or(&message));
            let message = bounded(message, MESSAGE);
            self.filling.builder.forget();
            self.filling.errors.push(EvalError { attr: attr.unwrap_or_default(), message });
            return Ok(());
        }
        let path = line.derivation.ok_or(LineError::Nothing)?;
        // All that can be wrong is found before anything of the line counts.
        let facts = line.extra.iter().flat_map(|extra| extra.facts.iter().flatten());
        let facts: Vec<(&str, Said<'_>)> = facts.map(|text| said(text)).collect::<Result<_, _>>()?;
        let made_from = line.extra.as_ref().and_then(|extra| extra.made_from.as_deref());
        if let Some(of) = made_from.filter(|of| !parse_store_path(of).is_some_and(|path| path.is_derivation())) {
            return Err(LineError::NotADerivation(bounded(of, LINE)));
        }
        let told = line.traits.has(Traits::INPUTS_TOLD);
        let node = self.filling.describe(&path, told).map_err(|error| match error {
            FlatError::Input(input) => LineError::NotADerivation(bounded(input, LINE)),
            _ => LineError::NotADerivation(bounded(&*path, LINE)),
        })?;
        self.filling.add_traits(node, line.traits);
        let has_facts = line.extra.as_ref().is_some_and(|extra| extra.facts.is_some());
        self.filling.walked |= has_facts;
        if has_facts || line.meta.is_some() {
            self.filling.add_traits(node, Traits::REACHED);
        }
        self.filling.made_from.extend(made_from.map(|of| (node, of.to_owned())));
        let (main, scripts) = (line.main_sources.unwrap_or_default(), line.build_scripts.unwrap_or_default());
        for source in line.sources.iter().flatten() {
            self.filling.add_source(node, source, main.contains(source), scripts.contains(source));
        }
        if let Some(meta) = line.meta {
            // What is no set of fields may have hidden any license.
            match serde_json::from_str::<Meta<'_>>(meta.get()) {
                Ok(meta) => self.say(node, meta.license, meta.source_provenance),
                Err(_) if meta.get() == "null" => {}
                Err(_) => self.filling.say_license(node, r#"{"malformed":"meta"}"#, ""),
            }
        }
        if line.is_extra_malformed {
            self.filling.say_license(node, r#"{"malformed":"extraValue"}"#, "");
        }
        for (path, said) in &facts {
            // Their paths were looked at.
            let Ok(node) = self.filling.builder.mention(path) else { continue };
            self.filling.add_traits(node, Traits::REACHED);
            self.say(node, said.license, said.provenance);
            self.filling.made_from.extend(said.made_from.as_ref().map(|of| (node, of.clone().into_owned())));
        }
        if let Some(extra) = &line.extra {
            self.say(node, extra.license, extra.provenance);
        }
        if let Some(attr) = attr {
            self.filling.jobs.push((attr, node));
        }
        Ok(())
    }

    fn say(&mut self, node: Node, license: Option<&RawValue>, provenance: Option<&RawValue>) {
        if license.is_some() || provenance.is_some() {
            let (license, provenance) = (license.map_or("", RawValue::get), provenance.map_or("", RawValue::get));
            self.filling.say_license(node, license, provenance);
        }
    }
}

/// What the walker says of a derivation: its path, and its facts behind a space.
fn said(text: &str) -> Result<(&str, Said<'_>), LineError> {
    let (path, facts) = text.split_once(' ').unwrap_or((text, "null"));
    if !parse_store_path(path).is_some_and(|path| path.is_derivation()) {
        return Err(LineError::NotADerivation(path.to_owned()));
    }
    Ok((path, serde_json::from_str(facts)?))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said<'a> {
    #[serde(borrow)]
    license: Option<&'a RawValue>,
    #[serde(borrow)]
    provenance: Option<&'a RawValue>,
    #[serde(borrow)]
    made_from: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    #[serde(borrow)]
    license: Option<&'a RawValue>,
    #[serde(borrow)]
    source_provenance: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Extra<'a> {
    #[serde(borrow)]
    license: Option<&'a RawValue>,
    #[serde(borrow)]
    provenance: Option<&'a RawValue>,
    #[serde(borrow)]
    facts: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow)]
    made_from: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// What went wrong, as `nix-eval-jobs` says it, or as `narthex` does.
#[derive(Deserialize)]
#[serde(untagged)]
enum Message<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Object {
        #[serde(borrow)]
        message: Cow<'a, str>,
    },
}

impl<'a> Message<'a> {
    fn text(self) -> Cow<'a, str> {
        match self {
            Self::Text(text) | Self::Object { message: text } => text,
        }
    }
}

#[derive(Default)]
struct Line<'a> {
    attr: Option<Cow<'a, str>>,
    attr_path: Option<Vec<String>>,
    error: Option<Cow<'a, str>>,
    derivation: Option<Cow<'a, str>>,
    meta: Option<&'a RawValue>,
    extra: Option<Extra<'a>>,
    sources: Option<Vec<String>>,
    main_sources: Option<Vec<String>>,
    build_scripts: Option<Vec<String>>,
    is_extra_malformed: bool,
    is_last: Option<bool>,
    traits: Traits,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Key {
    Attr,
    AttrPath,
    Error,
    DrvPath,
    Outputs,
    InputDrvs,
    InputSrcs,
    MainSrcs,
    BuildScripts,
    GeneratedText,
    Reached,
    Meta,
    ExtraValue,
    FixedOutput,
    PreferLocalBuild,
    AllowSubstitutes,
    Last,
    #[serde(other)]
    Other,
}

/// Reads a line; inputs and outputs go into the graph at once, without lists of their own.
struct LineSeed<'f>(&'f mut Filling);

impl<'de> DeserializeSeed<'de> for LineSeed<'_> {
    type Value = Line<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for LineSeed<'_> {
    type Value = Line<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut line = Line::default();
        let mut seen = 0u32;
        while let Some(key) = map.next_key::<Key>()? {
            let bit = 1 << key as u32;
            if seen & bit != 0 && !matches!(key, Key::Other) {
                return Err(A::Error::custom("a key is there twice"));
            }
            seen |= bit;
            match key {
                Key::Attr => line.attr = map.next_value::<Option<Text<'de>>>()?.map(|text| text.0),
                Key::AttrPath => line.attr_path = map.next_value()?,
                Key::Error => line.error = map.next_value::<Option<Message<'de>>>()?.map(Message::text),
                Key::DrvPath => line.derivation = map.next_value::<Option<Text<'de>>>()?.map(|text| text.0),
                Key::Outputs => map.next_value_seed(Pairs { filling: &mut *self.0, add: add_output })?,
                Key::InputDrvs => {
                    map.next_value_seed(Pairs { filling: &mut *self.0, add: add_input })?;
                    line.traits.add(Traits::INPUTS_TOLD);
                }
                Key::InputSrcs => {
                    line.sources = map.next_value()?;
                    if line.sources.is_some() {
                        line.traits.add(Traits::SOURCES_TOLD);
                    }
                }
                Key::MainSrcs => line.main_sources = map.next_value()?,
                Key::BuildScripts => line.build_scripts = map.next_value()?,
                Key::Reached => match map.next_value::<Option<bool>>()? {
                    Some(true) => line.traits.add(Traits::REACHED),
                    Some(false) => line.traits.add(Traits::UNREACHED),
                    None => {}
                },
                // Anybody may call anything so; only what is written with `eval` counts.
                Key::Last => line.is_last = serde_json::from_str(map.next_value::<&RawValue>()?.get()).ok(),
                Key::GeneratedText if map.next_value::<Option<bool>>()? == Some(true) => {
                    line.traits.add(Traits::GENERATED_TEXT);
                }
                Key::Meta => line.meta = Some(map.next_value()?),
                // Anybody's `--apply` may have written anything here; what is no facts says nothing.
                Key::ExtraValue => {
                    let value: &RawValue = map.next_value()?;
                    match serde_json::from_str(value.get()) {
                        Ok(extra) => line.extra = extra,
                        // What has our keys and says something else with them may hide any license.
                        Err(_) => line.is_extra_malformed = speaks_of_facts(value.get()),
                    }
                }
                Key::FixedOutput if map.next_value::<Option<bool>>()? == Some(true) => line.traits.add(Traits::FIXED),
                Key::PreferLocalBuild if map.next_value::<Option<bool>>()? == Some(true) => {
                    line.traits.add(Traits::TRIVIAL);
                }
                Key::AllowSubstitutes if map.next_value::<Option<bool>>()? == Some(false) => {
                    line.traits.add(Traits::TRIVIAL);
                }
                Key::FixedOutput | Key::PreferLocalBuild | Key::AllowSubstitutes | Key::GeneratedText => {}
                Key::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(line)
    }
}

/// Whether a value is an object with one of the keys that facts have.
fn speaks_of_facts(text: &str) -> bool {
    let fields: BTreeMap<Cow<'_, str>, IgnoredAny> = serde_json::from_str(text).unwrap_or_default();
    ["license", "provenance", "facts", "madeFrom"].iter().any(|key| fields.contains_key(*key))
}

/// The pairs of an object, each handed on as it is read.
struct Pairs<'f, T> {
    filling: &'f mut Filling,
    add: fn(&mut Filling, &str, T) -> Result<(), String>,
}

fn add_input(filling: &mut Filling, path: &str, _outputs: IgnoredAny) -> Result<(), String> {
    filling.builder.input(path).map_err(|error| format!("the input `{path}` is {error}"))
}

fn add_output(filling: &mut Filling, name: &str, path: Option<Text<'_>>) -> Result<(), String> {
    let path = path.as_ref().map(|text| text.0.as_ref());
    let wrong = |error| format!("the output `{name}`, `{}`, is {error}", path.unwrap_or_default());
    filling.builder.output(name, path).map_err(wrong)
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Pairs<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Pairs<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry::<Text<'de>, T>()? {
            (self.add)(self.filling, &name.0, value).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests;
