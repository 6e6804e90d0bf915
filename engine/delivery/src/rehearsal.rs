//! What a rule would send for an event, found out without sending it: an adapter is a pure function, and
//! called without replies it names its first request. Credentials are not in it; the way out would add
//! them.

use heddle_core::connection::Connection;
use heddle_core::delivery::State;
use heddle_core::event::Event;
use heddle_core::exchange::{Function, Request, Step};
use heddle_core::id::DeliveryId;
use heddle_core::retry::Schedule;
use heddle_core::rule::Rule;
use heddle_core::time::Timestamp;
use heddle_sandbox::{Patience, Plugin};
use heddle_store::{Claimed, Lease, MappingMaterial};

use crate::input;
use crate::mapping::Mappings;

/// A delivery that is not made.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Rehearsal {
    pub delivery: DeliveryId,
    pub rule: Rule,
    pub event: Event,
    pub connection: Connection,
    /// What fills the destination's fields where the rule has no mapping of its own.
    pub material: MappingMaterial,
    pub now: Timestamp,
}

impl Rehearsal {
    /// The first request; `None` when the adapter is done without one. The error is for people: why the
    /// delivery would fail before it sends anything. Takes as long as the plugin may: not for an async
    /// thread.
    pub fn first_request(self, plugin: &Plugin, schedule: &Schedule) -> Result<Option<Request>, String> {
        let now = self.now;
        let claimed = Claimed {
            lease: Lease::default(),
            delivery: self.delivery,
            workspace: self.event.workspace,
            connection: self.connection.id,
            rule: self.rule.into(),
            event: self.event.into(),
            state: State {
                attempt_count: 1,
                ..State::new(now, schedule, 0)
            },
        };
        let mapped = Mappings::new(self.material)
            .apply(&claimed, plugin.manifest())
            .map_err(|outcome| outcome.message)?;
        let fields = mapped.as_ref().map_or("{}", |mapped| mapped.fields.as_str());
        let input = input::deliver(&claimed, &self.connection, fields, now)
            .map_err(|error| format!("The stored event cannot be read: {error}."))?;
        match plugin.call(Function::Deliver, &input, &[], Patience::Full) {
            Ok(Ok(Step::Send(request))) => Ok(Some(request)),
            Ok(Ok(Step::Done(_))) => Ok(None),
            Ok(Err(failure)) => Err(failure.message),
            Err(broken) => Err(broken.to_string()),
        }
    }
}
