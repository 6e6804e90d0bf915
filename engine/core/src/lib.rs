//! The pure heart of Heddle: identifiers, events, rules and their conditions, templates, the delivery state machine,
//! the retry policy and the shapes that travel between host and plugin.
//!
//! Nothing here does I/O. There is no tokio, no SQL, no Wasm, no HTTP client and no clock: the
//! time and the randomness that a function needs are its arguments. Every other crate calls these
//! functions; none of them decides a delivery's fate by itself.

pub mod calendar;
pub mod catalog;
pub mod condition;
pub mod connection;
pub mod delivery;
pub mod event;
pub mod exchange;
pub mod id;
pub mod json;
pub mod limits;
pub mod manifest;
pub mod mapping;
pub mod ordering;
pub mod outcome;
pub mod quota;
pub mod replay;
pub mod retry;
pub mod routing;
pub mod rule;
pub mod secret;
pub mod session;
pub mod template;
pub mod time;
