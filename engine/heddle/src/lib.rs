//! The Heddle binary as a library: configuration, command line, wiring and the demo. Everything
//! that knows the machine (clock, randomness, files, signals) is here and is passed down.

pub mod backup;
pub mod bundled;
pub mod cli;
pub mod demo;
pub mod engine;
pub mod home;
pub mod keys;
pub mod listen;
pub mod machine;
pub mod page;
pub mod plugin;
pub mod serve;
pub mod settings;
