//! What must be true of lines, whatever failed: of one ordering key, what was accepted first arrives first,
//! and a head that has failed holds those behind it where its rule says so. That no two of a line are under
//! way at once, is seen while it happens ([`super::receiver`]).

use std::collections::BTreeMap;

use heddle_core::id::{DeliveryId, EventId, RuleId};
use heddle_core::ordering::OnFailure;

use super::ledger::{Arrival, Ledger, Line, Told};
use super::world::World;

/// One of a line, as the world outside knows it.
struct Stander<'a> {
    event: EventId,
    delivery: DeliveryId,
    workspace: usize,
    /// When it was sent, and by when it was accepted for sure.
    sent: u64,
    accepted: Option<u64>,
    arrivals: Vec<&'a Arrival>,
}

/// Everything that is not as it must be.
pub fn judged(world: &World, ledger: &Ledger, faults: &mut Vec<String>) {
    for ((rule, _), line) in lines(ledger) {
        let on_failure = world
            .tenants
            .rules
            .iter()
            .find(|known| known.id == rule)
            .and_then(|known| known.order.as_ref())
            .map(|order| order.on_failure)
            .unwrap_or_default();
        for (place, later) in line.iter().enumerate() {
            for earlier in line[..place].iter().filter(|earlier| is_before(earlier, later)) {
                judge(ledger, rule, on_failure, earlier, later, faults);
            }
        }
    }
}

/// Those that may have been accepted, by line, in the order in which they were sent.
fn lines(ledger: &Ledger) -> BTreeMap<Line, Vec<Stander<'_>>> {
    let mut arrivals: BTreeMap<DeliveryId, Vec<&Arrival>> = BTreeMap::new();
    for arrival in &ledger.arrivals {
        arrivals.entry(arrival.delivery).or_default().push(arrival);
    }
    let mut lines: BTreeMap<Line, Vec<Stander<'_>>> = BTreeMap::new();
    for sent in ledger.sent.iter().filter(|sent| sent.told != Told::Not) {
        for (_, delivery) in &sent.deliveries {
            let Some(line) = ledger.lines.get(delivery) else {
                continue;
            };
            let arrivals = arrivals.remove(delivery).unwrap_or_default();
            let seen = arrivals.first().map(|first| first.tick);
            lines.entry(*line).or_default().push(Stander {
                event: sent.id,
                delivery: *delivery,
                workspace: sent.workspace,
                sent: sent.sent,
                accepted: sent.accepted.into_iter().chain(seen).min(),
                arrivals,
            });
        }
    }
    lines
}

/// Whether it was accepted before the other, for sure: known to be before the other was sent, or before it
/// in the same call.
fn is_before(earlier: &Stander<'_>, later: &Stander<'_>) -> bool {
    earlier
        .accepted
        .is_some_and(|accepted| accepted < later.sent || earlier.sent == later.sent)
}

fn judge(
    ledger: &Ledger,
    rule: RuleId,
    on_failure: OnFailure,
    earlier: &Stander<'_>,
    later: &Stander<'_>,
    faults: &mut Vec<String>,
) {
    let Some(passed) = later.arrivals.first() else {
        return;
    };
    let names = || [earlier, later].map(|of| ledger.name(of.delivery));
    let of = (earlier.event, rule);
    let anew = ledger.retried.contains_key(&of) || ledger.replayed.contains_key(&earlier.workspace);
    if !anew
        && earlier
            .arrivals
            .last()
            .is_some_and(|last| last.tick > passed.tick)
    {
        let [first, second] = names();
        faults.push(format!("{first} came after {second}, which waits for it"));
    }
    let given_up = ledger.canceled.contains(&of) || ledger.deleted_rules.contains(&rule);
    let done = |arrival: &&Arrival| {
        arrival.last && arrival.acted && arrival.answered == Some(200) && arrival.tick < passed.tick
    };
    if on_failure == OnFailure::Hold && !given_up && !earlier.arrivals.iter().any(done) {
        let [first, second] = names();
        faults.push(format!(
            "{second} came, and {first} was neither delivered nor given up"
        ));
    }
}
