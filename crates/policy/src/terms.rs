//! Terms: what a license allows file by file. They are data, read from TOML.

use crate::read::{Mistake, Reader};
use globset::{Glob, GlobSet, GlobSetBuilder};
use narthex_audit::Origin;

/// Files that a clause lists.
#[derive(Clone, Debug)]
struct Listing {
    clause: String,
    files: GlobSet,
}

/// The terms of one license.
#[derive(Clone, Debug)]
pub struct Terms {
    id: String,
    title: String,
    licenses: Vec<String>,
    modified: bool,
    modified_clause: String,
    standalone: bool,
    standalone_clause: String,
    conditions: Vec<String>,
    accompanying: GlobSet,
    distributable: Vec<Listing>,
}

/// What the terms say of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing<'t> {
    /// It may be distributed; the clause says so.
    Listed(&'t str),
    /// A license text or package metadata, which is no part of the software.
    Accompanying,
    /// The terms do not name it.
    NotListed,
}

impl Terms {
    /// Reads a terms file.
    ///
    /// # Errors
    /// All mistakes in it, each with line and column.
    pub fn parse(text: &str) -> Result<Self, Vec<Mistake>> {
        const KNOWN: [&str; 11] = [
            "version",
            "id",
            "title",
            "licenses",
            "modified",
            "modified-clause",
            "standalone",
            "standalone-clause",
            "conditions",
            "accompanying",
            "distributable",
        ];
        Reader::run(text, |reader, root| {
            let fields = reader.fields(root.get_ref(), &KNOWN);
            let version = reader.required(&fields, "version", 0..0).and_then(|v| reader.version_one(v));
            let [id, title, modified_clause, standalone_clause] =
                ["id", "title", "modified-clause", "standalone-clause"]
                    .map(|name| reader.required(&fields, name, 0..0).and_then(|v| reader.string(v)));
            let [modified, standalone] = ["modified", "standalone"]
                .map(|name| reader.required(&fields, name, 0..0).and_then(|v| reader.bool(v)));
            let [licenses, conditions] = ["licenses", "conditions"]
                .map(|name| reader.required(&fields, name, 0..0).and_then(|v| reader.strings(v)));
            let accompanying = reader.required(&fields, "accompanying", 0..0).and_then(|v| patterns(reader, v));
            let distributable = reader.required(&fields, "distributable", 0..0).and_then(|value| {
                let items = reader.array(value)?;
                items
                    .into_iter()
                    .map(|item| {
                        let table = reader.table(item)?;
                        let inner = reader.fields(table, &["clause", "files"]);
                        let clause = reader.required(&inner, "clause", item.span()).and_then(|v| reader.string(v));
                        let files = reader.required(&inner, "files", item.span()).and_then(|v| patterns(reader, v));
                        Some(Listing { clause: clause?, files: files? })
                    })
                    .collect::<Option<Vec<_>>>()
            });
            let () = version?;
            Some(Self {
                id: id?,
                title: title?,
                licenses: licenses?,
                modified: modified?,
                modified_clause: modified_clause?,
                standalone: standalone?,
                standalone_clause: standalone_clause?,
                conditions: conditions?,
                accompanying: accompanying?,
                distributable: distributable?,
            })
        })
    }

    /// The stable name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The title of the license text.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Under which conditions what is listed may be distributed.
    pub fn conditions(&self) -> &[String] {
        &self.conditions
    }

    /// Whether these terms stand behind a license, given by its nixpkgs attribute.
    pub fn covers(&self, license: &str) -> bool {
        self.licenses.iter().any(|covered| covered == license)
    }

    /// `None` where modified files may be distributed, else the clause that forbids it.
    pub(crate) fn forbids_modification(&self) -> Option<&str> {
        (!self.modified).then_some(&self.modified_clause)
    }

    /// `None` where files may be distributed by themselves, else the clause that forbids it.
    pub(crate) fn forbids_standalone(&self) -> Option<&str> {
        (!self.standalone).then_some(&self.standalone_clause)
    }

    /// What they say of a file by its name, without folders.
    pub(crate) fn standing(&self, file_name: &str) -> Standing<'_> {
        if self.accompanying.is_match(file_name) {
            return Standing::Accompanying;
        }
        let listing = self.distributable.iter().find(|listing| listing.files.is_match(file_name));
        listing.map_or(Standing::NotListed, |listing| Standing::Listed(&listing.clause))
    }

    /// What they say of the original of something that was found. A member stands as its archive does.
    pub(crate) fn standing_of(&self, origin: &Origin) -> Standing<'_> {
        self.standing(origin.file_name())
    }
}

fn patterns<'a>(reader: &mut Reader<'a>, value: &crate::read::Value<'a>) -> Option<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for item in reader.array(value)? {
        let text = reader.string(item)?;
        match Glob::new(&text) {
            Ok(glob) => {
                set.add(glob);
            }
            Err(error) => {
                reader.mistake(item.span(), format!("`{text}` is no file pattern: {}", error.kind()));
                return None;
            }
        }
    }
    match set.build() {
        Ok(set) => Some(set),
        Err(error) => {
            reader.mistake(value.span(), format!("the patterns cannot be used together: {error}"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shipped;

    fn cuda() -> Terms {
        Terms::parse(shipped::TERMS[0].1).unwrap()
    }

    #[test]
    fn attachment_a_file_by_file() {
        let check = |name: &str, listed: bool| {
            assert_eq!(matches!(cuda().standing(name), Standing::Listed(_)), listed, "{name}");
        };
        for name in [
            "libcudart.so",
            "libcudart.so.12",
            "libcudart_static.a",
            "libcudadevrt.a",
            "libculibos.a",
            "libcublasLt.so.12",
            "libnppial_static.a",
            "libdevice.10.bc",
            "cuda_fp16.hpp",
            "libnvvm.so",
            "cudart.dll",
            "cudart64_12.dll",
            "cudart32_110.dll",
            "cudart_static.lib",
            "cublasLt64_13.dll",
            "nppidei64_12.dll",
            "nvrtc64_120_0.dll",
            "nvrtc-builtins64_129.dll",
            "cupti64_2025.2.1.dll",
        ] {
            check(name, true);
        }
        for name in [
            "ptxas",
            "nvcc",
            "nvlink",
            "cudafe++",
            "libcupti_static.a",
            "libnvptxcompiler_static.a",
            "libnvJitLink.so.12",
            "libcufile.so.0",
            "libcusolverMg.so.11",
            "cuda_runtime_api.h",
            "libcudart.so12",
            // Of Windows, the import library of the runtime and the library for JPEG are not in the list.
            "cudart.lib",
            "cuda.lib",
            "nvjpeg64_12.dll",
            "nvrtc64_120_0.alt.dll",
            "cusolverMg64_11.dll",
            "nvcuda.dll",
        ] {
            check(name, false);
        }
        assert_eq!(cuda().standing("License.txt"), Standing::Accompanying);
    }

    #[test]
    fn an_unknown_key_and_a_bad_pattern_are_mistakes() {
        let text = shipped::TERMS[0]
            .1
            .replace("standalone = false", "standalone = false\nalone = 1")
            .replace("\"METADATA\"", "\"[\"");
        let shown = Terms::parse(&text).unwrap_err().iter().map(Mistake::to_string).collect::<Vec<_>>().join("\n");
        assert!(shown.contains("`alone` is not known here"), "{shown}");
        assert!(shown.contains("`[` is no file pattern"), "{shown}");
    }
}
