//! What a scanner can say.

use crate::{Kin, Origin, Release};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Where in an output something was found: a file, and the way into the archives inside it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Path of the file below the output; empty where the output is itself a file.
    pub file: String,
    /// Names of nested archive members, outermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<String>,
}

impl Place {
    /// The innermost name: what the bytes themselves are called.
    pub fn innermost(&self) -> &str {
        self.members.last().unwrap_or(&self.file)
    }

    /// The place of a member inside this one.
    pub(crate) fn member(&self, name: String) -> Self {
        let mut place = self.clone();
        place.members.push(name);
        place
    }
}

impl fmt::Display for Place {
    /// `share/x.whl!nvidia/lib/libcudart.so.12`, with `.` for an output that is itself a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.file.is_empty() { "." } else { &self.file })?;
        // What was compressed by itself may have no name.
        for member in self.members.iter().filter(|member| !member.is_empty()) {
            write!(f, "!{member}")?;
        }
        Ok(())
    }
}

/// A section of a binary and how it compares with the original's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// The section's name, for instance `.dynstr`.
    pub name: String,
    /// Size in the original in bytes; absent where the original has no such section.
    pub original: Option<u64>,
    /// Size in the file that was found; absent where it has no such section.
    pub found: Option<u64>,
}

/// What was done to a copy, as far as its headers tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Change {
    /// Where libraries are looked for: `RPATH` or `RUNPATH`.
    Runpath {
        /// In the original.
        from: Vec<String>,
        /// In the copy.
        to: Vec<String>,
    },
    /// The dynamic linker.
    Interpreter {
        /// In the original.
        from: Option<String>,
        /// In the copy.
        to: Option<String>,
    },
    /// The name under which others link it.
    Soname {
        /// In the original.
        from: Option<String>,
        /// In the copy.
        to: Option<String>,
    },
    /// The libraries that it needs.
    Needed {
        /// In the original only.
        removed: Vec<String>,
        /// In the copy only.
        added: Vec<String>,
    },
    /// Symbols or debugging information are gone, as after `strip`.
    Stripped {
        /// The sections that are gone.
        sections: Vec<String>,
    },
    /// Bytes stand behind the file that are not the original's.
    Padded {
        /// How many.
        bytes: u64,
    },
    /// The file ends before the original does; what is there agrees.
    Truncated {
        /// How many bytes are missing.
        bytes: u64,
    },
    /// It is an edited text: so many of the passages by which the original is known are there.
    Passages {
        /// How many are in the file.
        found: u32,
        /// How many the corpus knows.
        known: u32,
    },
    /// The code itself differs: the file is of another version, or was patched.
    OtherCode {
        /// The sections of code that differ.
        sections: Vec<String>,
    },
    /// It is another build of the original: nothing differs but what each build has of its own, and what another
    /// original has so. Whether its vendor made it is not known.
    OtherBuild {
        /// The sections that differ.
        sections: Vec<String>,
    },
    /// Parts of the original are all that is left of it, or all that could be compared.
    Parts {
        /// Parts of which kind.
        parts: Parts,
        /// How many of them are there.
        found: u32,
        /// How many of them the corpus knows.
        known: u32,
        /// Why the file is a copy, and not something else that the parts are included in.
        form: Form,
    },
}

/// The parts by which a copy is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parts {
    /// Functions of a static archive.
    Functions,
    /// Entries of fatbin containers, or kernels where no entry agrees.
    DeviceCode,
    /// Chunks of a file's bytes.
    Chunks,
}

/// Why parts of an original make a copy: only a linked program or library that is something else includes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// They are in an object or an archive of objects, which no linker made something else of.
    NotLinked,
    /// They are in a file that is no program, library or object that can be read.
    Data,
    /// The library calls itself as the original does.
    SameName,
    /// Most of what the library exports is the original's interface.
    SameInterface,
    /// The program or library has hardly any other code.
    NothingElse,
    /// Its bytes are the original's to a large part, wherever they stand.
    Contents,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotLinked => "which is not linked",
            Self::Data => "which is no program or library",
            Self::SameName => "which has the original's name",
            Self::SameInterface => "which exports the original's interface",
            Self::NothingElse => "which has hardly any other code",
            Self::Contents => "which was edited, or is of a release that is not known",
        })
    }
}

