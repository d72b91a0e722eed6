//! The evidence for one file down to functions and addresses.

use crate::binary;
use crate::corpus::{Corpus, Origin};
use crate::functions;
use crate::loader::Layout;
use serde::{Deserialize, Serialize};

/// A function of restricted material, found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FunctionHit {
    /// Address of its first byte, as the file's headers have it.
    pub address: u64,
    /// Address behind its last byte.
    pub end: u64,
    /// Bytes that no relocation patches, and that therefore agree.
    pub bytes_compared: u32,
    /// An archive and member that have it; others may have it as well.
    pub origin: Origin,
}

/// Every function of the corpus that stands in a binary, by address, whether it is enough to accuse anybody
/// or not. Nothing where the bytes are no binary, or one that cannot be read.
pub fn function_hits(bytes: &[u8], corpus: &Corpus) -> Vec<FunctionHit> {
    let Some(Ok(file)) = binary::parse(bytes, None) else { return Vec::new() };
    let layout = Layout::of(&file, bytes.len());
    let mut hits: Vec<FunctionHit> = (functions::look(&[(0, bytes)], corpus).hits.into_iter())
        .filter_map(|hit| {
            let (layer, owners) = corpus.owners(hit.function, &corpus.function(hit.function));
            let (archive, member, _) = corpus.member(layer, *owners.first()?);
            let origin = corpus.origin(archive, Some(member.to_owned()))?;
            let address = layout.address(hit.range.0);
            let end = address.saturating_add(hit.range.1 - hit.range.0);
            Some(FunctionHit { address, end, bytes_compared: hit.unmasked, origin })
        })
        .collect();
    hits.sort();
    hits.dedup_by_key(|hit| (hit.address, hit.end));
    hits
}
