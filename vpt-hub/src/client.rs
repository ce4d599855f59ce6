//! [`Client`]: requests to the hub, which decides who gets the token.

use std::io::Read;
use std::time::Duration;

use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body, Proxy};

use crate::url::{Origin, join, shown};
use crate::{Hub, HubError, RepoId};

/// How often an answer may lead elsewhere.
const REDIRECTS: usize = 10;

/// The largest list of files that is read.
const LARGEST_ANSWER: u64 = 16 << 20;

/// Asks the hub for things of one repository.
pub(crate) struct Client<'a> {
    agent: Agent,
    endpoint: &'a str,
    origin: Origin,
    token: Option<&'a str>,
    repo: &'a RepoId,
}

impl<'a> Client<'a> {
    /// # Errors
    /// [`HubError::BadSetting`] for an endpoint or a token that cannot be one.
    pub(crate) fn new(hub: &'a Hub, repo: &'a RepoId) -> Result<Self, HubError> {
        let endpoint = hub.endpoint.trim_end_matches('/');
        let origin = Origin::of(endpoint).ok_or_else(|| HubError::BadSetting {
            name: "HF_ENDPOINT",
            reason: format!("is `{endpoint}`, expected an address like `https://huggingface.co`"),
        })?;
        let token = hub.token.as_deref();
        if token.is_some_and(|token| !token.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(HubError::BadSetting {
                name: "HF_TOKEN",
                reason: "holds spaces or letters that no token has".into(),
            });
        }
        let proxy = if hub.proxies { Proxy::try_from_env() } else { None };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Redirects are followed here, where it is known which hosts may see the token.
            .max_redirects(0)
            .proxy(proxy)
            .user_agent(concat!("vpt/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(hub.connect_timeout))
            .timeout_resolve(Some(hub.connect_timeout))
            // Large files take their time, silence is what ends a download.
            .timeout_per_read(Some(hub.idle_timeout.max(Duration::from_millis(1))))
            .timeout_per_write(Some(hub.idle_timeout.max(Duration::from_millis(1))))
            .build();
        Ok(Self {
            agent: config.into(),
            endpoint,
            origin,
            token,
            repo,
        })
    }

    /// An address of the hub.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.endpoint)
    }

    /// Asks for `url`, from byte `from` on, and follows where it leads.
    ///
    /// # Errors
    /// [`HubError::Network`] and [`HubError::Redirect`]; a bad status is none, see [`Self::check`].
    pub(crate) fn get(&self, url: &str, from: u64) -> Result<Response<Body>, HubError> {
        let mut url = url.to_owned();
        for _ in 0..=REDIRECTS {
            let response = self.get_once(&url, from)?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            let location = response.headers().get(header::LOCATION);
            let location = location
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned();
            let refused = |reason| HubError::Redirect {
                url: shown(&url).to_owned(),
                target: format!("`{}`", shown(&location)),
                reason,
            };
            let next = join(&url, &location).ok_or_else(|| refused("not an address that can be followed"))?;
            let secure = |url| Origin::of(url).is_some_and(|origin| origin.is_https());
            if secure(&url) && !secure(&next) {
                return Err(refused("that connection would not be encrypted"));
            }
            url = next;
        }
        Err(HubError::Redirect {
            url: shown(&url).to_owned(),
            target: "yet another address".into(),
            reason: "that happened too often",
        })
    }

    fn get_once(&self, url: &str, from: u64) -> Result<Response<Body>, HubError> {
        // Sizes and hashes are those of the file as it is, so it must not be packed on its way.
        let mut request = self.agent.get(url).header(header::ACCEPT_ENCODING, "identity");
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        if let Some(token) = self.token
            && Origin::of(url).as_ref() == Some(&self.origin)
        {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request.call().map_err(|error| HubError::Network {
            url: shown(url).to_owned(),
            reason: reason(&error),
        })
    }

    /// Turns an answer that refuses into the error that explains it.
    ///
    /// # Errors
    /// [`HubError::NotFound`], [`HubError::Refused`] and [`HubError::Status`].
    pub(crate) fn check(&self, response: &Response<Body>, url: &str) -> Result<(), HubError> {
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let url = shown(url).to_owned();
        let repo = self.repo.path();
        Err(match status {
            StatusCode::NOT_FOUND => HubError::NotFound {
                repo,
                revision: self.repo.revision().to_owned(),
                url,
            },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => HubError::Refused {
                page: self.url(&repo),
                repo,
                url,
                status: status.as_u16(),
                token: self.token.is_some(),
            },
            _ => HubError::Status {
                url,
                status: status.as_u16(),
            },
        })
    }

    /// The whole answer of `url`, which must not be long.
    ///
    /// # Errors
    /// Those of [`Self::get`] and [`Self::check`]; [`HubError::BadAnswer`] if it is too long.
    pub(crate) fn get_short(&self, url: &str) -> Result<Vec<u8>, HubError> {
        let response = self.get(url, 0)?;
        self.check(&response, url)?;
        let mut answer = Vec::new();
        let mut body = response.into_body().into_reader().take(LARGEST_ANSWER + 1);
        body.read_to_end(&mut answer).map_err(|error| HubError::Network {
            url: shown(url).to_owned(),
            reason: error.to_string(),
        })?;
        if answer.len() as u64 > LARGEST_ANSWER {
            return Err(HubError::BadAnswer {
                url: shown(url).to_owned(),
                reason: format!("it is longer than {} MiB", LARGEST_ANSWER >> 20),
            });
        }
        Ok(answer)
    }
}

/// What went wrong, without the words that only a programmer needs.
fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}
