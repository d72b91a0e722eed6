//! What a policy says of classes of licenses and of kinds of findings: the two tables of which every key has a value.
//!
//! A key that is not there has the value of the policy that is extended. It reads the tables and decides nothing.

use crate::read::{Fields, Reader, Value};
use narthex_license::{Class, Reading};
use std::collections::BTreeMap;

/// What is done with a class of packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Publish them, unless something else forbids it.
    Publish,
    /// Withhold them.
    Withhold,
}

/// What is done with restricted material in a package that could otherwise be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Ask the terms of the material; withhold where they do not permit it or are not known.
    Terms,
    /// Withhold whatever the terms say.
    Withhold,
    /// Note it and go on.
    Publish,
}

/// What is done with each kind of finding. Where the version is not known, or the library is a driver's,
/// there are no terms to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Findings {
    pub(crate) copy: Treatment,
    pub(crate) modified_copy: Treatment,
    pub(crate) static_code: Treatment,
    pub(crate) cudart_static: Treatment,
    pub(crate) device_code: Treatment,
    pub(crate) suspected: Action,
    pub(crate) driver: Action,
    pub(crate) not_fully_audited: Action,
}

impl Findings {
    /// What is asked of terms, or not, by key.
    pub(crate) fn treated(&self) -> [(&'static str, Treatment); 5] {
        let treatments = [self.copy, self.modified_copy, self.static_code, self.cudart_static, self.device_code];
        std::array::from_fn(|index| (Self::TREATED[index], treatments[index]))
    }

    /// What has no terms, by key.
    pub(crate) fn decided(&self) -> [(&'static str, Action); 3] {
        let actions = [self.suspected, self.driver, self.not_fully_audited];
        std::array::from_fn(|index| (Self::DECIDED[index], actions[index]))
    }

    const TREATED: [&str; 5] = ["copy", "modified-copy", "static-code", "cudart-static", "device-code"];
    const DECIDED: [&str; 3] = ["suspected", "driver", "not-fully-audited"];

    /// What `base` says holds for the keys that are not there.
    pub(crate) fn read<'a>(reader: &mut Reader<'a>, value: &Value<'a>, base: Base<'_, Self>) -> Option<Self> {
        let table = reader.table(value)?;
        let fields = reader.fields(table, &[Self::TREATED.as_slice(), &Self::DECIDED].concat());
        let treated = base.map(|base| base.map(Self::treated));
        let decided = base.map(|base| base.map(Self::decided));
        let mut number = 0..;
        let [copy, modified_copy, static_code, cudart_static, device_code] = Self::TREATED.map(|name| {
            let base = number.next().and_then(|n: usize| treated.map(|base| base.map(|base| base[n].1)));
            key(reader, &fields, name, value, base, &TREATMENTS)
        });
        let mut number = 0..;
        let [suspected, driver, not_fully_audited] = Self::DECIDED.map(|name| {
            let base = number.next().and_then(|n: usize| decided.map(|base| base.map(|base| base[n].1)));
            key(reader, &fields, name, value, base, &ACTIONS)
        });
        Some(Self {
            copy: copy?,
            modified_copy: modified_copy?,
            static_code: static_code?,
            cudart_static: cudart_static?,
            device_code: device_code?,
            suspected: suspected?,
            driver: driver?,
            not_fully_audited: not_fully_audited?,
        })
    }
}

/// What the policy that is extended says: `None` where none is, and `Some(None)` where it has mistakes, which are told by
/// themselves.
pub(crate) type Base<'b, T> = Option<Option<&'b T>>;

/// One of several words, or what the policy that is extended says.
fn key<'a, T: Copy>(
    reader: &mut Reader<'a>,
    fields: &Fields<'_, 'a>,
    name: &str,
    table: &Value<'a>,
    base: Option<Option<T>>,
    choices: &[(&str, T)],
) -> Option<T> {
    match (fields.get(name), base) {
        (Some(value), _) => reader.one_of(value, choices),
        (None, Some(base)) => base,
        (None, None) => reader.required(fields, name, table.span()).and(None),
    }
}

/// A policy of before there was this class does not name it, and publishes nothing of it.
pub(crate) const LATER_CLASS: (&str, Class) = ("made-from-free", Class::MadeFromFree);
pub(crate) const CLASSES: [(&str, Class); 4] = [
    ("free", Class::Free),
    ("redistributable", Class::Redistributable),
    ("restricted", Class::Restricted),
    ("unknown", Class::Unknown),
];
pub(crate) const ACTIONS: [(&str, Action); 2] = [("publish", Action::Publish), ("withhold", Action::Withhold)];
pub(crate) const TREATMENTS: [(&str, Treatment); 3] =
    [("terms", Treatment::Terms), ("withhold", Treatment::Withhold), ("publish", Treatment::Publish)];

pub(crate) const READINGS: [(&str, Reading); 2] = [("strict", Reading::Strict), ("lenient", Reading::Lenient)];
/// What is done with each class.
pub(crate) fn classes<'a>(
    reader: &mut Reader<'a>,
    value: &Value<'a>,
    base: Base<'_, BTreeMap<Class, Action>>,
) -> Option<BTreeMap<Class, Action>> {
    let table = reader.table(value)?;
    let known = CLASSES.iter().chain([&LATER_CLASS]).map(|(name, _)| *name).collect::<Vec<_>>();
    let inner = reader.fields(table, &known);
    let read = CLASSES.map(|(name, class)| {
        let base = base.map(|base| base.and_then(|base| base.get(&class).copied()));
        Some((class, key(reader, &inner, name, value, base, &ACTIONS)?))
    });
    let (name, class) = LATER_CLASS;
    let later = match (inner.get(name), base.flatten().and_then(|base| base.get(&class))) {
        (Some(action), _) => Some(reader.one_of(action, &ACTIONS).map(|action| (class, action))),
        (None, inherited) => inherited.map(|action| Some((class, *action))),
    };
    read.into_iter().chain(later).collect()
}
