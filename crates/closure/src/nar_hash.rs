//! The SHA-256 of a path's NAR serialization, as Nix records it.

use nix_derivation::NixHash;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{fmt, str::FromStr};

/// The SHA-256 hash of a NAR before compression.
///
/// It is deliberately not interchangeable with the hash of a compressed file: a permit is given
/// for exactly one of these.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NarHash([u8; 32]);

/// Why a text is not a NAR hash.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not a SHA-256 NAR hash")]
pub struct NarHashError {
    text: String,
}

impl NarHash {
    /// Wraps the 32 bytes of a SHA-256 digest.
    pub const fn from_sha256(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// Returns the hash in the type that the narinfo library takes.
    pub fn to_nix_hash(self) -> NixHash {
        NixHash::Sha256(self.0)
    }
}

impl FromStr for NarHash {
    type Err = NarHashError;

    /// Accepts what the Nix versions print: `sha256:` with base32 or base16, and `sha256-` with base64.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match NixHash::parse(text) {
            Ok(NixHash::Sha256(digest)) => Ok(Self(digest)),
            _ => Err(NarHashError { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for NarHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_nix_hash().to_nix_nixbase32_string())
    }
}

impl fmt::Debug for NarHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for NarHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NarHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The NAR hash of one path in the spellings that Nix 2.8 and 2.26 printed for it.
    #[test]
    fn every_spelling_of_nix_is_one_hash() {
        let sri: NarHash = "sha256-CSrSDHpw4H9N3HLSoAg8zxVGUf1TP8rE8tEu+f/JZDs=".parse().unwrap();
        let hex: NarHash = "sha256:092ad20c7a70e07f4ddc72d2a0083ccf154651fd533fcac4f2d12ef9ffc9643b".parse().unwrap();
        assert_eq!(sri, hex);
    }

    #[test]
    fn other_algorithms_are_refused() {
        assert!("sha1:0000000000000000000000000000000000000000".parse::<NarHash>().is_err());
        assert!("sha256-short".parse::<NarHash>().is_err());
    }

    proptest! {
        #[test]
        fn display_and_parse_are_inverse(digest: [u8; 32]) {
            let hash = NarHash::from_sha256(digest);
            prop_assert_eq!(hash.to_string().parse::<NarHash>().unwrap(), hash);
        }
    }
}
