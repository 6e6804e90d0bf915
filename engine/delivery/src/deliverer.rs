//! The deliverer: takes one claimed delivery from its row to its recorded attempt.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use heddle_core::connection::Connection;
use heddle_core::delivery::State;
use heddle_core::exchange::Function;
use heddle_core::id::{AttemptId, ConnectionId, DeliveryId, EventId};
use heddle_core::outcome::{Outcome, OutcomeCode};
use heddle_core::retry::Schedule;
use heddle_core::time::Timestamp;
use heddle_egress::{Grant, SendContext};
use heddle_sandbox::Plugin;
use heddle_store::stop::{self, Stop};
use heddle_store::{Attempt, AttemptRecord, Claimed, RequestSummary, ResponseDetails, Settled};
use tokio::sync::broadcast;

use crate::conversation::{self, Conversation, Partners};
use crate::mapping::Mappings;
use crate::pacer::Claim;
use crate::sign::Sign;
use crate::tempo::Tempo;
use crate::{Parts, input};

/// The prepared connections that are kept; beyond it the cache starts anew.
const PREPARED: usize = 10_000;

/// A recorded attempt, for those who watch.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Attempted {
    pub event: EventId,
    pub delivery: DeliveryId,
    pub connection: ConnectionId,
    /// The connection's type and name.
    pub kind: String,
    pub connection_name: String,
    pub number: u32,
    pub outcome: OutcomeCode,
    pub message: String,
    pub status: Option<u16>,
    pub took: Duration,
    /// The delivery after it.
    pub state: State,
}

/// Delivers; shared by all attempts.
pub struct Deliverer {
    parts: Parts,
    feed: broadcast::Sender<Arc<Attempted>>,
    prepared: Mutex<HashMap<ConnectionId, Arc<Prepared>>>,
}

/// A connection with everything that can be worked out once.
struct Prepared {
    connection: Arc<Connection>,
    plugin: Plugin,
    grant: Grant,
    mappings: Mappings,
    schedule: Arc<Schedule>,
    tempo: Tempo,
}

impl Deliverer {
    /// A deliverer that announces attempts on `feed`.
    pub fn new(parts: Parts, feed: broadcast::Sender<Arc<Attempted>>) -> Self {
        Self {
            parts,
            feed,
            prepared: Mutex::default(),
        }
    }

    /// Makes one attempt and records it. Between the two it tells what the attempt says of the
    /// destination, which can have the next one while this one is being recorded.
    pub async fn deliver(&self, claimed: Claimed, claim: Option<Claim>, answered: impl FnOnce(Sign)) {
        stop::at(Stop::BeforeRequest);
        let started_at = self.parts.clock.now();
        let (prepared, conversation, outcome) = match self.prepare(claimed.connection).await {
            Err(outcome) => (None, None, outcome),
            Ok(prepared) => {
                let conversation = self.converse(&claimed, claim, &prepared, started_at).await;
                match conversation {
                    Ok((conversation, remarks)) => {
                        let outcome = remarked(conversation.outcome(), remarks);
                        (Some(prepared), Some(conversation), outcome)
                    }
                    Err(outcome) => (Some(prepared), None, outcome),
                }
            }
        };
        let finished_at = self.parts.clock.now();
        let attempt = self.attempt(&claimed, conversation, &outcome, started_at, finished_at);
        answered(Sign::of(&outcome, attempt.status));
        let schedule = prepared
            .as_ref()
            .map_or_else(|| Arc::clone(&self.parts.schedule), |p| Arc::clone(&p.schedule));
        let record = Arc::new(AttemptRecord {
            delivery: claimed.delivery,
            attempt,
            outcome,
            schedule,
            seed: self.random_u64(),
            now: finished_at,
        });
        stop::at(Stop::AfterRequest);
        let Some(state) = self.record(&record).await else {
            return;
        };
        if self.feed.receiver_count() > 0 {
            let name = prepared.map(|prepared| prepared.connection.name.clone());
            let attempted = Attempted {
                event: claimed.event.id,
                delivery: claimed.delivery,
                connection: claimed.connection,
                kind: claimed.rule.kind.clone(),
                connection_name: name.unwrap_or_default(),
                number: record.attempt.number,
                outcome: record.outcome.code,
                message: record.outcome.message.clone(),
                status: record.attempt.status,
                took: finished_at.since(started_at),
                state,
            };
            // They may have gone meanwhile.
            let _ = self.feed.send(Arc::new(attempted));
        }
    }

    async fn converse(
        &self,
        claimed: &Claimed,
        claim: Option<Claim>,
        prepared: &Prepared,
        started_at: Timestamp,
    ) -> Result<(Conversation, Option<String>), Outcome> {
        let mapped = prepared.mappings.apply(claimed, prepared.plugin.manifest())?;
        let fields = mapped.as_ref().map_or("{}", |mapped| mapped.fields.as_str());
        let input = input::deliver(claimed, &prepared.connection, fields, started_at).map_err(|error| {
            Outcome::permanent(
                OutcomeCode::InternalError,
                format!("The stored event cannot be read: {error}."),
            )
        })?;
        let pacer = &self.parts.pacer;
        let account = pacer.account(&prepared.connection, prepared.plugin.manifest());
        let (inputs, payload) = (&claimed.rule.metadata, &claimed.event.payload);
        let pace = pacer.for_delivery(&account, claim, inputs, fields, payload);
        let partners = Partners {
            workspace: claimed.workspace,
            plugin: &prepared.plugin,
            grant: &prepared.grant,
            egress: &self.parts.egress,
            tempo: &prepared.tempo,
            pace: &pace,
        };
        let context = SendContext {
            delivery_id: claimed.delivery.to_string(),
            now: started_at,
            answers: heddle_egress::Held::default(),
        };
        let limits = &self.parts.limits;
        let conversation = conversation::run(
            &partners,
            Function::Deliver,
            input,
            &context,
            limits.steps,
            limits.attempt,
        )
        .await;
        Ok((conversation, mapped.and_then(|mapped| mapped.remarks())))
    }

