//! The replayer: carries bulk replays forward, each at its own rate and in steps of its own, so that one whose
//! steps take long, or fail, holds up no other. It holds nothing that is not in the store but how much each job
//! may take now; woken when a job is made or changed, and by its timer while one runs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use heddle_core::delivery::State;
use heddle_core::event::Event;
use heddle_core::id::{DeliveryId, ReplayId, WorkspaceId};
use heddle_core::replay::{Allowance, MAX_STEP, Progress};
use heddle_core::routing::Matched;
use heddle_core::rule::Rule;
use heddle_core::time::Timestamp;
use heddle_store::{Acceptance, Behind, NewDelivery, Replay, ReplayRows, ReplayStep, ReplayWork, StoreError};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::Parts;

/// While a job runs. Twenty steps a second of at most 500 rows are the highest rate there is.
const TICK: Duration = Duration::from_millis(50);

/// Steps under way at once: each may hold some megabytes of payloads.
const STEPS: usize = 16;

/// How often a job looks for rows before it is moved.
const LOOKS: usize = 10;

/// When none runs: only in case a signal was lost.
const IDLE: Duration = Duration::from_secs(30);

/// After the store was not available, or a step failed.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs until `stop`. A step that is under way then is done again after the next start, unless the store has it.
pub async fn run(parts: Parts, stop: CancellationToken) {
    let mut jobs = Jobs::default();
    loop {
        let pause = match parts.store.running_replays().await {
            Ok(running) if running.is_empty() => IDLE,
            Ok(running) => {
                jobs.go_on(&parts, running);
                TICK
            }
            Err(error) => {
                tracing::warn!(%error, "bulk replays could not be looked for; trying again");
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

/// The jobs that run. Dropped, their steps end where they wait.
#[derive(Default)]
struct Jobs {
    known: HashMap<ReplayId, Job>,
    /// Each gives the job that could not go on, if so.
    under_way: JoinSet<Option<ReplayId>>,
    begun: u64,
}

struct Job {
    workspace: WorkspaceId,
    allowance: Allowance,
    /// The last step, and the number of those that had begun before it.
    step: Option<AbortHandle>,
    number: u64,
    /// Its last step failed.
    rests_until: Option<Instant>,
}

impl Job {
    fn is_at_it(&self) -> bool {
        self.step.as_ref().is_some_and(|step| !step.is_finished())
    }

    fn rests(&self) -> bool {
        self.rests_until.is_some_and(|until| Instant::now() < until)
    }
}

impl Jobs {
    /// Begins a step of every job that may take one, those first that have not had one for longest; one of
    /// each workspace at a time.
    fn go_on(&mut self, parts: &Parts, mut running: Vec<Replay>) {
        while let Some(ended) = self.under_way.try_join_next() {
            match ended {
                Ok(Some(failed)) => {
                    if let Some(job) = self.known.get_mut(&failed) {
                        job.rests_until = Some(Instant::now() + PAUSE);
                    }
                }
                Err(error) if error.is_panic() => {
                    tracing::error!(%error, "a step of a bulk replay panicked; trying again");
                }
                _ => {}
            }
        }
        let ids: HashSet<ReplayId> = running.iter().map(|replay| replay.id).collect();
        self.known.retain(|id, job| {
            let runs = ids.contains(id);
            if let Some(step) = job.step.as_ref().filter(|_| !runs) {
                step.abort();
            }
            runs
        });
        let at_it = self.known.values().filter(|job| job.is_at_it());
        let mut busy: HashSet<WorkspaceId> = at_it.map(|job| job.workspace).collect();
        running.sort_by_key(|replay| self.known.get(&replay.id).map(|job| job.number));
        let now = parts.clock.now();
        for replay in running {
            let job = self.known.entry(replay.id).or_insert_with(|| Job {
                workspace: replay.workspace,
                allowance: Allowance::starting(now),
                step: None,
                number: 0,
                rests_until: None,
            });
            if self.under_way.len() >= STEPS || busy.contains(&replay.workspace) || job.rests() {
                continue;
            }
            let most = job.allowance.take(replay.rate, now);
            if most > 0 {
                busy.insert(replay.workspace);
                self.begun += 1;
                job.number = self.begun;
                let step = try_step(parts.clone(), replay, most, now);
                job.step = Some(self.under_way.spawn(step));
            }
        }
    }
}

/// Returns the job if it could not go on.
async fn try_step(parts: Parts, replay: Replay, most: u32, now: Timestamp) -> Option<ReplayId> {
    let error = step(&parts, &replay, most, now).await.err()?;
    tracing::warn!(%error, replay = %replay.id, "a bulk replay could not go on; trying again");
    Some(replay.id)
}

async fn step(parts: &Parts, replay: &Replay, most: u32, now: Timestamp) -> Result<(), StoreError> {
    let ReplayStep { rows, behind, ends } = look(parts, replay, most).await?;
    let work = match rows {
        ReplayRows::Deliveries(ids) => ReplayStep {
            rows: ReplayWork::Deliveries(ids),
            behind,
            ends,
        },
        ReplayRows::Events(events) => {
            let count = events.len();
            let acceptances = match_some(parts, replay, events, now).await?;
            let are_all = acceptances.len() == count;
            let last = acceptances.last().map(|acceptance| Behind {
                row: *acceptance.event.id.as_bytes(),
                rule: None,
            });
            ReplayStep {
                behind: if are_all { behind } else { last },
                ends: ends && are_all,
                rows: ReplayWork::Events(acceptances),
            }
        }
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

/// The first of these events, with what the rules of now make of each: a step makes as many deliveries as it
/// may have rows, and those of the event that reaches that.
async fn match_some(
    parts: &Parts,
    replay: &Replay,
    events: Vec<Event>,
    now: Timestamp,
) -> Result<Vec<Acceptance>, StoreError> {
    let mut acceptances = Vec::with_capacity(events.len());
    let mut deliveries = 0;
    for event in events {
        let acceptance = match_anew(parts, replay, event, now).await?;
        deliveries += acceptance.deliveries.len();
        acceptances.push(acceptance);
        if deliveries >= MAX_STEP as usize {
            break;
        }
    }
    Ok(acceptances)
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

#[cfg(test)]
mod tests {
    use heddle_core::delivery::Status;
    use heddle_core::id::RuleId;
    use heddle_core::replay::{Filter, Rules};

    use super::*;
    use crate::simulation::quiet;

    #[tokio::test(start_paused = true)]
    async fn a_step_makes_a_bounded_number_of_deliveries_however_many_rules_there_are() {
        const EVENTS: usize = 100;
        const RULES: u32 = 30;
        let (world, store) = quiet::world(1).await;
        let known = world.tenants.rules[0].clone();
        let (workspace, now) = (known.workspace, world.now());
        quiet::accept(&world, &store, workspace, None, EVENTS).await;
        for n in 0..RULES {
            let id = RuleId::new(now, [u8::try_from(n).unwrap(); 10]);
            let (event, order) = ("*".into(), None);
            let rule = Rule {
                id,
                event,
                order,
                ..known.clone()
            };
            store.create_rule(rule).await.unwrap();
        }
        let parts = world.parts(&store);
        let replay = Replay {
            id: ReplayId::new(now, random(&parts)),
            organisation: world.tenants.organisation,
            workspace,
            rules: Rules::Current,
            filter: Filter {
                rule: None,
                connection: None,
                event: None,
                statuses: vec![Status::Failed],
                from: None,
                to: None,
            },
            rate: heddle_core::replay::MAX_RATE,
            progress: Progress::Running,
            total: 0,
            behind: None,
            processed: 0,
            replayed: 0,
            created: 0,
            skipped: 0,
            created_by: "mk_sim".into(),
            created_at: now,
            updated_at: now,
            completed_at: None,
        };
        store.create_replay(replay.clone()).await.unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(run(parts, stop.clone()));
        let mut last = replay;
        while last.progress == Progress::Running {
            tokio::time::sleep(TICK / 10).await;
            let next = store.replay(last.organisation, last.id).await.unwrap().unwrap();
            // It was looked at in between: this is one step.
            assert!(
                next.created - last.created <= MAX_STEP + 2 * RULES,
                "{next:?} after {last:?}"
            );
            last = next;
        }
        assert_eq!(last.processed, EVENTS as u32);
        assert!(last.created >= RULES * EVENTS as u32, "{last:?}");
        stop.cancel();
        running.await.unwrap();
    }
}
