//! Heddle's client: emit events, and manage what becomes of them.
//!
//! - [`EventsClient`] emits, one event or many; [`Batcher`] collects events and emits them together
//! - [`ManagementClient`] is everything else; [`shapes`] are what it takes and gives
//! - [`Error`] is what can go wrong; [`Timing`] is where time comes from, for tests
#![doc = concat!("\n", include_str!("../README.md"))]

mod access;
mod batcher;
mod chunks;
mod credential;
mod error;
mod event;
mod events;
mod management;
pub mod shapes;
mod timing;
mod transport;

pub use batcher::{BatchOptions, Batcher, Outcome};
pub use credential::{Credential, MachineKey};
pub use error::Error;
pub use event::{AcceptedEvent, BatchResult, EventInput, Record, RefusedEvent};
pub use events::EventsClient;
pub use management::ManagementClient;
pub use timing::{SystemTiming, Timing};
pub use transport::Options;