    /// The connection as it is now, prepared once and again whenever it or its plugin changed.
    async fn prepare(&self, id: ConnectionId) -> Result<Arc<Prepared>, Outcome> {
        let connection = self
            .parts
            .store
            .connection_for_delivery(id)
            .await
            .map_err(|error| Outcome::internal(format!("The connection could not be read: {error}.")))?
            .ok_or_else(|| Outcome::permanent(OutcomeCode::InternalError, "The connection was deleted."))?;
        let plugin = self.parts.plugins.get(&connection.kind).ok_or_else(|| {
            Outcome::internal(format!(
                "No plugin called {:?} is loaded; put it back into the plugins folder, or delete the connection.",
                connection.kind
            ))
        })?;
        let known = self.prepared().get(&id).cloned();
        if let Some(known) = known
            && Arc::ptr_eq(&known.connection, &connection)
            && Arc::ptr_eq(known.plugin.manifest(), plugin.manifest())
        {
            return Ok(known);
        }
        let grant =
            Grant::new(plugin.manifest(), &connection.settings, &connection.secrets).map_err(|error| {
                Outcome::permanent(
                    OutcomeCode::InternalError,
                    format!("The connection's settings cannot be used: {error}."),
                )
            })?;
        let material = self
            .parts
            .store
            .mapping_material(id)
            .await
            .map_err(|error| Outcome::internal(format!("The mapping could not be read: {error}.")))?;
        let schedule = connection
            .retry_schedule()
            .map_or_else(|| Arc::clone(&self.parts.schedule), Arc::new);
        let prepared = Arc::new(Prepared {
            connection,
            plugin,
            grant,
            mappings: Mappings::new(material),
            schedule,
            tempo: Tempo::default(),
        });
        let mut cache = self.prepared();
        if cache.len() >= PREPARED {
            cache.clear();
        }
        cache.insert(id, Arc::clone(&prepared));
        Ok(prepared)
    }

    fn prepared(&self) -> std::sync::MutexGuard<'_, HashMap<ConnectionId, Arc<Prepared>>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attempt(
        &self,
        claimed: &Claimed,
        conversation: Option<Conversation>,
        outcome: &Outcome,
        started_at: Timestamp,
        finished_at: Timestamp,
    ) -> Attempt {
        let (request, reply, steps) = match conversation {
            Some(conversation) => (conversation.request, conversation.reply, conversation.steps),
            None => (None, None, 0),
        };
        let status = reply.as_ref().map(|reply| reply.status);
        let response = reply
            .filter(|_| outcome.code != OutcomeCode::Delivered)
            .map(|mut reply| {
                let truncated = reply.body.len() > self.parts.limits.kept_response_bytes;
                reply.body.truncate(self.parts.limits.kept_response_bytes);
                reply.body.shrink_to_fit();
                ResponseDetails {
                    status: reply.status,
                    headers: reply.headers,
                    body: reply.body,
                    truncated,
                }
            });
        let mut random = [0; 10];
        (self.parts.entropy)(&mut random);
        Attempt {
            id: AttemptId::new(started_at, random),
            number: claimed.state.attempt_count,
            started_at,
            finished_at,
            outcome_code: outcome.code,
            message: outcome.message.clone(),
            request: request.map(|request| RequestSummary {
                url: without_query(&request.url),
                method: request.method,
            }),
            status,
            steps,
            response,
        }
    }

    /// Records the attempt, however long the store takes to take it: the destination has acted, and
    /// only the record keeps it from happening again. `None` when another attempt has overtaken it.
    async fn record(&self, record: &Arc<AttemptRecord>) -> Option<State> {
        let mut pause = Duration::from_millis(50);
        loop {
            match self.parts.store.record_attempt(Arc::clone(record)).await {
                Ok(Settled::Recorded { state }) => return Some(state),
                Ok(Settled::Stale) => {
                    tracing::warn!(delivery = %record.delivery, "an attempt ended after its lease had lapsed");
                    return None;
                }
                Err(error) => {
                    tracing::warn!(delivery = %record.delivery, %error, "recording an attempt failed; trying again");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(2));
                }
            }
        }
    }

    fn random_u64(&self) -> u64 {
        let mut bytes = [0; 8];
        (self.parts.entropy)(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

/// With what the history says of fields that a mapping left out.
fn remarked(mut outcome: Outcome, remarks: Option<String>) -> Outcome {
    if let Some(remarks) = remarks {
        let message = outcome.message.trim_end_matches('.');
        outcome.message = format!("{message}. {remarks}");
    }
    outcome
}

/// Queries may hold personal data and, at some providers, keys.
fn without_query(url: &str) -> String {
    url.split(['?', '#']).next().unwrap_or_default().to_owned()
}
