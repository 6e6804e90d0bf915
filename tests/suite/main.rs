//! The whole engine from outside: the real binary, a real listener, a real receiver. One file, one
//! theme; `tidy` reads the sources instead.

mod auth;
mod bulk;
mod cli;
mod contract;
mod crash;
mod disk;
mod fan_out;
mod guard;
mod history;
mod ingest;
mod isolation;
mod plugins;
mod retries;
mod secrets;
mod shutdown;
mod tenancy;
mod tidy;
mod webhook;
