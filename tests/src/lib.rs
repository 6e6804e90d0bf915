//! What the tests from outside are made of: the real binary as a child process ([`engine`]), a
//! client that speaks the published contract ([`api`]), the tokens that it signs ([`token`]), a
//! receiver that plays every destination ([`receiver`]), and providers that are played from a script
//! ([`provider`], [`fixture`]) and held against their published descriptions ([`prism`]).
//!
//! Nothing here reaches into the engine: it sees what an operator, a product and a destination see.
//! The binary is the one beside the test executable, so build it first (`make test` does).

pub mod api;
pub mod description;
pub mod engine;
pub mod fixture;
pub mod network;
pub mod prism;
pub mod provider;
pub mod receiver;
pub mod token;
pub mod wait;
mod warm;
