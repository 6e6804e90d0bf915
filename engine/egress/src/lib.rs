//! Heddle's way out: the only crate that sends to the outside.
//!
//! A plugin names a request and never sees a secret. [`Egress::send`] checks the request
//! ([`MAX_HEADERS`] and its like), checks its host against the connection's [`Grant`], applies the
//! connection's credentials over the exact bytes that leave, sends, and removes the secrets from
//! whatever comes back.
//!
//! - **Only https**, unless the operator allows http. Any port: receivers live on many, and the
//!   address guard, not the port, is what keeps requests out of the operator's network.
//! - **Only public addresses**, unless the operator opens a network. Literal addresses are checked
//!   in the parser's spelling; names are resolved at dial time, and the vetted addresses are the
//!   ones dialed.
//! - **No redirects, no proxy, no cookies.** A 3xx is a reply like others.
//! - **Tokens** that stand for a secret for a while are fetched, kept and renewed here, by the same
//!   way out.
//! - **One deadline** over connecting, sending and the whole body; the body is capped after
//!   decompression.

mod credential;
mod error;
mod grant;
mod guard;
mod host;
mod redact;
mod request;
mod resolve;
mod room;
mod route;
mod sign;
mod token;
mod turn;
mod wire;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use heddle_core::exchange::{Header, Reply, Request};
use heddle_core::time::Timestamp;
use http::{HeaderMap, HeaderValue, Method, header};
pub use ipnet::IpNet;
pub use reqwest::Url;
use reqwest::{Client, Response};

pub use crate::error::{EgressError, GrantError, RouteError, SendError, SendErrorKind};
pub use crate::grant::Grant;
pub use crate::redact::MIN_SECRET_BYTES;
pub use crate::request::{MAX_HEADER_BYTES, MAX_HEADERS, MAX_URL_BYTES};
pub use crate::resolve::Resolve;
pub use crate::room::Held;
pub use crate::route::Route;
pub use crate::turn::{AtOnce, Turns};
pub use crate::wire::Wire;

use crate::redact::Redactor;
use crate::request::{authority, read_url};
use crate::resolve::{SystemResolver, Vetted};
use crate::room::Room;
use crate::route::Detour;
use crate::token::{Token, TokenSource, Tokens};

/// What of an answer is not counted: most are shorter, and attempts under way are.
const SHORT_ANSWER_BYTES: usize = 64 * 1024;

/// What the operator decides.
#[derive(Clone, Debug)]
pub struct EgressConfig {
    /// Networks that may be called although they are not public.
    pub allow_networks: Vec<IpNet>,
    /// Whether `http` URLs may be called too.
    pub allow_http: bool,
    /// Hosts whose requests go elsewhere. The first that matches counts.
    pub routes: Vec<Route>,
    /// The `User-Agent` of requests whose plugin sets none.
    pub user_agent: String,
    /// How long resolving, connecting and the TLS handshake may take.
    pub connect_timeout: Duration,
    /// How long everything may take, until the last byte of the answer.
    pub total_timeout: Duration,
    /// The longest answer that is read, after decompression.
    pub max_response_bytes: usize,
    /// What all answers together may fill, but for what is short of each
    /// (64 KiB).
    pub answers_bytes: usize,
    /// The longest body that is sent.
    pub max_request_bytes: usize,
    /// Idle connections kept per host. Few would mean a new handshake for most requests of a
    /// busy host; each may keep the buffer that its longest answer needed (400 KiB).
    pub max_idle_per_host: usize,
    /// How long an idle connection is kept; less than what common servers grant.
    pub idle_timeout: Duration,
}

impl Default for EgressConfig {
    fn default() -> Self {
        Self {
            allow_networks: Vec::new(),
            allow_http: false,
            routes: Vec::new(),
            user_agent: concat!("Heddle/", env!("CARGO_PKG_VERSION")).into(),
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(15),
            max_response_bytes: 1024 * 1024,
            answers_bytes: 64 * 1024 * 1024,
            max_request_bytes: 1024 * 1024,
            max_idle_per_host: 256,
            idle_timeout: Duration::from_secs(50),
        }
    }
}

/// What a request is sent for.
#[derive(Clone, Debug)]
pub struct SendContext {
    /// The same across all attempts of a delivery; `webhook-id` in a signature.
    pub delivery_id: String,
    /// The present time; `webhook-timestamp` in a signature.
    pub now: Timestamp,
    /// The memory that the answers fill: kept until this is dropped.
    pub answers: Held,
}

/// Where a token is from, and the token.
type UsedToken<'a> = (&'a TokenSource, Arc<Token>);

/// The way out. Cheap to clone; all clones share their connections.
#[derive(Clone)]
pub struct Egress(Arc<Inner>);

struct Inner {
    guarded: Client,
    /// For the operator's routes only: dials whatever it is told to.
    routed: Option<Client>,
    detours: Vec<Detour>,
    allowed: Arc<[IpNet]>,
    tokens: Tokens,
    answers: Room,
    config: EgressConfig,
    /// In the place of the network.
    wire: Option<Arc<dyn Wire>>,
}

