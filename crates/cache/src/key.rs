//! Signing keys in Nix's own format: `name:base64`, of 64 bytes for the secret and 32 for the public half.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey};
use nix_narinfo::NixSignature;
use std::str::FromStr;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not `name:base64`.
    #[error("it is not a key as `nix-store --generate-binary-cache-key` writes it (name:base64)")]
    Format,
    /// The two halves do not belong together.
    #[error("its public half does not belong to its secret half")]
    Mismatch,
    /// The system gave no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
}

/// A secret signing key. It has no `Debug` and no `Display`: secrets are written to their file only.
#[derive(Clone)]
pub struct SecretKey {
    name: String,
    key: SigningKey,
}

impl SecretKey {
    /// Makes a key with a name that no other cache has: `narthex-<8 hex digits>-1`.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn generate() -> Result<Self, KeyError> {
        let mut bytes = [0u8; 36];
        getrandom::fill(&mut bytes).map_err(|error| KeyError::Random(error.to_string()))?;
        let (seed, mark) = bytes.split_first_chunk::<32>().ok_or(KeyError::Format)?;
        let mark: String = mark.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { name: format!("narthex-{mark}-1"), key: SigningKey::from_bytes(seed) })
    }

    /// The key's name, which stands before each of its signatures.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public half, as `trusted-public-keys` takes it.
    pub fn public(&self) -> String {
        format!("{}:{}", self.name, STANDARD.encode(self.key.verifying_key().as_bytes()))
    }

    /// The text of the secret key's file.
    pub fn to_secret_text(&self) -> String {
        format!("{}:{}", self.name, STANDARD.encode(self.key.to_keypair_bytes()))
    }

    pub(crate) fn sign(&self, fingerprint: &str) -> NixSignature {
        NixSignature {
            key_name: self.name.clone(),
            encoded: STANDARD.encode(self.key.sign(fingerprint.as_bytes()).to_bytes()),
        }
    }
}

impl FromStr for SecretKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, encoded) = text.trim().split_once(':').ok_or(KeyError::Format)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| KeyError::Format)?;
        let bytes: [u8; 64] = bytes.try_into().map_err(|_| KeyError::Format)?;
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(KeyError::Format);
        }
        let key = SigningKey::from_keypair_bytes(&bytes).map_err(|_| KeyError::Mismatch)?;
        Ok(Self { name: name.to_owned(), key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `nix-store --generate-binary-cache-key test-1` of Nix 2.8.
    const SECRET: &str = include_str!("../tests/golden/key.secret");
    const PUBLIC: &str = include_str!("../tests/golden/key.public");

    #[test]
    fn keys_of_nix_are_read() {
        let key: SecretKey = SECRET.parse().unwrap();
        assert_eq!(key.public(), PUBLIC.trim());
        assert_eq!(key.to_secret_text(), SECRET.trim());
    }

    #[test]
    fn made_keys_differ_and_are_read_again() {
        let (one, two) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        assert_ne!(one.name(), two.name());
        let again: SecretKey = one.to_secret_text().parse().unwrap();
        assert_eq!(again.public(), one.public());
    }

    #[test]
    fn other_texts_are_refused() {
        let wrong_half = format!("{}A{}", &SECRET[..SECRET.len() - 30], &SECRET[SECRET.len() - 29..]);
        for text in ["", "name", "name:AAAA", ":", &wrong_half] {
            assert!(text.parse::<SecretKey>().is_err(), "{text}");
        }
    }
}
