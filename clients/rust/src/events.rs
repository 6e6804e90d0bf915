//! Emitting: one event, or many.

use reqwest::Method;
use serde::Deserialize;

use crate::chunks::{MAX_BYTES, body, chunks};
use crate::credential::{Credential, new_key};
use crate::error::Error;
use crate::event::{AcceptedEvent, BatchResult, EventInput};
use crate::transport::{Options, Outgoing, Transport};

/// Emits events. Clones share its connections.
///
/// Each event, and each request of a batch, is sent under an idempotency key that is made once, so that the
/// retries never double.
#[derive(Clone, Debug)]
pub struct EventsClient {
    pub(crate) transport: Transport,
}

#[derive(Deserialize)]
struct Emitted {
    event: AcceptedEvent,
}

impl EventsClient {
    /// A client with a workspace's publishable key, or with a machine key.
    pub fn new(credential: Credential, options: Options) -> Result<Self, Error> {
        Ok(Self {
            transport: Transport::new(credential, options)?,
        })
    }

    /// Ends once the event is on the server's disk, with a delivery for every rule that it matched.
    pub async fn emit(&self, event: &EventInput) -> Result<AcceptedEvent, Error> {
        let key = match event.key() {
            Some(_) => None,
            None => Some(new_key()?),
        };
        let emitted: Emitted = self.post(&["events"], text(event)?, key).await?;
        Ok(emitted.event)
    }

    /// Emits any number of events, in requests of at most 100 events and 5 MiB, one after the other. Each event is
    /// accepted or refused by itself. When a whole request fails for good, what had been answered before is in
    /// [`Error::partial`].
    ///
    /// To make a repetition of your own as safe as the client's retries, give each event a key with
    /// [`EventInput::once_as`].
    pub async fn emit_many(&self, events: &[EventInput]) -> Result<BatchResult, Error> {
        let texts = events.iter().map(text).collect::<Result<Vec<_>, _>>()?;
        let mut whole = BatchResult::default();
        for range in chunks(&texts) {
            match self.bulk(&texts[range]).await {
                Ok(answer) => whole.records.extend(answer.records),
                Err(error) => return Err(error.after(whole)),
            }
        }
        Ok(whole)
    }

    /// One request.
    pub(crate) async fn bulk(&self, texts: &[String]) -> Result<BatchResult, Error> {
        let answer: BatchResult = self
            .post(&["events", "bulk"], body(texts), Some(new_key()?))
            .await?;
        if answer.records.len() == texts.len() {
            Ok(answer)
        } else {
            let message = "the server did not answer for each event";
            Err(Error::new("unreadable_answer", message))
        }
    }

    async fn post<T: serde::de::DeserializeOwned>(
        &self,
        path: &[&str],
        body: String,
        idempotency_key: Option<String>,
    ) -> Result<T, Error> {
        let outgoing = Outgoing {
            method: Method::POST,
            url: self.transport.url(path)?,
            body: Some(body),
            idempotency_key,
            // Under its key it is accepted once: it can always be sent again.
            repeatable: true,
        };
        self.transport.send(&outgoing).await
    }
}

pub(crate) fn text(event: &EventInput) -> Result<String, Error> {
    let text = event.text()?;
    if text.len() > MAX_BYTES {
        return Err(Error::new(
            "payload_too_large",
            "an event is far over the limit of 256 KiB",
        ));
    }
    Ok(text)
}
