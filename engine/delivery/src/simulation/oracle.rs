//! What must be true after a run, by the books of the world outside and by what the store says.

use std::collections::{BTreeMap, BTreeSet};

use heddle_core::calendar::Day;
use heddle_core::delivery::{Status, Tally};
use heddle_core::id::{DeliveryId, EventId, RuleId};
use heddle_core::outcome::OutcomeCode;
use heddle_core::quota::Part;
use heddle_core::replay::{Progress, Rules};
use heddle_store::{Attempt, DeliveryRecord, EventFilter, EventRecord, Page, Store, StoreError, UsageFilter};

use super::guest::KINDS;
use super::ledger::{Arrival, Ledger, Told};
use super::order;
use super::world::{SHORT_SCHEDULE, World};

/// A lost wake-up costs at least ten seconds, which the dispatcher sleeps at most.
const AT_ONCE_MS: i64 = 6_000;

/// A delivery with its history.
type History = (DeliveryRecord, Vec<Attempt>);

fn total(tally: Tally) -> u32 {
    tally.pending + tally.processing + tally.retrying + tally.completed + tally.failed + tally.canceled
}

/// All that is in the store.
pub struct Found {
    events: Vec<(EventRecord, Vec<History>)>,
}

fn everything() -> Page {
    Page {
        limit: 1_000,
        cursor: None,
    }
}

/// Whether anything is still to be done.
pub async fn is_quiet(world: &World, store: &Store) -> Result<bool, StoreError> {
    let organisation = world.tenants.organisation;
    let events = store
        .list_events(organisation, EventFilter::default(), everything())
        .await?;
    Ok(events.records.iter().all(|event| event.status.is_final())
        && store.running_replays().await?.is_empty()
        && store.deleted_workspaces().await?.is_empty())
}

/// Reads all there is.
pub async fn found(world: &World, store: &Store) -> Result<Found, StoreError> {
    let organisation = world.tenants.organisation;
    let page = store
        .list_events(organisation, EventFilter::default(), everything())
        .await?;
    let mut events = Vec::new();
    for event in page.records {
        let mut deliveries = Vec::new();
        for delivery in store.deliveries_of(event.id).await? {
            let attempts = store.list_attempts(delivery.id, everything()).await?;
            deliveries.push((delivery, attempts.records));
        }
        events.push((event, deliveries));
    }
    Ok(Found { events })
}

impl Found {
    /// What has not ended, in words.
    pub fn open(&self, ledger: &Ledger) -> String {
        let mut open = Vec::new();
        for (event, deliveries) in &self.events {
            for (delivery, _) in deliveries {
                if !delivery.state.status.is_final() {
                    open.push(format!("{} {:?}", ledger.name(delivery.id), delivery.state));
                }
            }
            if !event.status.is_final() && deliveries.is_empty() {
                open.push(format!("{event:?}"));
            }
        }
        open.join("\n")
    }
}

/// Everything that is not as it must be.
pub async fn judged(world: &World, store: &Store, found: &Found) -> Result<Vec<String>, StoreError> {
    let mut faults = Vec::new();
    {
        let ledger = world.ledger();
        faults.extend(ledger.violations.iter().cloned());
        let trial = Trial {
            world,
            ledger: &ledger,
        };
        trial.emitters(found, &mut faults);
        trial.deliveries(found, &mut faults);
        trial.receiver(found, &mut faults);
        order::judged(world, &ledger, &mut faults);
        trial.rates(&mut faults);
        if world.is_fair() {
            trial.speed(&mut faults);
        }
    }
    for (number, workspace) in world.tenants.workspaces.iter().enumerate() {
        // What was used stays used when it is deleted.
        if world.ledger().deleted_workspaces.contains(&number) {
            continue;
        }
        let filter = UsageFilter {
            from: Day(0),
            to: Day(i64::from(u32::MAX)),
            workspace: Some(workspace.id),
        };
        let counted = store.usage(world.tenants.organisation, filter).await?.total;
        let mut there = [0; 5];
        for (event, deliveries) in &found.events {
            if event.workspace != workspace.id {
                continue;
            }
            there[0] += 1;
            for (_, attempts) in deliveries {
                there[1] += 1;
                there[2] += attempts.len() as u64;
                let delivered = |attempt: &&Attempt| attempt.outcome_code == OutcomeCode::Delivered;
                there[3] += attempts.iter().filter(delivered).count() as u64;
            }
            let ledger = world.ledger();
            there[4] += ledger.place(event.id).map_or(0, |place| ledger.sent[place].bytes);
        }
        let counted = [
            counted.events,
            counted.deliveries,
            counted.attempts,
            counted.delivered,
            counted.bytes,
        ];
        let pruned = world.ledger().is_pruned(number, Part::Payload);
        let fits = match pruned {
            true => counted
                .iter()
                .zip(there)
                .all(|(counted, there)| *counted >= there),
            false => counted == there,
        };
        if !fits {
            faults.push(format!(
                "w{number} is said to have used {counted:?}, and has {there:?}"
            ));
        }
    }
    replays(world, store, &mut faults).await?;
    Ok(faults)
}

