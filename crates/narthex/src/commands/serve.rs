//! `narthex serve`

use super::Common;
use crate::cli::ServeArgs;
use crate::error::CommandError;
use crate::render;
use crate::settings;
use narthex_cache::{Catalog, Folder};
use narthex_server::{Limits, Server};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

pub(crate) async fn run(common: &Common, args: &ServeArgs) -> Result<ExitCode, CommandError> {
    let cannot_listen = |error: std::io::Error| {
        let made = CommandError::failed(format!("cannot listen on {}", args.listen)).caused_by(&error);
        match error.kind() {
            std::io::ErrorKind::AddrInUse => made.hint("stop what listens there, or give --listen another port"),
            std::io::ErrorKind::PermissionDenied => made.hint("give --listen a port from 1024 on"),
            _ => made.hint("give --listen an address of this machine and a free port"),
        }
    };
    let listener = TcpListener::bind(args.listen).await.map_err(cannot_listen)?;
    let state = settings::existing_state(common.state.as_deref())?;
    let catalog = Catalog::open_read_only(&state.catalog()).await?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    let url = args.url.clone().unwrap_or_else(|| format!("http://{address}"));
    let server = Server {
        folder: Folder::existing(state.objects(), state.staging()),
        catalog: catalog.clone(),
        public_keys: state.public_keys()?,
        url: url.trim_end_matches('/').to_owned(),
        log: Arc::new(render::served),
        limits: Limits::for_open_files(narthex_nix::raise_open_files()),
    };
    let cannot_wait = |error: std::io::Error| CommandError::failed("cannot wait for signals").caused_by(&error);
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot_wait)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot_wait)?;
    render::serving(&server.url, &server.public_keys);
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        render::note("stopping");
    };
    server.serve(listener, stop).await.map_err(|error| CommandError::failed("the server stopped").caused_by(&error))?;
    catalog.close().await;
    Ok(ExitCode::SUCCESS)
}
