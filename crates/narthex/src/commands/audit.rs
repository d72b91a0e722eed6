//! `narthex audit`

use super::{Common, named};
use crate::cli::{Format, NamedArgs};
use crate::error::CommandError;
use crate::render;
use crate::settings;
use std::process::ExitCode;

pub(crate) async fn run(common: &Common, args: &NamedArgs) -> Result<ExitCode, CommandError> {
    let state = settings::corpus_state(common.state.as_deref());
    let corpus = narthex_farm::load_corpus(state.as_ref(), narthex_farm::Shipped::With)?;
    let mut targets: Vec<std::path::PathBuf> = Vec::new();
    if args.named.attrs.is_empty() {
        // Any file or folder may be audited, not only paths of the store.
        for name in &args.named.names {
            let path = std::path::PathBuf::from(name);
            if path.exists() && path.extension().is_none_or(|end| end != "drv") {
                targets.push(path);
            } else {
                let one = crate::cli::Named { names: vec![name.clone()], attrs: Vec::new() };
                targets.extend(named::store_paths(common, &one).await?.iter().map(|p| p.to_string().into()));
            }
        }
    } else {
        targets.extend(named::store_paths(common, &args.named).await?.iter().map(|p| p.to_string().into()));
    }
    if let Some(missing) = targets.iter().find(|path| !path.exists()) {
        return Err(CommandError::failed(format!("{} is not there", missing.display()))
            .hint("build it first, for instance with `nix-store --realise`"));
    }
    if corpus.size() == (0, 0) {
        render::note("the corpus is empty: nothing can be recognized; `narthex run` learns from restricted packages");
    }
    for (index, path) in targets.iter().enumerate() {
        let report = tokio::task::block_in_place(|| narthex_farm::audit_path(path.clone(), &corpus));
        match args.format {
            Format::Table => render::audit(path, &report, index > 0),
            Format::Json => render::audit_json(path, &report),
        }
    }
    Ok(ExitCode::SUCCESS)
}
