//! The licenses of nixpkgs by name: `data/nixpkgs-licenses.json`, `lib.licenses` as of June 2026, and
//! `data/older-licenses.json`, what earlier ones and earlier lists of SPDX had under names that are gone.

use crate::reference::is_idstring;
use crate::{Expr, License};
use serde::Deserialize;
use std::{collections::BTreeMap, sync::LazyLock};

/// One row of nixpkgs' table, and the shape in which a package set gives a single license.
#[derive(Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    pub(crate) short_name: Option<String>,
    pub(crate) full_name: Option<String>,
    pub(crate) spdx_id: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) free: Option<bool>,
    pub(crate) redistributable: Option<bool>,
}

pub(crate) static ROWS: LazyLock<BTreeMap<String, Row>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../data/nixpkgs-licenses.json"))
        .expect("the table is part of the program and a test reads it")
});

/// Finds a license by the name of its attribute, its short name, full name or SPDX id.
///
/// A name that two licenses with different freedoms share ("CUDA EULA") gives the stricter one.
pub(crate) fn by_name(name: &str) -> Option<License> {
    named(name).or_else(|| named(&current_gnu_id(name)?))
}

/// A license that earlier versions had under a name that is gone.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Older {
    /// The expression that it is today.
    means: Option<String>,
    full_name: Option<String>,
    free: Option<bool>,
}

static OLDER: LazyLock<BTreeMap<String, Older>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../data/older-licenses.json"))
        .expect("the table is part of the program and a test reads it")
});

/// Finds a license by a name that only earlier versions had.
pub(crate) fn older(name: &str) -> Option<Expr> {
    let known = |(short, older): &(&String, &Older)| *short == name || older.full_name.as_deref() == Some(name);
    let (short_name, older) = OLDER.iter().find(known)?;
    match &older.means {
        Some(expression) => crate::spdx::read(expression),
        None => {
            let row = Row { short_name: Some(short_name.clone()), free: older.free, ..Row::default() };
            License::from_row(None, &row).map(Expr::One)
        }
    }
}

/// The id that SPDX has given a GNU license since version 3.0 of its list: `GPL-2.0+` became
/// `GPL-2.0-or-later`, and `GPL-2.0` became `GPL-2.0-only`.
fn current_gnu_id(name: &str) -> Option<String> {
    if !["GPL-", "LGPL-", "AGPL-", "GFDL-"].iter().any(|family| name.starts_with(family)) {
        return None;
    }
    Some(name.strip_suffix('+').map_or_else(|| format!("{name}-only"), |version| format!("{version}-or-later")))
}

/// Finds a license by its SPDX id alone, also one that SPDX has replaced. Of two licenses with one id, it is the stricter.
pub(crate) fn by_spdx_id(id: &str) -> Option<License> {
    let find = |id: &str| {
        let rows = ROWS.iter().filter(|(_, row)| row.spdx_id.as_deref() == Some(id));
        rows.filter_map(|(id, row)| License::from_row(Some(id), row)).max_by_key(License::class)
    };
    find(id).or_else(|| find(&current_gnu_id(id)?))
}

fn named(name: &str) -> Option<License> {
    let wanted = Some(name);
    ROWS.iter()
        .filter(|(id, row)| {
            id.as_str() == name
                || row.spdx_id.as_deref() == wanted
                || row.short_name.as_deref() == wanted
                || row.full_name.as_deref() == wanted
        })
        .filter_map(|(id, row)| License::from_row(Some(id), row))
        .max_by_key(|license| license.class())
}

/// Whether nixpkgs has a license under this attribute of `lib.licenses`.
pub fn is_attribute(name: &str) -> bool {
    ROWS.contains_key(name)
}

/// The attributes of all of them.
pub fn attributes() -> impl Iterator<Item = &'static str> {
    ROWS.keys().map(String::as_str)
}

/// What nixpkgs knows of a license by its attribute: its full name and its URL.
pub(crate) fn about(id: &str) -> Option<(&'static str, Option<&'static str>)> {
    let row = ROWS.get(id)?;
    let full_name = row.full_name.as_deref().or(row.short_name.as_deref())?;
    Some((full_name, row.url.as_deref()))
}

/// The short name that documents have for a license of nixpkgs without an SPDX id, by its attribute. A short name that another
/// license has too, or that cannot stand in an expression, is none.
pub(crate) fn name_of_nixpkgs(attribute: &str) -> Option<&'static str> {
    let row = ROWS.get(attribute).filter(|row| row.spdx_id.is_none())?;
    let name = row.short_name.as_deref().filter(|name| is_idstring(name))?;
    let others = ROWS.iter().filter(|(id, other)| *id != attribute && other.short_name.as_deref() == Some(name));
    (others.count() == 0).then_some(name)
}

/// The attribute of a license that documents have under this short name.
pub(crate) fn by_name_of_nixpkgs(name: &str) -> Option<&'static str> {
    ROWS.keys().find(|attribute| name_of_nixpkgs(attribute) == Some(name)).map(String::as_str)
}

/// Finds the name of the attribute under which nixpkgs has exactly this license.
///
/// Short names are not enough: `nvidiaCuda` and `nvidiaCudaRedist` share one.
pub(crate) fn id_of(row: &Row) -> Option<&'static str> {
    let same = |(_, known): &(&'static String, &'static Row)| {
        known.short_name == row.short_name
            && known.spdx_id == row.spdx_id
            && known.free == row.free
            && known.redistributable == row.redistributable.or(row.free)
    };
    ROWS.iter().find(same).map(|(id, _)| id.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    #[test]
    fn the_table_is_whole_and_every_row_has_a_class() {
        assert_eq!(ROWS.len(), 300);
        let count =
            |class| ROWS.iter().filter(|(id, row)| License::from_row(Some(id), row).unwrap().class() == class).count();
        assert_eq!(count(Class::Redistributable), 13);
        assert_eq!(count(Class::Restricted), 44);
    }

    #[test]
    fn a_shared_short_name_gives_the_stricter_license() {
        assert_eq!(by_name("CUDA EULA").unwrap().id(), Some("nvidiaCuda"));
        assert_eq!(by_name("MIT").unwrap().id(), Some("mit"));
        assert!(by_name("as-is").is_none());
    }

    #[test]
    fn ids_that_spdx_has_replaced_are_known() {
        let replaced = [
            ("GPL-3.0+", "gpl3Plus"),
            ("LGPL-2.1+", "lgpl21Plus"),
            ("AGPL-3.0", "agpl3Only"),
            ("GFDL-1.2", "fdl12Only"),
            ("GFDL-1.3+", "fdl13Plus"),
        ];
        for (old, id) in replaced {
            assert_eq!(by_name(old).unwrap().id(), Some(id), "{old}");
        }
        assert!(by_name("GPL").is_none() && by_name("GPL-9+").is_none());
    }

    #[test]
    fn every_older_name_is_read() {
        for (name, row) in OLDER.iter() {
            let class = older(name).unwrap_or_else(|| panic!("{name}")).class();
            assert_eq!(class.is_free(), row.free != Some(false), "{name}");
            assert_ne!(class, Class::Unknown, "{name}");
        }
        assert_eq!(older("qwt").unwrap().to_string(), "LGPL-2.1-only WITH Qwt-exception-1.0");
        assert_eq!(older("Notion modified LGPL"), older("notion_lgpl"));
        assert!(older("mit").is_none());
    }
}
