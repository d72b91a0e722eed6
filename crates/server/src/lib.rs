//! The cache over HTTP: the objects, pages that say what is there, what is not, and why, and health.
//!
//! It reads and never writes: the folder of objects is a cache without it. It is the only crate that
//! speaks HTTP as a server. A withheld path answers 404 with a link to the reason: any other status
//! would end a Nix client's command.

mod connections;
mod limits;
mod objects;
mod page;
mod seats;

pub use limits::Limits;
pub use page::Page;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use narthex_cache::{Catalog, Folder};
use std::future::Future;
use std::sync::Arc;
use tokio::net::TcpListener;

/// One answered request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// `GET` or `HEAD`, mostly.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The status.
    pub status: u16,
}

/// What the server needs.
#[derive(Clone)]
pub struct Server {
    /// The objects.
    pub folder: Folder,
    /// The catalog, for the pages.
    pub catalog: Catalog,
    /// Public keys, as `trusted-public-keys` takes them.
    pub public_keys: Vec<String>,
    /// The address that clients use, for the page.
    pub url: String,
    /// Is told of every answer.
    pub log: Arc<dyn Fn(&Served) + Send + Sync>,
    /// What clients may take.
    pub limits: Limits,
}

impl Server {
    /// The path of the address that clients use, where it has one: `/cache` of `https://example.org/cache`.
    fn base_path(&self) -> &str {
        let after_scheme = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        after_scheme.find('/').map_or("", |at| after_scheme[at..].trim_end_matches('/'))
    }

    /// The routes, for a listener or a test.
    pub fn router(self) -> Router {
        Router::new()
            .route("/", get(front_page))
            .route("/path/{hash}", get(path_page))
            .route("/healthz", get(|| async { "ok\n" }))
            .fallback(objects::serve)
            .layer(middleware::from_fn_with_state(self.clone(), log))
            .with_state(self)
    }

    /// Serves until `stop` is there; then lets downloads end, for ten seconds at most.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let limits = self.limits;
        connections::serve(listener, self.router(), limits, stop).await
    }
}

async fn log(State(server): State<Server>, request: Request, next: Next) -> Response {
    let (method, target) = (request.method().to_string(), request.uri().to_string());
    let response = next.run(request).await;
    (server.log)(&Served { method, target, status: response.status().as_u16() });
    response
}

async fn front_page(State(server): State<Server>) -> Response {
    match server.catalog.all().await {
        Ok(records) => {
            let page = Page { records: &records, public_keys: &server.public_keys, url: &server.url };
            Html(page.render()).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn path_page(State(server): State<Server>, Path(hash): Path<String>) -> Response {
    match server.catalog.by_hash(&hash).await {
        Ok(Some(record)) => Html(page::path_page(&record)).into_response(),
        Ok(None) => (StatusCode::NOT_FOUND, Html(page::absent_path())).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// An answer that is the same for every object that is not there.
fn not_found(link: Option<String>) -> Response {
    let mut response = (StatusCode::NOT_FOUND, "not here\n").into_response();
    if let Some(link) = link.and_then(|link| link.parse().ok()) {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}

fn method_not_allowed() -> Response {
    let mut response = StatusCode::METHOD_NOT_ALLOWED.into_response();
    response.headers_mut().insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
    response
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

#[cfg(test)]
mod tests;