/// Each has come to its end, and has an answer for every row that it looked at.
async fn replays(world: &World, store: &Store, faults: &mut Vec<String>) -> Result<(), StoreError> {
    let replays = world.ledger().replays.clone();
    for (id, workspace) in replays {
        let Some(replay) = store.replay(world.tenants.organisation, id).await? else {
            continue;
        };
        if !matches!(replay.progress, Progress::Completed | Progress::Canceled) {
            faults.push(format!("a replay of w{workspace} is {:?}", replay.progress));
        }
        let answers = replay.replayed + replay.created + replay.skipped;
        let fits = match replay.rules {
            Rules::Original => replay.processed == answers && replay.created == 0,
            Rules::Current => replay.processed <= answers,
        };
        if !fits {
            faults.push(format!("a replay of w{workspace} has lost count: {replay:?}"));
        }
    }
    Ok(())
}

struct Trial<'a> {
    world: &'a World,
    ledger: &'a Ledger,
}

impl Trial<'_> {
    /// What was accepted is there, what was refused is not, and one name is one event.
    fn emitters(&self, found: &Found, faults: &mut Vec<String>) {
        let there: BTreeMap<EventId, &Vec<History>> = found
            .events
            .iter()
            .map(|(event, deliveries)| (event.id, deliveries))
            .collect();
        let mut named: BTreeMap<(usize, u64), usize> = BTreeMap::new();
        for (place, sent) in self.ledger.sent.iter().enumerate() {
            if self.ledger.deleted_workspaces.contains(&sent.workspace) {
                continue;
            }
            let is_there = there.get(&sent.id);
            match (sent.told, is_there) {
                (Told::Accepted, None) if self.ledger.is_pruned(sent.workspace, Part::Event) => {
                    for (rule, delivery) in &sent.deliveries {
                        if !self.has_ended(sent.id, *rule, *delivery) {
                            let name = self.ledger.name(*delivery);
                            faults.push(format!("{name} was pruned before its end"));
                        }
                    }
                }
                (Told::Accepted, None) => faults.push(format!("e{place} was accepted and is lost")),
                (Told::Not, Some(_)) => faults.push(format!("e{place} was refused and is there")),
                _ => {}
            }
            let Some(deliveries) = is_there else { continue };
            if let Some((key, _)) = sent.key
                && let Some(other) = named.insert((sent.workspace, key), place)
            {
                faults.push(format!("e{other} and e{place} have the same name"));
            }
            for (rule, delivery) in &sent.deliveries {
                let made = deliveries.iter().any(|(made, _)| made.id == *delivery);
                let gone = self.ledger.is_pruned(sent.workspace, Part::Event);
                if !made && !gone && !self.ledger.deleted_rules.contains(rule) {
                    faults.push(format!("{} was not made", self.ledger.name(*delivery)));
                }
            }
            let anew = self.ledger.matched_anew.contains(&sent.workspace);
            if deliveries.len() > sent.deliveries.len() && !anew {
                faults.push(format!("e{place} has more deliveries than rules"));
            }
        }
    }

    /// Counters, numbers, and an end that the history explains.
    fn deliveries(&self, found: &Found, faults: &mut Vec<String>) {
        for (event, deliveries) in &found.events {
            let mut recount = Tally::default();
            for (delivery, attempts) in deliveries {
                *recount.count_mut(delivery.state.status) += 1;
                let name = self.ledger.name(delivery.id);
                let mut numbers: Vec<u32> = attempts.iter().map(|attempt| attempt.number).collect();
                numbers.sort_unstable();
                let pruned = attempts.is_empty() && self.is_pruned(event, Part::Attempts);
                if !pruned && numbers != (1..=delivery.state.attempt_count).collect::<Vec<_>>() {
                    faults.push(format!(
                        "{name} has the attempts {numbers:?} of {}",
                        delivery.state.attempt_count
                    ));
                }
                if let Some(fault) = self.unexplained(delivery, attempts, pruned) {
                    faults.push(format!("{name} {fault}"));
                }
            }
            // Its deliveries go one by one.
            let goes = self.is_pruned(event, Part::Event) && total(recount) < total(event.tally);
            if !goes && (event.tally, event.status) != (recount, recount.status()) {
                faults.push(format!(
                    "{:?} is counted as {:?}, and is {recount:?}",
                    event.id, event.tally
                ));
            }
        }
    }

    fn is_pruned(&self, event: &EventRecord, part: Part) -> bool {
        let mut workspaces = self.world.tenants.workspaces.iter();
        let number = workspaces.position(|known| known.id == event.workspace);
        number.is_some_and(|number| self.ledger.is_pruned(number, part))
    }

    /// Whether the world outside knows an end of it. Where reading fails, the last attempts of one that is
    /// tried in vain may never have left.
    fn has_ended(&self, event: EventId, rule: RuleId, delivery: DeliveryId) -> bool {
        let schedule = SHORT_SCHEDULE.split(',').count() as u64;
        let mut arrivals = self.ledger.arrivals.iter();
        self.world.reads_fail()
            || self.ledger.canceled.contains(&(event, rule))
            || self.ledger.deleted_rules.contains(&rule)
            || arrivals.any(|arrival| {
                let acted = arrival.last && arrival.acted && arrival.answered == Some(200);
                let refused = matches!(arrival.answered, Some(400 | 401 | 410));
                arrival.delivery == delivery && (acted || refused || arrival.attempt >= schedule)
            })
    }

    fn unexplained(&self, delivery: &DeliveryRecord, attempts: &[Attempt], pruned: bool) -> Option<String> {
        let arrivals = || {
            self.ledger
                .arrivals
                .iter()
                .filter(|arrival| arrival.delivery == delivery.id)
        };
        let last = attempts.iter().max_by_key(|attempt| attempt.number);
        match delivery.state.status {
            Status::Completed => {
                let acted = arrivals().any(|arrival| arrival.acted && arrival.answered == Some(200));
                let recorded = last.is_some_and(|last| last.outcome_code == OutcomeCode::Delivered);
                match (acted, recorded) {
                    (false, _) => Some("is completed, and the receiver did not act".into()),
                    (_, false) if !pruned => {
                        Some("is completed, and its last attempt did not deliver".into())
                    }
                    _ => None,
                }
            }
            Status::Canceled => {
                let wished = self.ledger.canceled.contains(&(delivery.event, delivery.rule));
                let deleted = self.ledger.deleted_rules.contains(&delivery.rule);
                (!wished && !deleted).then(|| "is canceled, and nobody wished it".into())
            }
            Status::Failed => {
                let short = SHORT_SCHEDULE.split(',').count();
                let used_up = delivery.state.run_attempts as usize >= short;
                let refused = match last {
                    None => arrivals().any(|arrival| matches!(arrival.answered, Some(400 | 401 | 410))),
                    Some(last) => matches!(last.status, Some(400 | 401 | 410)),
                };
                let deleted = self.ledger.deleted_rules.contains(&delivery.rule);
                (!used_up && !refused && !deleted).then(|| {
                    let message = last.map(|last| last.message.as_str()).unwrap_or_default();
                    format!("failed for no reason: {message}")
                })
            }
            open => Some(format!("is {open} after all is quiet")),
        }
    }

    /// What arrived was accepted, under one id, each attempt once, and again only for a reason.
    fn receiver(&self, found: &Found, faults: &mut Vec<String>) {
        let known: BTreeMap<DeliveryId, (EventId, RuleId)> = found
            .events
            .iter()
            .flat_map(|(_, deliveries)| deliveries)
            .map(|(delivery, _)| (delivery.id, (delivery.event, delivery.rule)))
            .collect();
        let mut by_delivery: BTreeMap<DeliveryId, Vec<&Arrival>> = BTreeMap::new();
        let mut once = BTreeSet::new();
        for arrival in &self.ledger.arrivals {
            by_delivery.entry(arrival.delivery).or_default().push(arrival);
            let name = self.ledger.name(arrival.delivery);
            if !once.insert((arrival.delivery, arrival.attempt, arrival.last)) {
                faults.push(format!("{name} attempt {} came twice", arrival.attempt));
            }
            let Some(place) = self.ledger.place(arrival.event) else {
                faults.push(format!("{name} is of an event that nobody sent"));
                continue;
            };
            let sent = &self.ledger.sent[place];
            if sent.told == Told::Not {
                faults.push(format!("{name} is of an event that was refused"));
            }
            let made = sent.deliveries.iter().any(|(_, made)| *made == arrival.delivery);
            if !made && !self.ledger.matched_anew.contains(&sent.workspace) {
                faults.push(format!("{name} is a delivery of e{place} that nobody made"));
            }
        }
        for (delivery, arrivals) in by_delivery {
            let name = self.ledger.name(delivery);
            let mut times = 0;
            for (place, first) in arrivals.iter().enumerate() {
                let done = first.last && first.acted && first.answered == Some(200);
                let again = arrivals[place + 1..]
                    .iter()
                    .find(|later| later.life == first.life && later.attempt > first.attempt);
                let Some(again) = again.filter(|_| done) else {
                    continue;
                };
                times += 1;
                let wished = known.get(&delivery).and_then(|of| self.ledger.retried.get(of));
                let workspace = self
                    .ledger
                    .place(first.event)
                    .map(|place| self.ledger.sent[place].workspace);
                let replayed = workspace.and_then(|workspace| self.ledger.replayed.get(&workspace));
                let later = |tick: Option<&u64>| tick.is_some_and(|tick| *tick > first.tick);
                // A replay takes what had ended before it was made, by the clock. When that was set, this
                // may be what ended after.
                let misled = replayed.is_some() && !self.ledger.jumps.is_empty();
                if !later(wished) && !later(replayed) && !misled && known.contains_key(&delivery) {
                    faults.push(format!(
                        "{name} came again as attempt {} although attempt {} was answered with 200",
                        again.attempt, first.attempt
                    ));
                }
            }
            // A replay takes each row once.
            let wished = known.get(&delivery).and_then(|of| self.ledger.retries.get(of));
            let workspace = arrivals
                .first()
                .and_then(|first| self.ledger.place(first.event))
                .map(|place| self.ledger.sent[place].workspace);
            let replays = self.ledger.replays.iter();
            let reasons = wished.unwrap_or(&0) + replays.filter(|(_, of)| Some(*of) == workspace).count();
            if times > reasons && known.contains_key(&delivery) {
                faults.push(format!(
                    "{name} came again {times} times, and was wished for {reasons} times"
                ));
            }
        }
    }

    /// In one life of the process, no window of an account holds more than its rate allows.
    fn rates(&self, faults: &mut Vec<String>) {
        for connection in &self.world.tenants.connections {
            let kind = KINDS.iter().find(|kind| kind.name == connection.kind);
            let Some((requests, seconds)) = kind.and_then(|kind| kind.rate) else {
                continue;
            };
            let arrivals: Vec<_> = self
                .ledger
                .arrivals
                .iter()
                .filter(|arrival| arrival.connection == connection.id)
                .collect();
            for window in arrivals.windows(requests as usize + 1) {
                let (first, last) = (window[0], window[requests as usize]);
                let took = last.at - first.at;
                if first.life == last.life && took < i64::from(seconds) * 1000 {
                    faults.push(format!(
                        "{} had {} requests in {took} ms",
                        connection.name,
                        requests + 1
                    ));
                }
            }
        }
    }

    /// When nothing fails, an event is delivered at once.
    fn speed(&self, faults: &mut Vec<String>) {
        for sent in &self.ledger.sent {
            for (_, delivery) in &sent.deliveries {
                let arrival = self.ledger.arrivals.iter().find(|a| a.delivery == *delivery);
                let Some(arrival) = arrival else { continue };
                let paced = self
                    .world
                    .tenants
                    .connections
                    .iter()
                    .any(|c| c.id == arrival.connection && c.kind == "paced");
                let took = arrival.at - sent.at;
                if took > AT_ONCE_MS && !paced {
                    faults.push(format!(
                        "{} was delivered after {took} ms",
                        self.ledger.name(*delivery)
                    ));
                }
            }
        }
    }
}
