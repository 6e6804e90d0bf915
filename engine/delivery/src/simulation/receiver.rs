//! The faulty receiver, at the other end of the wire. It counts what is under way, and writes down what
//! arrives.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use heddle_core::exchange::{Reply, Request};
use heddle_core::id::{ConnectionId, DeliveryId, EventId};
use heddle_egress::{SendError, SendErrorKind, Wire};
use serde::Deserialize;

use super::ledger::Arrival;
use super::world::World;

/// The delivery's input, which the plugins send as it is.
#[derive(Deserialize)]
struct Body {
    delivery: Attempt,
    event: Named<EventId>,
    connection: Named<ConnectionId>,
}

#[derive(Deserialize)]
struct Attempt {
    id: DeliveryId,
    attempt: u64,
}

#[derive(Deserialize)]
struct Named<T> {
    id: T,
}

/// What the receiver does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Answer(u16),
    HangWithoutActing,
    ActAndHang,
    ActAndLoseTheAnswer,
    Unreachable,
    /// The sender's task dies.
    Defect,
    /// The sender's process dies.
    CrashBefore,
    CrashAfter,
}

impl Deed {
    fn acts(self) -> bool {
        matches!(
            self,
            Self::Answer(200) | Self::ActAndHang | Self::ActAndLoseTheAnswer | Self::CrashAfter
        )
    }
}

impl Wire for World {
    fn carry(&self, request: Request) -> Pin<Box<dyn Future<Output = Result<Reply, SendError>> + Send + '_>> {
        Box::pin(self.receive(request))
    }
}

impl World {
    async fn receive(&self, request: Request) -> Result<Reply, SendError> {
        let body: Body = serde_json::from_slice(&request.body).expect("the input is JSON");
        let connection = body.connection.id;
        let _under_way = UnderWay::new(self, connection, body.delivery.id);
        let deed = self.deed(connection);
        let last = request.url.ends_with("/act");
        let acted = last && deed.acts();
        let (arrival, name) = {
            let (at, life) = (self.clock.elapsed(), self.life());
            let mut ledger = self.ledger();
            let arrival = Arrival {
                tick: ledger.tick(),
                life,
                at,
                connection,
                event: body.event.id,
                delivery: body.delivery.id,
                attempt: body.delivery.attempt,
                last,
                acted,
                answered: None,
            };
            ledger.arrivals.push(arrival);
            (ledger.arrivals.len() - 1, ledger.name(body.delivery.id))
        };
        let attempt = body.delivery.attempt;
        self.note(format_args!(
            "{}: {name} attempt {attempt} {}: {deed:?}",
            self.name_of(connection),
            &request.url[16..]
        ));
        let latency = Duration::from_millis(self.chance().below(40));
        tokio::time::sleep(latency).await;
        let lost = |message: &str| SendError {
            kind: SendErrorKind::Network,
            message: message.into(),
        };
        match deed {
            Deed::Answer(status) => {
                self.ledger().arrivals[arrival].answered = Some(status);
                Ok(self.reply(status))
            }
            Deed::ActAndLoseTheAnswer => Err(lost("the answer is lost")),
            Deed::Unreachable => Err(lost("nobody is there")),
            Deed::Defect => std::panic::resume_unwind(Box::new("a defect of the simulation")),
            Deed::CrashBefore | Deed::CrashAfter if self.crash("at the receiver") => {
                std::future::pending().await
            }
            _ => std::future::pending().await,
        }
    }

    fn deed(&self, connection: ConnectionId) -> Deed {
        if self.is_black_hole(connection) {
            return Deed::HangWithoutActing;
        }
        let weather = self.weather();
        let mut chance = self.chance();
        let table = [
            (weather.refuses, Deed::Answer(400)),
            (weather.unauthorized, Deed::Answer(401)),
            (weather.gone, Deed::Answer(410)),
            (weather.errors, Deed::Answer(500)),
            (weather.throttles, Deed::Answer(429)),
            (weather.hangs / 2, Deed::HangWithoutActing),
            (weather.hangs / 2, Deed::ActAndHang),
            (weather.answer_lost, Deed::ActAndLoseTheAnswer),
            (weather.unreachable, Deed::Unreachable),
            (weather.defects, Deed::Defect),
            (weather.crashes / 2, Deed::CrashBefore),
            (weather.crashes / 2, Deed::CrashAfter),
        ];
        let happens = table.iter().find(|(often, _)| chance.happens(*often));
        happens.map_or(Deed::Answer(200), |(_, deed)| *deed)
    }

    fn reply(&self, status: u16) -> Reply {
        let mut chance = self.chance();
        let body = match status {
            200 => b"{}".to_vec(),
            429 | 500 if chance.happens(500) => chance.between(0, 60_000).to_le_bytes().to_vec(),
            _ => Vec::new(),
        };
        Reply {
            status,
            headers: Vec::new(),
            body,
        }
    }
}

/// A request under way, counted until its sender has the answer or gives up.
struct UnderWay<'a>(&'a World, ConnectionId, DeliveryId);

impl<'a> UnderWay<'a> {
    fn new(world: &'a World, connection: ConnectionId, delivery: DeliveryId) -> Self {
        let most = world.concurrency_of(connection);
        let mut ledger = world.ledger();
        let count = ledger.under_way.entry(connection).or_default();
        *count += 1;
        let count = *count;
        let all: u32 = ledger.under_way.values().sum();
        let line = ledger.lines.get(&delivery).copied();
        let before = line.and_then(|line| ledger.turns.insert(line, delivery));
        let names = before.map(|before| [before, delivery].map(|of| ledger.name(of)));
        drop(ledger);
        if let Some([before, name]) = names {
            world.violated(format!("{name} is under way beside {before}, of the same key"));
        }
        if count > most {
            world.violated(format!(
                "{count} requests under way at {}, which takes {most}",
                world.name_of(connection)
            ));
        }
        if all as usize > World::IN_FLIGHT {
            world.violated(format!("{all} requests under way over all connections"));
        }
        Self(world, connection, delivery)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut ledger = self.0.ledger();
        if let Some(count) = ledger.under_way.get_mut(&self.1) {
            *count -= 1;
        }
        if let Some(line) = ledger.lines.get(&self.2).copied() {
            ledger.turns.remove(&line);
        }
    }
}
