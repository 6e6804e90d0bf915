//! Typed identifiers. All of them are UUIDv7: sortable by the time of their making, and parsed by
//! clients that insist on UUIDs. The caller makes them, so that a store never has to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::time::Timestamp;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// An identifier made at `now` from ten bytes of randomness.
            pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
                Self(uuid_v7(now, random))
            }

            /// The sixteen bytes that SQL stores.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// Back from the sixteen bytes that SQL stores.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        /// Any UUID is accepted, of whatever version: clients may name ids of other systems.
        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text).map(Self)
            }
        }
    )*};
}

ids! {
    /// An organisation: the SaaS product that runs workspaces for its customers.
    OrganisationId,
    /// A workspace: the tenant boundary.
    WorkspaceId,
    /// A publishable key of a workspace.
    PublishableKeyId,
    /// An embed session; the API writes `sess_` before it.
    SessionId,
    /// A configured destination.
    ConnectionId,
    /// A routing rule.
    RuleId,
    /// An accepted event.
    EventId,
    /// One event × one rule (the contract's rule event). Receivers see it as their deduplication key.
    DeliveryId,
    /// One try of a delivery.
    AttemptId,
    /// What a workspace calls one of its events or resources.
    TermId,
    /// A bulk replay.
    ReplayId,
    /// A version of a connection's default mapping.
    MappingId,
    /// A connection's field catalog.
    CatalogId,
}

fn uuid_v7(now: Timestamp, random: [u8; 10]) -> Uuid {
    let millis = u64::try_from(now.0).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_uuid_of_version_seven_that_sorts_by_time() {
        let early = EventId::new(Timestamp(1_000), [0xff; 10]);
        let late = EventId::new(Timestamp(1_001), [0; 10]);
        assert!(early < late);
        assert_eq!(early.0.get_version_num(), 7);
        assert_eq!(early.to_string().parse::<EventId>(), Ok(early));
        assert_eq!(EventId::from_bytes(*early.as_bytes()), early);
    }
}
