//! The places of objects in a binary cache.

use narthex_closure::{StorePath, hash_part};
use std::fmt;

/// The name of one object. Names that Nix or we never write cannot be expressed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectName {
    /// `nix-cache-info`
    CacheInfo,
    /// `<hash>.narinfo`
    Narinfo(String),
    /// `<hash>.ls`
    Listing(String),
    /// `nar/<file hash>.nar.zst`
    Nar(String),
    /// `log/<derivation>`
    Log(String),
    /// `withheld/<hash>.json`
    Withheld(String),
}

impl ObjectName {
    /// The narinfo of a path.
    pub fn narinfo(path: &StorePath) -> Self {
        Self::Narinfo(hash_part(path))
    }

    /// The listing of a path.
    pub fn listing(path: &StorePath) -> Self {
        Self::Listing(hash_part(path))
    }

    /// The entry that says why a path is withheld.
    pub fn withheld(path: &StorePath) -> Self {
        Self::Withheld(hash_part(path))
    }

    /// Reads a name as it stands in a URL, without a leading slash.
    pub fn parse(text: &str) -> Option<Self> {
        let path_hash = |hash: &str| is_base32(hash, 32).then(|| hash.to_owned());
        if text == "nix-cache-info" {
            return Some(Self::CacheInfo);
        }
        if let Some(hash) = text.strip_prefix("withheld/").and_then(|rest| rest.strip_suffix(".json")) {
            return path_hash(hash).map(Self::Withheld);
        }
        if let Some(hash) = text.strip_prefix("nar/").and_then(|rest| rest.strip_suffix(".nar.zst")) {
            return is_base32(hash, 52).then(|| Self::Nar(hash.to_owned()));
        }
        if let Some(name) = text.strip_prefix("log/") {
            let derivation = StorePath::from_basename(name.as_bytes()).ok()?;
            return derivation.is_derivation().then(|| Self::Log(name.to_owned()));
        }
        if let Some(hash) = text.strip_suffix(".narinfo") {
            return path_hash(hash).map(Self::Narinfo);
        }
        text.strip_suffix(".ls").and_then(path_hash).map(Self::Listing)
    }

    /// The name as it stands in an address. Names of logs may have a `?`, which would begin a query, and a `+`, which some
    /// servers take for a space.
    pub fn in_url(&self) -> String {
        self.to_string().replace('?', "%3F").replace('+', "%2B").replace('=', "%3D")
    }

    /// The media type that Nix's own caches give.
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::CacheInfo => "text/x-nix-cache-info",
            Self::Narinfo(_) => "text/x-nix-narinfo",
            Self::Listing(_) | Self::Withheld(_) => "application/json",
            Self::Nar(_) => "application/x-nix-nar",
            Self::Log(_) => "text/plain; charset=utf-8",
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CacheInfo => f.write_str("nix-cache-info"),
            Self::Narinfo(hash) => write!(f, "{hash}.narinfo"),
            Self::Listing(hash) => write!(f, "{hash}.ls"),
            Self::Nar(hash) => write!(f, "nar/{hash}.nar.zst"),
            Self::Log(derivation) => write!(f, "log/{derivation}"),
            Self::Withheld(hash) => write!(f, "withheld/{hash}.json"),
        }
    }
}

/// Nix's base 32 leaves out the letters e, o, t and u.
fn is_base32(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b"0123456789abcdfghijklmnpqrsvwxyz".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::ObjectName;

    #[test]
    fn names_are_read_as_they_are_written() {
        let (hash, file) = ("0".repeat(32), "1".repeat(52));
        for text in [
            "nix-cache-info".to_owned(),
            format!("{hash}.narinfo"),
            format!("{hash}.ls"),
            format!("nar/{file}.nar.zst"),
            format!("log/{hash}-a.drv"),
            format!("withheld/{hash}.json"),
        ] {
            assert_eq!(ObjectName::parse(&text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn names_in_addresses_are_no_queries() {
        let log = format!("log/{}-a+b?c=d_e.f-1.drv", "0".repeat(32));
        let encoded = format!("log/{}-a%2Bb%3Fc%3Dd_e.f-1.drv", "0".repeat(32));
        assert_eq!(ObjectName::parse(&log).unwrap().in_url(), encoded);
        assert_eq!(ObjectName::CacheInfo.in_url(), "nix-cache-info");
    }

    #[test]
    fn other_names_do_not_exist() {
        let hash = "0".repeat(32);
        for text in [
            "",
            "../keys/secret",
            "nar/../../x.nar.zst",
            "log/../x",
            "x.narinfo",
            &format!("{hash}e.narinfo"),
            &format!("log/{hash}-a"),
            &format!("{}.narinfo", "e".repeat(32)),
            "withheld/",
        ] {
            assert_eq!(ObjectName::parse(text), None, "{text}");
        }
    }
}