impl Change {
    /// Whether it says that the file is another build, and nothing that it was changed.
    pub fn is_other_build(&self) -> bool {
        matches!(self, Self::OtherBuild { .. })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |items: &[String]| if items.is_empty() { "none".to_owned() } else { items.join(":") };
        let one = |item: &Option<String>| item.clone().unwrap_or_else(|| "none".to_owned());
        match self {
            Self::Runpath { from, to } => write!(f, "RPATH: {} → {}", list(from), list(to)),
            Self::Interpreter { from, to } => write!(f, "interpreter: {} → {}", one(from), one(to)),
            Self::Soname { from, to } => write!(f, "SONAME: {} → {}", one(from), one(to)),
            Self::Needed { removed, added } => write!(f, "NEEDED: without {}, with {}", list(removed), list(added)),
            Self::Stripped { sections } => write!(f, "stripped of {}", sections.join(", ")),
            Self::Padded { bytes: 1 } => f.write_str("1 byte behind its end"),
            Self::Padded { bytes } => write!(f, "{bytes} bytes behind its end"),
            Self::Truncated { bytes: 1 } => f.write_str("its last byte is missing"),
            Self::Truncated { bytes } => write!(f, "its last {bytes} bytes are missing"),
            Self::Passages { found, known } => {
                write!(f, "edited, or of a release that is not known: {found} of {known} passages agree")
            }
            Self::OtherCode { sections } => {
                write!(f, "other code in {}: another version, or patched", sections.join(", "))
            }
            Self::OtherBuild { sections } => {
                write!(
                    f,
                    "another build: only {} differs, and nothing that no other original explains",
                    sections.join(", ")
                )
            }
            Self::Parts { parts, found, known, form } => {
                let parts = match parts {
                    Parts::Functions => "functions",
                    Parts::DeviceCode => "pieces of device code",
                    Parts::Chunks => "chunks",
                };
                write!(f, "{found} of {known} {parts} are in the file, {form}")
            }
        }
    }
}

/// How much of one archive member was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberHits {
    /// The member's name.
    pub member: String,
    /// Functions of it that were found.
    pub functions_found: u32,
    /// Functions of it that the corpus knows.
    pub functions_known: u32,
}

/// Why something was not read to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gap {
    /// The file could not be opened or read.
    Unreadable(String),
    /// The archive is damaged, encrypted or uses a method that is not known.
    BrokenArchive(String),
    /// The archive is of a kind that this version does not open.
    UnsupportedArchive(String),
    /// Archives are nested deeper than the limit.
    TooDeep(usize),
    /// What an archive holds is larger than the limit, in bytes.
    TooLarge(u64),
    /// Archives have more members than the limit.
    TooMany(usize),
    /// Unpacked members would be larger than the limit for all that is in memory at once, in bytes.
    TooMuchMemory(u64),
    /// It has more marks of archives that lead nowhere than its size explains.
    TooManyMarks,
    /// So many bytes look encrypted or compressed, and nothing tells of what kind they are.
    Opaque(u64),
    /// The binary's headers contradict themselves.
    BrokenBinary(String),
    /// The file is made so that comparing it with what is known would not end.
    TooManyCandidates,
}

impl fmt::Display for Gap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(why) => write!(f, "cannot be read: {why}"),
            Self::BrokenArchive(why) => write!(f, "the archive cannot be read to its end: {why}"),
            Self::UnsupportedArchive(kind) => write!(f, "{kind} archives are not opened"),
            Self::TooDeep(depth) => write!(f, "archives are nested more than {depth} deep"),
            Self::TooLarge(bytes) => write!(f, "it unpacks to more than {bytes} bytes"),
            Self::TooMany(members) => write!(f, "it has more than {members} members"),
            Self::TooMuchMemory(bytes) => write!(f, "reading it takes more than {bytes} bytes of memory"),
            Self::TooManyMarks => write!(f, "it has more marks of archives that lead nowhere than its size explains"),
            Self::Opaque(bytes) => {
                write!(f, "{bytes} bytes look encrypted or compressed, and nothing tells of what kind they are")
            }
            Self::BrokenBinary(why) => write!(f, "the binary cannot be read: {why}"),
            Self::TooManyCandidates => f.write_str("too many places in it look like the begin of something known"),
        }
    }
}