impl Egress {
    /// With the system's resolver.
    pub fn new(config: EgressConfig) -> Result<Self, EgressError> {
        Self::with_resolver(config, Arc::new(SystemResolver::new()))
    }

    /// With another resolver, whose answers are vetted like the system's.
    pub fn with_resolver(config: EgressConfig, resolver: Arc<dyn Resolve>) -> Result<Self, EgressError> {
        let allowed: Arc<[IpNet]> = config.allow_networks.clone().into();
        let detours = config
            .routes
            .iter()
            .map(Route::compile)
            .collect::<Result<Vec<_>, _>>()?;
        let vetted = Vetted {
            resolver: Arc::clone(&resolver),
            allowed: Some(Arc::clone(&allowed)),
        };
        let guarded = client(&config, vetted, !config.allow_http)?;
        let routed = match detours.as_slice() {
            [] => None,
            _ => Some(client(
                &config,
                Vetted {
                    resolver,
                    allowed: None,
                },
                false,
            )?),
        };
        Ok(Self(Arc::new(Inner {
            guarded,
            routed,
            detours,
            allowed,
            tokens: Tokens::default(),
            answers: Room::new(config.answers_bytes, SHORT_ANSWER_BYTES),
            config,
            wire: None,
        })))
    }

    /// Sends a plugin's request with the connection's credentials, and gives back the whole reply
    /// without its secrets. Every status is a reply; an error means that there is none.
    pub async fn send(
        &self,
        grant: &Grant,
        request: &Request,
        context: &SendContext,
    ) -> Result<Reply, SendError> {
        self.send_in_turn(grant, request, context, &AtOnce).await
    }

    /// [`Self::send`], taking a turn before each request that leaves. A token that the destination
    /// refuses is renewed once, and the request repeated.
    pub async fn send_in_turn(
        &self,
        grant: &Grant,
        request: &Request,
        context: &SendContext,
        turns: &impl Turns,
    ) -> Result<Reply, SendError> {
        let (sent, used) = self.exchange(grant, request, context, turns).await;
        match (sent, used) {
            (Ok(reply), Some((source, token))) if reply.status == 401 => {
                self.0.tokens.discard(source, &token).await;
                self.exchange(grant, request, context, turns).await.0
            }
            (sent, _) => sent,
        }
    }

    /// Whether a URL is one that could be called, as far as that shows without resolving its name:
    /// for telling people early, when they save a connection. The error continues "the URL …".
    pub fn check_url(&self, url: &str) -> Result<(), String> {
        let url = read_url(url)?;
        match self.detour(&url) {
            Some(_) => Ok(()),
            None => self.permit(&url),
        }
    }

