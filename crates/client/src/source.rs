//! Caches to read from: over HTTP, or a folder.

use narthex_cache::ObjectName;
use std::path::PathBuf;
use url::Url;

/// No object that is read whole is larger: narinfos and withheld entries are a few KiB.
const OBJECT_BYTES: usize = 16 << 20;

/// Why a cache gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The URL cannot be used.
    #[error("`{url}` is not the URL of a cache: {why}")]
    Url {
        /// The text.
        url: String,
        /// Why.
        why: String,
    },
    /// What answers there is no binary cache.
    #[error("{url} is not a Nix binary cache: {why}")]
    NotACache {
        /// The URL.
        url: String,
        /// What it answered instead.
        why: String,
    },
    /// It cannot be reached.
    #[error("{url} cannot be reached")]
    Unreachable {
        /// The URL.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// It answered an object with an error.
    #[error("{url} answered {what}")]
    Answer {
        /// The object's URL.
        url: String,
        /// The answer.
        what: String,
    },
    /// A file of the folder cannot be read.
    #[error("{} cannot be read", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A cache that answers as one.
#[derive(Clone, Debug)]
pub struct CacheSource {
    url: Url,
    access: Access,
}

#[derive(Clone, Debug)]
enum Access {
    Http(reqwest::Client),
    Folder(PathBuf),
}

impl CacheSource {
    /// Opens a cache by its URL (`http`, `https` or `file`) and makes sure that it is one.
    ///
    /// # Errors
    /// When the URL is of another kind, nobody answers, or the answer is not a cache's.
    pub async fn open(text: &str) -> Result<Self, SourceError> {
        let wrong = |why: &str| SourceError::Url { url: text.to_owned(), why: why.to_owned() };
        let mut url = Url::parse(text).map_err(|error| match error {
            url::ParseError::RelativeUrlWithoutBase => wrong("it does not begin with http://, https:// or file://"),
            other => wrong(&other.to_string()),
        })?;
        let access = match url.scheme() {
            "http" | "https" => {
                let client = reqwest::Client::builder()
                    .user_agent(concat!("narthex/", env!("CARGO_PKG_VERSION")))
                    .connect_timeout(std::time::Duration::from_secs(15))
                    .read_timeout(std::time::Duration::from_secs(60))
                    .build()
                    .map_err(|source| SourceError::Unreachable { url: text.to_owned(), source })?;
                Access::Http(client)
            }
            "file" => Access::Folder(url.to_file_path().map_err(|()| wrong("it names no folder"))?),
            _ => return Err(wrong("only http, https and file are read")),
        };
        // Objects are named relative to the URL, which `join` takes as a folder only with a slash.
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let source = Self { url, access };
        let info = source.get(&ObjectName::CacheInfo).await?;
        let not_a_cache = |why: String| SourceError::NotACache { url: source.url(), why };
        let Some(info) = info else {
            return Err(not_a_cache("it has no nix-cache-info".to_owned()));
        };
        let info = String::from_utf8_lossy(&info);
        match info.lines().find_map(|line| line.strip_prefix("StoreDir:")) {
            Some(store) if store.trim() == "/nix/store" => {}
            Some(store) => return Err(not_a_cache(format!("it is for the store {}", store.trim()))),
            None if info.trim_start().starts_with('<') => {
                return Err(not_a_cache("its nix-cache-info is a web page".to_owned()));
            }
            None => return Err(not_a_cache("its nix-cache-info has no StoreDir".to_owned())),
        }
        Ok(source)
    }

    /// The URL as Nix takes it, without a slash at its end.
    pub fn url(&self) -> String {
        self.url.as_str().trim_end_matches('/').to_owned()
    }

    /// Reads a small object; `None` where the cache does not have it.
    ///
    /// # Errors
    /// When the cache cannot be asked. Like Nix, 401, 403, 404 and 410 are taken for "not here".
    pub async fn get(&self, name: &ObjectName) -> Result<Option<Vec<u8>>, SourceError> {
        match &self.access {
            Access::Folder(root) => {
                let path = root.join(name.to_string());
                match tokio::fs::read(&path).await {
                    Ok(bytes) => Ok(Some(bytes)),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                    Err(source) => Err(SourceError::File { path, source }),
                }
            }
            Access::Http(client) => {
                let url = self
                    .url
                    .join(&name.to_string())
                    .map_err(|error| SourceError::Url { url: self.url.to_string(), why: error.to_string() })?;
                let unreachable = |source| SourceError::Unreachable { url: self.url(), source };
                let mut response = client.get(url.clone()).send().await.map_err(unreachable)?;
                let answer = |what: String| SourceError::Answer { url: url.to_string(), what };
                match response.status().as_u16() {
                    200 => {}
                    401 | 403 | 404 | 410 => return Ok(None),
                    _ => return Err(answer(response.status().to_string())),
                }
                let mut bytes = Vec::new();
                while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
                    bytes.extend_from_slice(&chunk);
                    if bytes.len() > OBJECT_BYTES {
                        return Err(answer(format!("more than {OBJECT_BYTES} bytes")));
                    }
                }
                Ok(Some(bytes))
            }
        }
    }
}