/// By which of its names a library was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DriverSign {
    /// By the name of the file.
    FileName,
    /// By the name under which others link it.
    Soname,
}

/// What makes a file suspicious although the corpus has nothing that is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "sign", rename_all = "kebab-case")]
pub enum Sign {
    /// Strings that every known version of the library has and nothing else.
    Strings {
        /// How many of them are in the file.
        found: u32,
        /// How many the corpus knows.
        known: u32,
        /// Some of those that were found, at most 8.
        examples: Vec<String>,
    },
    /// The functions of the library's interface are defined here, and are no stubs.
    Interface {
        /// How many are defined.
        found: u32,
        /// Some of their names, at most 8.
        examples: Vec<String>,
    },
    /// The version resource of a PE file names the vendor and the product.
    VersionInfo {
        /// `CompanyName`.
        company: String,
        /// `ProductName`.
        product: String,
    },
    /// The version resource of a PE file names a vendor, and nothing else is known of the file: what it looks like is
    /// what it says of itself.
    Maker {
        /// Who is named.
        company: String,
        /// `ProductName`; empty where there is none.
        product: String,
    },
    /// The package's name says that a vendor made it, and so do the names and copyrights of most of its code.
    MadeBy {
        /// The vendor.
        vendor: String,
        /// Programs and libraries that say so.
        files: u32,
        /// How many of them state the vendor's copyright.
        copyrights: u32,
        /// Programs and libraries of which nothing else is known.
        of_files: u32,
        /// The bytes of those that say so, and of all.
        bytes: (u64, u64),
    },
    /// It has a name that only vendors' files have, and nothing that explains it.
    Name {
        /// The name.
        name: String,
        /// Whether the file has it, or others link the file under it.
        by: DriverSign,
    },
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Finding {
    /// The file is a restricted file, byte for byte.
    Copy {
        /// Where.
        place: Place,
        /// Of what.
        original: Origin,
        /// All published releases that have the file, where they are known; the original may be one of them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        releases: Vec<Release>,
    },
    /// The file holds the code or data of a restricted file, but is not that file.
    ModifiedCopy {
        /// Where.
        place: Place,
        /// Of what.
        original: Origin,
        /// Names of the distinctive sections that agree.
        same: Vec<String>,
        /// The sections that differ.
        changed: Vec<Section>,
        /// What was done to it.
        changes: Vec<Change>,
        /// Which other originals may be meant.
        #[serde(default, skip_serializing_if = "Kin::is_none")]
        kin: Kin,
    },
    /// Functions of a static archive are part of the binary.
    StaticCode {
        /// Where.
        place: Place,
        /// The archive; its `member` is absent.
        archive: Origin,
        /// Functions found, member by member.
        members: Vec<MemberHits>,
        /// Bytes of the binary that these functions cover.
        bytes_found: u64,
        /// Bytes of executable code in the binary.
        code_bytes: u64,
        /// Where they lie: address and end of the longest stretches, at most 16.
        ranges: Vec<(u64, u64)>,
        /// Which other originals may be meant.
        #[serde(default, skip_serializing_if = "Kin::is_none")]
        kin: Kin,
    },
    /// A vendor's code for GPUs is part of the file.
    DeviceCode {
        /// Where.
        place: Place,
        /// The library that it is from.
        original: Origin,
        /// Entries of fatbin containers that are the vendor's, bit for bit.
        entries_found: u32,
        /// Entries in the file in all.
        entries: u32,
        /// Bytes of the vendor's entries, as they are stored.
        bytes_found: u64,
        /// Bytes of device code in the file, as they are stored.
        device_bytes: u64,
        /// Kernels with names that only the vendor's library has.
        kernels_found: u32,
        /// Kernels in the file in all: the rest is what the package's own compiler made.
        kernels: u32,
        /// Some of the names that were found, at most 8.
        examples: Vec<String>,
        /// Which other originals may be meant.
        #[serde(default, skip_serializing_if = "Kin::is_none")]
        kin: Kin,
    },
    /// The file looks like a version of restricted material that the corpus lacks.
    Suspected {
        /// Where.
        place: Place,
        /// A known version of what it looks like; its own version is not known.
        like: Origin,
        /// Why.
        signs: Vec<Sign>,
    },
    /// A library of a GPU driver, which belongs to the machine that has the GPU.
    Driver {
        /// Where.
        place: Place,
        /// The library's name, for instance `libcuda.so.1`.
        library: String,
        /// How it was known.
        sign: DriverSign,
    },
    /// The binary links or opens shared libraries. An explanation, no suspicion.
    Dynamic {
        /// Where.
        place: Place,
        /// `NEEDED` entries, or the DLLs that a PE file imports.
        needed: Vec<String>,
        /// `RPATH` and `RUNPATH` entries.
        runpath: Vec<String>,
        /// Store paths that `runpath` leads to.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        store_paths: Vec<String>,
        /// Names of libraries that it may open while it runs.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        opens: Vec<String>,
    },
    /// The binary defines a vendor's interface by stubs that load the real library on first use. An
    /// explanation, no suspicion.
    Stub {
        /// Where.
        place: Place,
        /// The library whose interface it is.
        library: Origin,
        /// How many functions of the interface are defined.
        functions: u32,
        /// The longest of them in bytes.
        longest: u64,
    },
    /// The version resource of a PE file says which company made it. An explanation, no suspicion.
    Maker {
        /// Where.
        place: Place,
        /// `CompanyName`, or the copyright where there is none.
        company: String,
        /// `ProductName`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        product: Option<String>,
        /// `FileVersion`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<String>,
    },
    /// Something was not read to its end.
    #[serde(rename = "not-audited")]
    NotFullyAudited {
        /// Where.
        place: Place,
        /// Why.
        gap: Gap,
    },
}

impl Finding {
    /// Where it was found.
    pub fn place(&self) -> &Place {
        match self {
            Self::Copy { place, .. }
            | Self::ModifiedCopy { place, .. }
            | Self::StaticCode { place, .. }
            | Self::DeviceCode { place, .. }
            | Self::Suspected { place, .. }
            | Self::Driver { place, .. }
            | Self::Dynamic { place, .. }
            | Self::Stub { place, .. }
            | Self::Maker { place, .. }
            | Self::NotFullyAudited { place, .. } => place,
        }
    }

