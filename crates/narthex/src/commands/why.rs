//! `narthex why`

use super::{Common, named};
use crate::cli::{Format, NamedArgs};
use crate::error::CommandError;
use crate::render;
use crate::settings;
use narthex_cache::Catalog;
use std::process::ExitCode;

pub(crate) async fn run(common: &Common, args: &NamedArgs) -> Result<ExitCode, CommandError> {
    let paths = named::store_paths(common, &args.named).await?;
    let state = settings::existing_state(common.state.as_deref())?;
    let catalog = Catalog::open_read_only(&state.catalog()).await?;
    let mut records = Vec::new();
    for path in &paths {
        let record = catalog.get(path).await?.ok_or_else(|| {
            CommandError::failed(format!("nothing was decided about {path}"))
                .hint("`narthex run` decides; the state folder may be another one: see --state")
        })?;
        records.push(record);
    }
    for (index, record) in records.iter().enumerate() {
        match args.format {
            Format::Table => render::why(record, index > 0),
            Format::Json => render::record_json(record, None),
        }
    }
    Ok(ExitCode::SUCCESS)
}
