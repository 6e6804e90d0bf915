//! What may stand in the place of the network: in a simulation, everything up to here is real.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use heddle_core::exchange::{Header, Reply, Request};
use http::{HeaderMap, Method};
use reqwest::Url;

use crate::error::SendError;
use crate::token::Tokens;
use crate::{Egress, Inner};

/// Carries requests to a receiver that is not on a network.
pub trait Wire: Send + Sync + 'static {
    /// Brings a request there, and its answer back. The request is as it would leave: checked, with its
    /// credentials.
    fn carry(&self, request: Request) -> Pin<Box<dyn Future<Output = Result<Reply, SendError>> + Send + '_>>;
}

impl Egress {
    /// The same way out with `wire` in the place of the network. No name is resolved then.
    pub fn over(&self, wire: Arc<dyn Wire>) -> Self {
        let inner = &*self.0;
        Self(Arc::new(Inner {
            guarded: inner.guarded.clone(),
            routed: inner.routed.clone(),
            detours: inner.detours.clone(),
            allowed: Arc::clone(&inner.allowed),
            tokens: Tokens::default(),
            answers: inner.answers.clone(),
            config: inner.config.clone(),
            wire: Some(wire),
        }))
    }
}

/// Sends what is ready over the wire, within `time`.
pub(crate) async fn carried(
    wire: &Arc<dyn Wire>,
    method: Method,
    url: &Url,
    headers: &HeaderMap,
    body: Option<Vec<u8>>,
    time: Duration,
) -> Result<Reply, SendError> {
    let headers = headers
        .iter()
        .map(|(name, value)| Header {
            name: name.as_str().to_owned(),
            value: String::from_utf8_lossy(value.as_bytes()).into_owned(),
        })
        .collect();
    let request = Request {
        method: method.to_string(),
        url: url.to_string(),
        headers,
        body: body.unwrap_or_default(),
    };
    tokio::time::timeout(time, wire.carry(request))
        .await
        .unwrap_or_else(|_| Err(SendError::timeout("the receiver did not answer in time")))
}
