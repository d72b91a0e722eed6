//! How caches are reached: the settings of Nix that say so hold for our own requests as well.
//!
//! They are `netrc-file`, `ssl-cert-file`, `connect-timeout`, `stalled-download-timeout`, `download-attempts`,
//! `http-connections` and `user-agent-suffix`; proxies are those of the environment, which the HTTP library reads by
//! itself. Every answer has a bound in bytes and in time. It does not know what an answer says.

use crate::ClientError;
use crate::netrc::Netrc;
use crate::source::{SourceError, shown};
use narthex_nix::Nix;
use reqwest::header::RETRY_AFTER;
use reqwest::{RequestBuilder, Response, StatusCode};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// What holds where Nix sets no bound, or a larger one: what is asked for is a few KiB.
const CONNECT: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a server may make us wait before we ask again.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// How long it is before the second attempt; each further one waits twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// How requests are made.
#[derive(Clone)]
pub struct Connections {
    client: reqwest::Client,
    netrc: Arc<Netrc>,
    netrc_file: Option<PathBuf>,
    /// So long an answer may take from the request to its last byte.
    patience: Duration,
    attempts: u32,
    at_once: usize,
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connections").field("patience", &self.patience).finish_non_exhaustive()
    }
}

/// What a server answered.
pub(crate) enum Answer {
    /// The bytes that were asked for.
    Here(Vec<u8>),
    /// It does not have them.
    Absent,
    /// It does not give them to us. Stores that list nothing answer so for what they do not have.
    Refused(StatusCode),
}

impl Connections {
    /// Takes the settings of Nix. `certificates` is the file of the environment that says which authorities are trusted;
    /// a setting goes before it.
    ///
    /// # Errors
    /// When Nix cannot be asked, or a file that is named cannot be used.
    pub async fn of(nix: &Nix, certificates: Option<&Path>) -> Result<Self, ClientError> {
        let settings = nix.settings().await?;
        Self::from_settings(&|name| settings.get(name), certificates)
    }

    fn from_settings(get: &dyn Fn(&str) -> Option<String>, certificates: Option<&Path>) -> Result<Self, ClientError> {
        let text = |name: &str| get(name).filter(|text| !text.is_empty());
        let number = |name: &str| text(name).and_then(|text| text.parse::<u64>().ok()).filter(|number| *number > 0);
        let seconds = |name: &str, most: Duration| number(name).map_or(most, |n| Duration::from_secs(n).min(most));
        let mut agent = concat!("narthex/", env!("CARGO_PKG_VERSION")).to_owned();
        if let Some(suffix) = text("user-agent-suffix") {
            agent = format!("{agent} {suffix}");
        }
        let mut builder =
            reqwest::Client::builder().user_agent(&agent).connect_timeout(seconds("connect-timeout", CONNECT));
        let file = text("ssl-cert-file").map(PathBuf::from).or_else(|| certificates.map(Path::to_owned));
        if let Some(file) = file {
            let unusable = |why: String| ClientError::Setting { name: "ssl-cert-file", file: file.clone(), why };
            let bytes = std::fs::read(&file).map_err(|error| unusable(error.to_string()))?;
            let authorities =
                reqwest::Certificate::from_pem_bundle(&bytes).map_err(|error| unusable(error.to_string()))?;
            if authorities.is_empty() {
                return Err(unusable("it has no certificates in it".to_owned()));
            }
            builder = builder.tls_built_in_root_certs(false);
            builder = authorities.into_iter().fold(builder, reqwest::ClientBuilder::add_root_certificate);
        }
        let client = builder.build().map_err(ClientError::Http)?;
        let netrc_file = text("netrc-file").map(PathBuf::from);
        let netrc = match netrc_file.as_ref().map(std::fs::read) {
            Some(Ok(bytes)) => Netrc::read(&String::from_utf8_lossy(&bytes)),
            // Most machines have none, and what this user may not read, the daemon may.
            Some(Err(_)) | None => Netrc::default(),
        };
        let attempts = number("download-attempts").unwrap_or(5).min(5);
        let at_once = number("http-connections").unwrap_or(25).min(32);
        Ok(Self {
            client,
            netrc: Arc::new(netrc),
            netrc_file,
            patience: seconds("stalled-download-timeout", PATIENCE),
            attempts: u32::try_from(attempts).unwrap_or(1),
            at_once: usize::try_from(at_once).unwrap_or(1),
        })
    }

    /// How many requests go on at once.
    pub(crate) fn at_once(&self) -> usize {
        self.at_once
    }

    /// Where credentials would be.
    pub(crate) fn netrc_file(&self) -> Option<&Path> {
        self.netrc_file.as_deref()
    }

    /// Asks for an object of at most so many bytes. What may pass is tried again, as Nix does.
    pub(crate) async fn get(&self, url: &Url, most: usize) -> Result<Answer, SourceError> {
        let mut wait = FIRST_WAIT;
        for _ in 1..self.attempts {
            match self.attempt(url, most).await {
                Ok(answer) => return Ok(answer),
                Err((_, Again::After(named))) if named.is_none_or(|named| named <= LONGEST_WAIT) => {
                    tokio::time::sleep(named.unwrap_or(wait)).await;
                    wait *= 2;
                }
                Err((error, _)) => return Err(error),
            }
        }
        self.attempt(url, most).await.map_err(|(error, _)| error)
    }

    async fn attempt(&self, url: &Url, most: usize) -> Result<Answer, (SourceError, Again)> {
        let slow = || (SourceError::Slow { url: shown(url), seconds: self.patience.as_secs() }, Again::No);
        tokio::time::timeout(self.patience, self.whole(url, most)).await.unwrap_or_else(|_| Err(slow()))
    }

    async fn whole(&self, url: &Url, most: usize) -> Result<Answer, (SourceError, Again)> {
        let broken = |source: reqwest::Error| {
            let again = if source.is_connect() || source.is_redirect() || source.is_timeout() {
                Again::No
            } else {
                Again::After(None)
            };
            (SourceError::of(url, source), again)
        };
        let answer = |what: String| SourceError::Answer { url: shown(url), what };
        let mut response = self.with_login(url).send().await.map_err(broken)?;
        let status = response.status();
        match status.as_u16() {
            200 => {}
            404 | 410 => return Ok(Answer::Absent),
            401 | 403 | 407 => return Ok(Answer::Refused(status)),
            408 | 429 | 500 | 502..=504 | 506..=510 | 512.. => {
                return Err((answer(status.to_string()), Again::After(retry_after(&response))));
            }
            _ => return Err((answer(status.to_string()), Again::No)),
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > most {
                return Err((answer(format!("more than {most} bytes")), Again::No));
            }
        }
        Ok(Answer::Here(bytes))
    }

    fn with_login(&self, url: &Url) -> RequestBuilder {
        let request = self.client.get(url.clone());
        // What stands in the URL itself goes before the file.
        let login = url.host_str().filter(|_| url.username().is_empty()).and_then(|host| self.netrc.login(host));
        match login {
            Some(login) => request.basic_auth(&login.name, login.password.as_ref()),
            None => request,
        }
    }
}

/// Whether it is worth asking again.
enum Again {
    No,
    /// After a time, which the server may have named.
    After(Option<Duration>),
}

/// How many seconds the server wants us to wait. A date would have to be compared with a clock that may be wrong.
fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests;
