//! Objects of the cache, with byte ranges.

use crate::{Server, is_read, method_not_allowed, not_found};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use narthex_cache::ObjectName;
use percent_encoding::percent_decode_str;
use tower::ServiceExt;
use tower_http::services::ServeFile;

/// Serves the object that the path names; names that no cache has do not exist.
pub(crate) async fn serve(State(server): State<Server>, request: Request) -> Response {
    if !is_read(request.method()) {
        return method_not_allowed();
    }
    let names = names(request.uri());
    let Some(mut name) = names.first() else {
        return not_found(None);
    };
    for one in &names {
        match tokio::fs::try_exists(server.folder.path_of(one)).await {
            Ok(true) => {
                name = one;
                break;
            }
            Ok(false) if one == &names[names.len() - 1] => {
                return not_found(reason_for_absence(&server, name).await);
            }
            Ok(false) => {}
            Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
        }
    }
    let path = server.folder.path_of(name);
    match ServeFile::new(&path).oneshot(request).await {
        Ok(response) => {
            let mut response = response.map(Body::new);
            if response.status().is_success() {
                let kind = HeaderValue::from_static(name.content_type());
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
            }
            response
        }
        Err(never) => match never {},
    }
}

/// The objects that an address may mean. Names of logs may have a `?`, which Nix up to 2.30 sends as it is, so that what
/// follows arrives as a query; it is part of the name where there is such a log.
fn names(uri: &Uri) -> Vec<ObjectName> {
    let read = |text: &str| {
        let text = percent_decode_str(text).decode_utf8().ok()?;
        ObjectName::parse(text.trim_start_matches('/'))
    };
    let with_query = uri.query().and_then(|query| read(&format!("{}?{query}", uri.path())));
    with_query.into_iter().chain(read(uri.path())).collect()
}

/// Links to the withheld entry of a path whose narinfo or listing was asked for, and to its page.
async fn reason_for_absence(server: &Server, name: &ObjectName) -> Option<String> {
    let (ObjectName::Narinfo(hash) | ObjectName::Listing(hash)) = name else { return None };
    let entry = ObjectName::Withheld(hash.clone());
    let there = tokio::fs::try_exists(server.folder.path_of(&entry)).await.unwrap_or(false);
    let base = server.base_path();
    there.then(|| {
        format!(
            "<{base}/{entry}>; rel=\"describedby\"; type=\"application/json\", \
             <{base}/path/{hash}>; rel=\"describedby\"; type=\"text/html\""
        )
    })
}
