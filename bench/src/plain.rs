//! The second reference: an HTTP client of the kind that applications use (hyper with its pool of
//! keep-alive connections), posting straight at the receiver. The goals' ratios were set against
//! such a client; the lean one of `client` reaches several times as much.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::http::{Request, header};
use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;

use crate::client::{Notes, PATIENCE, Seen, gather};
use crate::ledger::Ledger;
use crate::template::Template;

/// Posts from `callers` tasks that share one client, each as soon as its last answer came, for the
/// time `lasting` or until the ledger is full.
pub async fn press(
    address: SocketAddr,
    callers: usize,
    template: &Template,
    ledger: &Arc<Ledger>,
    lasting: Duration,
) -> Result<Seen> {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let url = format!("http://{address}{}", template.path());
    let started = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..callers {
        let (client, url) = (client.clone(), url.clone());
        let (mut template, ledger) = (template.clone(), Arc::clone(ledger));
        running.spawn(async move {
            let mut notes = Notes::default();
            while started.elapsed() < lasting {
                let Some(first) = ledger.take(template.events()) else {
                    break;
                };
                let emitted = ledger.micros();
                let body = Bytes::copy_from_slice(template.fill_body(first, emitted));
                let request = Request::post(&url)
                    .header(header::CONTENT_TYPE, "application/json")
                    .body(Full::new(body))?;
                let answer = client.request(request).await?;
                let status = answer.status().as_u16();
                answer.into_body().collect().await?;
                notes.enter(&ledger, (first, emitted), template.events(), status);
            }
            Ok(notes)
        });
    }
    let mut seen = gather(running, lasting + PATIENCE).await?;
    seen.took = started.elapsed();
    Ok(seen)
}
