//! The replayer: carries bulk replays forward, each at its own rate. It holds nothing that is not in the
//! store but how much each job may take now; woken when a job is made or changed, and by its timer while
//! one runs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use heddle_core::delivery::State;
use heddle_core::event::Event;
use heddle_core::id::{DeliveryId, ReplayId};
use heddle_core::replay::{Allowance, Progress};
use heddle_core::routing::Matched;
use heddle_core::rule::Rule;
use heddle_core::time::Timestamp;
use heddle_store::{Acceptance, NewDelivery, Replay, ReplayRows, ReplayStep, ReplayWork, StoreError};
use tokio_util::sync::CancellationToken;

use crate::Parts;

/// While a job runs. Twenty steps a second of at most 500 rows are the highest rate there is.
const TICK: Duration = Duration::from_millis(50);

/// How often a job looks for rows before it is moved.
const LOOKS: usize = 10;

/// When none runs: only in case a signal was lost.
const IDLE: Duration = Duration::from_secs(30);

/// After the store was not available.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs until `stop`.
pub async fn run(parts: Parts, stop: CancellationToken) {
    let mut allowances = HashMap::new();
    loop {
        let pause = match round(&parts, &mut allowances).await {
            Ok(true) => TICK,
            Ok(false) => IDLE,
            Err(error) => {
                tracing::warn!(%error, "a bulk replay could not go on; trying again");
                PAUSE
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = parts.store.replays_changed(), if pause == IDLE => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// A step of every job that may take one. Returns whether any job runs.
async fn round(parts: &Parts, allowances: &mut HashMap<ReplayId, Allowance>) -> Result<bool, StoreError> {
    let running = parts.store.running_replays().await?;
    allowances.retain(|id, _| running.iter().any(|replay| replay.id == *id));
    let now = parts.clock.now();
    for replay in &running {
        let allowance = allowances
            .entry(replay.id)
            .or_insert_with(|| Allowance::starting(now));
        let most = allowance.take(replay.rate, now);
        if most > 0 {
            step(parts, replay, most, now).await?;
        }
    }
    Ok(!running.is_empty())
}

async fn step(parts: &Parts, replay: &Replay, most: u32, now: Timestamp) -> Result<(), StoreError> {
    let step = look(parts, replay, most).await?;
    let rows = match step.rows {
        ReplayRows::Deliveries(ids) => ReplayWork::Deliveries(ids),
        ReplayRows::Events(events) => {
            let mut acceptances = Vec::with_capacity(events.len());
            for event in events {
                acceptances.push(match_anew(parts, replay, event, now).await?);
            }
            ReplayWork::Events(acceptances)
        }
    };
    let work = ReplayStep {
        rows,
        behind: step.behind,
        ends: step.ends,
    };
    let after = parts.store.advance_replay(replay, work, now).await?;
    if let Some(done) = after.filter(|after| after.progress == Progress::Completed) {
        tracing::info!(
            replay = %done.id, replayed = done.replayed, created = done.created, skipped = done.skipped,
            "a bulk replay is through"
        );
    }
    Ok(())
}

/// The next rows of a job. Where the filter lets few through, it is looked for them several times before
/// the job is moved: each look is short, and moving it writes.
async fn look(parts: &Parts, replay: &Replay, most: u32) -> Result<ReplayStep<ReplayRows>, StoreError> {
    let mut from = replay.clone();
    for _ in 1..LOOKS {
        let step = parts.store.replay_rows(&from, most).await?;
        let is_empty = match &step.rows {
            ReplayRows::Deliveries(ids) => ids.is_empty(),
            ReplayRows::Events(events) => events.is_empty(),
        };
        if !is_empty || step.ends {
            return Ok(step);
        }
        from.behind = step.behind;
    }
    parts.store.replay_rows(&from, most).await
}

/// The event with a delivery for each rule of now that it matches and that the filter lets through.
async fn match_anew(
    parts: &Parts,
    replay: &Replay,
    event: Event,
    now: Timestamp,
) -> Result<Acceptance, StoreError> {
    let meant = |rule: &Rule| {
        replay.filter.rule.is_none_or(|id| id == rule.id)
            && replay.filter.connection.is_none_or(|id| id == rule.connection)
    };
    let rules = parts.store.rules_of(replay.workspace).await?;
    let mut deliveries = Vec::new();
    let matching = parts.matching.of(&rules, &event).await;
    for Matched { rule, ordering_key } in matching.into_iter().filter(|matched| meant(matched.rule)) {
        let connection = parts.store.connection_for_delivery(rule.connection).await?;
        let own = connection.and_then(|connection| connection.retry_schedule());
        let schedule = own.map_or_else(|| Arc::clone(&parts.schedule), Arc::new);
        deliveries.push(NewDelivery {
            id: DeliveryId::new(now, random(parts)),
            rule: rule.id,
            connection: rule.connection,
            leased_until: None,
            state: State::new(now, &schedule, u64::from_le_bytes(random(parts))),
            ordering_key,
        });
    }
    Ok(Acceptance { event, deliveries })
}

fn random<const N: usize>(parts: &Parts) -> [u8; N] {
    let mut bytes = [0; N];
    (parts.entropy)(&mut bytes);
    bytes
}
