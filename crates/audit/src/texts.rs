//! License texts in a package, and the hash by which a text is known again.
//!
//! Which license a text is, and what that means, is not decided here.

use crate::finding::Place;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// SHA-256 of a text in its normal form, so that a text that was only laid out anew is the same text.
///
/// The normal form is made of bytes, since not every vendor's text is UTF-8:
///
/// 1. One UTF-8 byte order mark at the beginning is left out.
/// 2. Each run of spaces, tabs, line feeds, vertical tabs, form feeds and carriage returns becomes one space.
/// 3. At the beginning and at the end there is none.
///
/// All else counts as it is: letters in upper and lower case, quotation marks, no-break spaces. It goes no further
/// because nothing that vendors ship asks for more: of Intel's license for developer tools, one release has two
/// files, one with a mark and CRLF and one without, and they are this same text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TextHash([u8; 32]);

impl TextHash {
    /// The hash of a text, given as it is in its file.
    pub fn of(text: &[u8]) -> Self {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let mut hash = Sha256::new();
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
        for (number, word) in text.split(blank).filter(|word| !word.is_empty()).enumerate() {
            if number > 0 {
                hash.update(b" ");
            }
            hash.update(word);
        }
        Self(hash.finalize().into())
    }
}

impl fmt::Display for TextHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TextHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TextHash({self})")
    }
}

/// What is no hash of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 hash has 64 digits, 0 to 9 and a to f")]
pub struct NoTextHash;

impl FromStr for TextHash {
    type Err = NoTextHash;

    fn from_str(text: &str) -> Result<Self, NoTextHash> {
        let digits = text.as_bytes();
        let mut hash = [0; 32];
        if digits.len() != 64 {
            return Err(NoTextHash);
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            for digit in pair {
                let value = match digit {
                    b'0'..=b'9' => digit - b'0',
                    b'a'..=b'f' => digit - b'a' + 10,
                    _ => return Err(NoTextHash),
                };
                *byte = *byte << 4 | value;
            }
        }
        Ok(Self(hash))
    }
}

impl Serialize for TextHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TextHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A file of a package that is a license text by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenseText {
    /// Where it lies.
    pub place: Place,
    /// What it says.
    pub sha256: TextHash,
}

/// Whether a file is a license text by its name: one of the words in it is `license`, `licence` or `eula`, in
/// upper or lower case, and it ends as texts do or in nothing. `third-party-licenses.txt` is none: such files
/// are about others' software.
pub(crate) fn is_license_text(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file).to_ascii_lowercase();
    let (stem, ending) = name.rsplit_once('.').unwrap_or((&name, ""));
    ["", "txt", "md", "rst", "html", "htm", "pdf", "rtf"].contains(&ending)
        && stem.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| ["license", "licence", "eula"].contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_the_same_however_it_is_laid_out() {
        let check = |one: &[u8], two: &[u8], same: bool| {
            assert_eq!(TextHash::of(one) == TextHash::of(two), same, "{one:?} {two:?}");
        };
        let text = b"You may\ncopy it.\n";
        check(text, b"You may\r\ncopy it.\r\n", true);
        check(text, b"\xef\xbb\xbfYou may\ncopy it.", true);
        check(text, b"\n  You   may\t\x0b\x0c copy it.  \n\n", true);
        check(text, b"You may not copy it.\n", false);
        check(text, b"You may copyit.", false);
        check(text, b"you may copy it.", false);
        // Only the first mark is none of the text, and a no-break space is no layout.
        check(text, b"\xef\xbb\xbf\xef\xbb\xbfYou may copy it.", false);
        check(text, b"You\xc2\xa0may copy it.", false);
        check(b"", b" \n", true);
        // Known from elsewhere: the hash of nothing, and of `a b`.
        let known = |text: &[u8], hash: &str| assert_eq!(TextHash::of(text).to_string(), hash);
        known(b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        known(b" a \r\n b", "c8687a08aa5d6ed2044328fa6a697ab8e96dc34291e8c2034ae8c38e6fcc6d65");
    }

    #[test]
    fn a_hash_is_written_as_it_is_read() {
        let hash = TextHash::of(b"x");
        assert_eq!(hash.to_string().parse(), Ok(hash));
        for wrong in ["", "00", &hash.to_string().to_uppercase(), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(wrong.parse::<TextHash>(), Err(NoTextHash), "{wrong}");
        }
    }

    #[test]
    fn a_report_has_the_license_texts_of_the_package() {
        use crate::{AuditFile, Contents, Corpus, Limits, audit};
        let file = |path: &str, contents| AuditFile { path: path.to_owned(), contents };
        let files = [
            file("bin/x", Contents::Bytes(b"You may copy it.")),
            file("doc/LICENSE", Contents::Bytes(b"You may\ncopy it.\n")),
            file("LICENSE.txt", Contents::Unreadable("gone".to_owned())),
        ];
        let report = audit(&files, &Corpus::new(Vec::new()), Limits::default());
        let place = Place { file: "doc/LICENSE".to_owned(), members: Vec::new() };
        let text = LicenseText { place, sha256: TextHash::of(b"You may copy it.") };
        assert_eq!(report.texts, [text]);
        // What cannot be read is a gap, and nothing is said of it as a text.
        assert_eq!(report.findings.len(), 1);
    }

    #[test]
    fn license_texts_by_their_names() {
        let check = |file: &str, expected: bool| assert_eq!(is_license_text(file), expected, "{file}");
        for name in [
            "License.txt",
            "share/doc/LICENSE",
            "nvidia_nccl_cu12-2.27.3.dist-info/licenses/License.txt",
            "licensing/compiler/Intel Developer Tools EULA",
            "EULA.txt",
            "eula.html",
            "LICENCE.md",
            "cudnn_license.txt",
        ] {
            check(name, true);
        }
        for name in [
            "",
            "third-party-licenses.txt",
            "NOTICE",
            "license.py",
            "liblicense.so.1",
            "licenses/x.txt",
            "bin/licensed",
        ] {
            check(name, false);
        }
    }
}
