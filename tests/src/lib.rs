//! What the tests from outside are made of: the real binary as a child process ([`engine`]), a
//! client that speaks the published contract ([`api`]), the tokens that it signs ([`token`]), and
//! a receiver that plays every destination ([`receiver`]).
//!
//! Nothing here reaches into the engine: it sees what an operator, a product and a destination see.
//! The binary is the one beside the test executable, so build it first (`make test` does).

pub mod api;
pub mod engine;
pub mod provider;
pub mod receiver;
pub mod token;
pub mod wait;
mod warm;