    /// One request and its answer without secrets, with the token that was used for it.
    async fn exchange<'a>(
        &self,
        grant: &'a Grant,
        request: &Request,
        context: &SendContext,
        turns: &impl Turns,
    ) -> (Result<Reply, SendError>, Option<UsedToken<'a>>) {
        let mut used = None;
        let mut sent = self.converse(grant, request, context, turns, &mut used).await;
        // The token first: what it may have in common with another secret must not be cut out of it.
        let token = used.as_ref().map(|(_, token)| &token.redactor);
        for redactor in token.into_iter().chain([grant.redactor()]) {
            match &mut sent {
                Ok(reply) => self.redact(redactor, reply),
                Err(error) => error.message = redactor.text(std::mem::take(&mut error.message)),
            }
        }
        (sent, used)
    }

    async fn converse<'a>(
        &self,
        grant: &'a Grant,
        request: &Request,
        context: &SendContext,
        turns: &impl Turns,
        used: &mut Option<UsedToken<'a>>,
    ) -> Result<Reply, SendError> {
        let mut draft = request::read(request, grant, self.0.config.max_request_bytes)?;
        self.check_way(&draft.url)?;
        let token = grant.token_credential(&draft.url);
        let mut body = request.body.clone();
        grant.apply(&mut draft.url, &mut draft.headers, &mut body, context)?;
        if let Some((credential, source)) = token {
            let token = self.0.tokens.get(self, source, context).await?;
            credential.apply_token(&mut draft.headers, &token.header)?;
            *used = Some((source, token));
        }
        let _turn = turns.take().await.map_err(SendError::paced)?;
        let body = (!body.is_empty() || draft.method != Method::GET).then_some(body);
        self.wire(draft.method, draft.url, draft.headers, body, &context.answers)
            .await
    }

    /// Whether a request may go to this URL: where the operator's routes lead, or where the guard
    /// lets it.
    fn check_way(&self, url: &Url) -> Result<(), SendError> {
        if self.detour(url).is_some() {
            return Ok(());
        }
        self.permit(url)
            .map_err(|problem| SendError::refused(format!("the URL {problem}")))
    }

    /// Sends what is ready to a URL that was checked, and reads the whole answer.
    async fn wire(
        &self,
        method: Method,
        url: Url,
        mut headers: HeaderMap,
        body: Option<Vec<u8>>,
        held: &Held,
    ) -> Result<Reply, SendError> {
        let Inner {
            guarded,
            routed,
            config,
            ..
        } = &*self.0;
        let host = authority(&url);
        if let Some(wire) = &self.0.wire {
            return wire::carried(wire, method, &url, &headers, body, config.total_timeout).await;
        }
        let (client, url) = match (self.detour(&url), routed) {
            (Some(target), Some(routed)) => {
                let original = HeaderValue::from_str(&host)
                    .map_err(|_| SendError::refused("the host cannot be written into a header"))?;
                headers.insert("x-forwarded-host", original);
                (routed, target)
            }
            _ => (guarded, url),
        };
        let mut outgoing = client.request(method, url).headers(headers);
        if let Some(body) = body {
            outgoing = outgoing.body(body);
        }
        let answered = async {
            let response = outgoing
                .send()
                .await
                .map_err(|error| SendError::from_client(&error, &host))?;
            self.read(response, &host, held).await
        };
        let total = config.total_timeout;
        tokio::time::timeout(total, answered).await.unwrap_or_else(|_| {
            Err(SendError::timeout(format!(
                "{host} did not answer completely within {total:?}"
            )))
        })
    }

    /// Reads an answer to its end, no faster than there is room for it.
    async fn read(&self, mut response: Response, host: &str, held: &Held) -> Result<Reply, SendError> {
        let max = self.0.config.max_response_bytes;
        let too_long = || SendError::network(format!("answer longer than {max} bytes"));
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let (mut body, mut taken) = (Vec::new(), 0);
        // An encoding that was not asked for stays encoded, and secrets in it unseen: such a body
        // is not passed on.
        if !is_encoded(&headers) {
            while let Some(chunk) = response
                .chunk()
                .await
                .map_err(|error| SendError::from_client(&error, host))?
            {
                if body.len() + chunk.len() > max {
                    return Err(too_long());
                }
                let needed = body.len() + chunk.len();
                if needed > taken {
                    // All that it may need at once: of answers that wait for more while they hold
                    // some, none would come to its end.
                    let more = if needed > SHORT_ANSWER_BYTES {
                        max - taken
                    } else {
                        needed - taken
                    };
                    self.0.answers.take(held, more).await;
                    taken += more;
                }
                body.extend_from_slice(&chunk);
            }
        }
        self.0.answers.give_back(held, taken - body.len());
        let headers = headers
            .iter()
            .map(|(name, value)| Header {
                name: name.as_str().to_owned(),
                value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
            })
            .collect();
        Ok(Reply {
            status,
            headers,
            body,
        })
    }

    fn redact(&self, redactor: &Redactor, reply: &mut Reply) {
        for header in &mut reply.headers {
            header.value = redactor.text(std::mem::take(&mut header.value));
        }
        if let std::borrow::Cow::Owned(clean) = redactor.bytes(&reply.body) {
            reply.body = clean;
            // The replacement may be longer than what it replaces; the promised limit holds.
            reply.body.truncate(self.0.config.max_response_bytes);
        }
    }

    fn detour(&self, url: &Url) -> Option<Url> {
        self.0.detours.iter().find_map(|detour| detour.target(url))
    }

    /// The rules that need no resolver: the scheme, and the address where the host is one. The HTTP
    /// client dials literal addresses without asking the resolver, so they must be checked here.
    fn permit(&self, url: &Url) -> Result<(), String> {
        if url.scheme() != "https" && !self.0.config.allow_http {
            return Err("must begin with https://".into());
        }
        let host = url.host_str().unwrap_or_default();
        let addresses: Vec<IpAddr> = match url.domain().map(|domain| domain.trim_end_matches('.')) {
            None => {
                let literal = host.trim_start_matches('[').trim_end_matches(']');
                vec![
                    literal
                        .parse()
                        .map_err(|_| "has a host that cannot be read".to_owned())?,
                ]
            }
            // By RFC 6761 these names lead to this machine, whatever a resolver says.
            Some(name) if name == "localhost" || name.ends_with(".localhost") => {
                vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
            }
            Some(_) => return Ok(()),
        };
        let mut objections = addresses
            .iter()
            .map(|address| guard::objection(*address, &self.0.allowed));
        match objections.next().flatten() {
            Some(what) if objections.all(|objection| objection.is_some()) => {
                Err(format!("leads to {host} ({what}), where requests may not go"))
            }
            _ => Ok(()),
        }
    }
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|value| !value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity") && !value.is_empty())
}

fn client(config: &EgressConfig, vetted: Vetted, https_only: bool) -> Result<Client, EgressError> {
    Client::builder()
        .user_agent(&config.user_agent)
        .dns_resolver(Arc::new(vetted))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .https_only(https_only)
        .connect_timeout(config.connect_timeout)
        .pool_max_idle_per_host(config.max_idle_per_host)
        .pool_idle_timeout(config.idle_timeout)
        .build()
        .map_err(EgressError::Client)
}
