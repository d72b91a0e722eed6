//! Caches to read from: over HTTP, or a folder.

use crate::connection::{Answer, Connections};
use narthex_cache::ObjectName;
use reqwest::StatusCode;
use std::path::{Path, PathBuf};
use url::Url;

/// So many bytes an object may have. A narinfo names what its path refers to, which can be thousands of paths.
fn most_bytes(name: &ObjectName) -> usize {
    match name {
        ObjectName::CacheInfo => 64 << 10,
        ObjectName::Narinfo(_) => 4 << 20,
        _ => 16 << 20,
    }
}

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
    /// It does not let us in.
    #[error("{url} does not let us in: it answered {status}{}", credentials(.netrc.as_deref()))]
    Denied {
        /// The URL.
        url: String,
        /// The answer.
        status: StatusCode,
        /// Where Nix looks for credentials.
        netrc: Option<PathBuf>,
    },
    /// It takes too long.
    #[error("{url} did not answer within {seconds} s")]
    Slow {
        /// The URL.
        url: String,
        /// How long we waited.
        seconds: u64,
    },
    /// It gave no answer earlier, and was not asked again.
    #[error("{why}")]
    Gone {
        /// What happened then.
        why: String,
    },
    /// It broke off, or does not speak HTTP.
    #[error("{url} gave no whole answer")]
    BrokeOff {
        /// The URL.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
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

/// Whether there is something to log in with.
fn credentials(netrc: Option<&Path>) -> String {
    match netrc {
        Some(file) if !file.exists() => format!(", and there is no {}", file.display()),
        Some(file) if std::fs::File::open(file).is_err() => format!(", and {} cannot be read", file.display()),
        _ => String::new(),
    }
}

impl SourceError {
    pub(crate) fn of(url: &Url, source: reqwest::Error) -> Self {
        // The library's own text repeats the URL, with a password that may be in it.
        let (url, source) = (shown(url), source.without_url());
        if source.is_redirect() {
            return Self::Answer { url, what: "redirects without end".to_owned() };
        }
        if source.is_connect() || source.is_builder() || source.is_timeout() {
            return Self::Unreachable { url, source };
        }
        Self::BrokeOff { url, source }
    }

    /// Whether it is of no use to ask the same cache for something else.
    pub(crate) fn is_about_the_cache(&self) -> bool {
        match self {
            Self::Answer { .. } | Self::File { .. } => false,
            Self::Url { .. }
            | Self::NotACache { .. }
            | Self::Denied { .. }
            | Self::Slow { .. }
            | Self::Gone { .. }
            | Self::BrokeOff { .. }
            | Self::Unreachable { .. } => true,
        }
    }

    /// Whether it says nothing of the cache, which may be of a kind that only Nix reads.
    pub(crate) fn is_about_the_url(&self) -> bool {
        matches!(self, Self::Url { .. })
    }
}

/// A URL without the password that may stand in it.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    if url.password().is_some() {
        let _ = url.set_password(Some("…"));
    }
    url.as_str().trim_end_matches('/').to_owned()
}

/// A cache that answers as one.
#[derive(Clone, Debug)]
pub struct CacheSource {
    url: Url,
    access: Access,
}

#[derive(Clone, Debug)]
enum Access {
    Http(Connections),
    Folder(PathBuf),
}

/// What a cache says of an object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The object.
    Here(Vec<u8>),
    /// It is not there.
    Absent,
    /// The cache does not say whether it is there. Stores that list nothing say so of what they do not have.
    Refused,
}

impl CacheSource {
    /// Opens a cache by its URL (`http`, `https` or `file`) and makes sure that it is one.
    ///
    /// # Errors
    /// When the URL is of another kind, nobody answers, or the answer is not a cache's.
    pub async fn open(text: &str, connections: &Connections) -> Result<Self, SourceError> {
        let wrong = |why: &str| SourceError::Url { url: text.to_owned(), why: why.to_owned() };
        let mut url = Url::parse(text).map_err(|error| match error {
            url::ParseError::RelativeUrlWithoutBase => wrong("it does not begin with http://, https:// or file://"),
            other => wrong(&other.to_string()),
        })?;
        let access = match url.scheme() {
            "http" | "https" => Access::Http(connections.clone()),
            "file" => Access::Folder(url.to_file_path().map_err(|()| wrong("it names no folder"))?),
            _ => return Err(wrong("only http, https and file are read")),
        };
        // Objects are named relative to the URL, which `join` takes as a folder only with a slash.
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let source = Self { url, access };
        let info = source.ask(&ObjectName::CacheInfo).await?;
        let not_a_cache = |why: String| SourceError::NotACache { url: source.shown(), why };
        let info = match info {
            Answer::Here(info) => String::from_utf8_lossy(&info).into_owned(),
            Answer::Absent => return Err(not_a_cache("it has no nix-cache-info".to_owned())),
            Answer::Refused(status) => {
                let netrc = connections.netrc_file().map(Path::to_owned);
                return Err(SourceError::Denied { url: source.shown(), status, netrc });
            }
        };
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

    /// The same for people: without a password.
    pub(crate) fn shown(&self) -> String {
        shown(&self.url)
    }

    /// What the cache says of a small object.
    ///
    /// # Errors
    /// When the cache cannot be asked, or its answer cannot be used.
    pub(crate) async fn find(&self, name: &ObjectName) -> Result<Found, SourceError> {
        Ok(match self.ask(name).await? {
            Answer::Here(bytes) => Found::Here(bytes),
            Answer::Absent => Found::Absent,
            Answer::Refused(_) => Found::Refused,
        })
    }

    async fn ask(&self, name: &ObjectName) -> Result<Answer, SourceError> {
        match &self.access {
            Access::Folder(root) => {
                let path = root.join(name.to_string());
                match tokio::fs::read(&path).await {
                    Ok(bytes) => Ok(Answer::Here(bytes)),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Answer::Absent),
                    Err(source) => Err(SourceError::File { path, source }),
                }
            }
            Access::Http(connections) => {
                let url = self
                    .url
                    .join(&name.in_url())
                    .map_err(|error| SourceError::Url { url: self.shown(), why: error.to_string() })?;
                // Where nobody answers, it does not matter what was asked for.
                connections.get(&url, most_bytes(name)).await.map_err(|error| match error {
                    SourceError::Unreachable { source, .. } => SourceError::Unreachable { url: self.shown(), source },
                    other => other,
                })
            }
        }
    }
}
