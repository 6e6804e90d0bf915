//! Emitters: they send events, one or several at once, some with a name of their own, and send those
//! again whose fate they do not know. What the API's door does between them and the store is done here.

use std::sync::Arc;

use heddle_core::condition::Facts;
use heddle_core::delivery::State;
use heddle_core::event::Event;
use heddle_core::id::{DeliveryId, EventId};
use heddle_store::{Acceptance, Accepted, Emission, NewDelivery, Once, Store, StoreError};

use super::chance::random;
use super::ledger::{Sent, Told};
use super::world::{NAMES, World, schedule};
use crate::Intake;

/// As many have something happen to them; ordered rules keep the order for each.
const PEOPLE: u64 = 2;

/// What an emitter wants to say.
#[derive(Clone, Debug)]
pub struct Wish {
    workspace: usize,
    name: &'static str,
    content: u64,
    key: Option<u64>,
}

impl Wish {
    pub fn new(world: &World) -> Self {
        let mut chance = world.chance();
        let content = chance.next();
        Self {
            workspace: usize::try_from(chance.below(2)).unwrap_or_default(),
            name: NAMES[usize::from(chance.happens(500))],
            content,
            key: chance.happens(400).then(|| chance.below(1_000_000)),
        }
    }

    /// One that was said before, under the same name; now and then with another content.
    pub fn again(world: &World) -> Option<Self> {
        let keyed: Vec<_> = {
            let ledger = world.ledger();
            let keyed = ledger.sent.iter().filter_map(|sent| {
                let (key, content) = sent.key?;
                Some((sent.workspace, key, content))
            });
            keyed.collect()
        };
        let mut chance = world.chance();
        let (workspace, key, content) = *chance.pick(&keyed)?;
        let other = u64::from(chance.happens(100));
        Some(Self {
            workspace,
            name: NAMES[0],
            content: content + other,
            key: Some(key),
        })
    }
}

/// Sends wishes in one call; again, when the store is not available and the emitter is patient. Now and
/// then it hangs up before it is answered.
pub async fn emit(world: Arc<World>, intake: Intake, store: Store, wishes: Vec<Wish>) {
    let tries = world.chance().between(1, 3);
    for _ in 0..tries {
        let (mut emissions, mut places) = (Vec::new(), Vec::new());
        let call = world.ledger().tick();
        for wish in &wishes {
            match emission(&world, &store, wish, call).await {
                Ok((emission, place)) => {
                    emissions.push(emission);
                    places.push(place);
                }
                Err(error) => world.note(format_args!("emitter: the rules cannot be read: {error}")),
            }
        }
        if emissions.is_empty() {
            continue;
        }
        let patience = {
            let mut chance = world.chance();
            let hurried = chance.happens(100);
            let milliseconds = if hurried {
                chance.below(20)
            } else {
                u64::from(u32::MAX)
            };
            std::time::Duration::from_millis(milliseconds)
        };
        let Ok(accepted) = tokio::time::timeout(patience, intake.accept(emissions)).await else {
            for place in places {
                world.note(format_args!("emitter: e{place} hangs up"));
            }
            return;
        };
        match accepted {
            Ok(accepted) => {
                for (place, accepted) in places.into_iter().zip(accepted) {
                    told(&world, place, accepted);
                }
                return;
            }
            Err(error) => {
                for place in places {
                    world.note(format_args!("emitter: e{place} refused: {error}"));
                    world.ledger().sent[place].told = Told::Not;
                }
                if !matches!(error, StoreError::Unavailable { .. }) {
                    return;
                }
            }
        }
        let pause = world.chance().between(10, 3_000);
        tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
    }
}

fn told(world: &World, place: usize, accepted: Accepted) {
    let (known, word) = match &accepted {
        Accepted::New(record) => (Some(record.id), "accepted"),
        Accepted::Replayed(record) => (Some(record.id), "accepted before"),
        Accepted::KeyTaken => (None, "its key is taken"),
        Accepted::OverQuota(_) => (None, "over quota"),
    };
    {
        let mut ledger = world.ledger();
        ledger.sent[place].told = Told::Not;
        if let Some(known) = known {
            match ledger.place(known) {
                Some(known) => {
                    let tick = ledger.tick();
                    let sent = &mut ledger.sent[known];
                    sent.told = Told::Accepted;
                    sent.accepted.get_or_insert(tick);
                }
                None => ledger
                    .violations
                    .push(format!("e{place} stands for an event that nobody sent")),
            }
        }
    }
    world.note(format_args!("emitter: e{place} {word}"));
}

/// The event as it goes to the store, with a delivery for each rule that it matches, and its place in
/// the ledger.
async fn emission(
    world: &World,
    store: &Store,
    wish: &Wish,
    call: u64,
) -> Result<(Emission, usize), StoreError> {
    let now = world.now();
    let event = Event {
        id: EventId::new(now, random()),
        workspace: world.tenants.workspaces[wish.workspace].id,
        event: wish.name.into(),
        resource: "global".into(),
        resource_id: None,
        payload: format!(
            r#"{{"content":{},"who":"p{}"}}"#,
            wish.content,
            wish.content % PEOPLE
        )
        .into(),
        created_by: "mk_sim".into(),
        created_at: now,
    };
    let rules = store.rules_of(event.workspace).await?;
    let matching: Vec<_> = rules
        .matching(&Facts::of(&event))
        .into_iter()
        .map(|matched| (matched.rule.id, matched.rule.connection, matched.ordering_key))
        .collect();
    let mut deliveries = Vec::new();
    for (rule, leads_to, ordering_key) in matching {
        let connection = store.connection_for_delivery(leads_to).await?;
        let own = connection.and_then(|connection| connection.retry_schedule());
        let seed = u64::from_le_bytes(random());
        deliveries.push(NewDelivery {
            id: DeliveryId::new(now, random()),
            rule,
            connection: leads_to,
            leased_until: None,
            ordering_key,
            state: State::new(now, &own.unwrap_or_else(schedule), seed),
        });
    }
    let sent = Sent {
        id: event.id,
        workspace: wish.workspace,
        key: wish.key.map(|key| (key, wish.content)),
        deliveries: deliveries
            .iter()
            .map(|delivery| (delivery.rule, delivery.id))
            .collect(),
        bytes: event.payload.len() as u64,
        told: Told::Nothing,
        at: world.clock.elapsed(),
        sent: call,
        accepted: None,
    };
    let place = {
        let mut ledger = world.ledger();
        let lines = deliveries
            .iter()
            .filter_map(|made| Some((made.id, (made.rule, made.ordering_key?))));
        ledger.lines.extend(lines);
        ledger.sends(sent, &world.tenants.rule_ids())
    };
    world.note(format_args!(
        "emitter: e{place} to w{} as {}{}",
        wish.workspace,
        wish.name,
        if wish.key.is_some() { ", named" } else { "" }
    ));
    let once = wish.key.map(|key| Once {
        key: bytes(key),
        fingerprint: bytes(wish.content),
    });
    let acceptance = Acceptance { event, deliveries };
    Ok((Emission { acceptance, once }, place))
}

fn bytes(number: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes
}