    /// The material that the finding speaks of.
    pub fn origin(&self) -> Option<&Origin> {
        match self {
            Self::Copy { original, .. } | Self::ModifiedCopy { original, .. } | Self::DeviceCode { original, .. } => {
                Some(original)
            }
            Self::StaticCode { archive, .. } => Some(archive),
            Self::Suspected { like, .. } => Some(like),
            Self::Stub { library, .. } => Some(library),
            Self::Driver { .. } | Self::Dynamic { .. } | Self::Maker { .. } | Self::NotFullyAudited { .. } => None,
        }
    }

    /// The stable name of its kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Copy { .. } => "copy",
            Self::ModifiedCopy { .. } => "modified-copy",
            Self::StaticCode { .. } => "static",
            Self::DeviceCode { .. } => "device-code",
            Self::Suspected { .. } => "suspected",
            Self::Driver { .. } => "driver",
            Self::Dynamic { .. } => "dynamic",
            Self::Stub { .. } => "stub",
            Self::Maker { .. } => "maker",
            Self::NotFullyAudited { .. } => "not-audited",
        }
    }

    /// Which other originals it may be about.
    pub fn kin(&self) -> Option<&Kin> {
        match self {
            Self::StaticCode { kin, .. } | Self::ModifiedCopy { kin, .. } | Self::DeviceCode { kin, .. } => Some(kin),
            _ => None,
        }
    }

    /// Whether it is another build of a known original, which nothing shows to be changed.
    pub fn is_other_build(&self) -> bool {
        matches!(self, Self::ModifiedCopy { changes, .. } if changes.iter().any(Change::is_other_build))
    }

    /// Whether it keeps a path from being published unless terms or the policy permit it. What could not be
    /// read counts as well.
    pub fn is_restricted(&self) -> bool {
        !matches!(self, Self::Dynamic { .. } | Self::Stub { .. } | Self::Maker { .. })
    }
}
