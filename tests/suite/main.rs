//! The whole engine from outside: the real binary, a real listener, a real receiver. One file, one
//! theme; `tidy` reads the sources instead.

mod auth;
mod backup;
mod bulk;
mod cli;
mod client;
mod client_calls;
mod cloudevents;
mod component;
mod conditions;
mod conformance;
mod contract;
mod crash;
mod crash_matrix;
// Limits of a process are set and read with Linux's tools.
#[cfg(target_os = "linux")]
mod crowds;
// A full disk is played with a Linux tool.
#[cfg(target_os = "linux")]
mod disk;
mod explain;
mod fairness;
mod fan_out;
#[cfg(target_os = "linux")]
mod faults;
mod forms;
mod guard;
mod history;
mod hostile;
mod idempotency;
mod ingest;
mod isolation;
mod json;
mod keys;
mod mapping;
mod openapi;
mod ordering;
mod pace;
mod plugins;
mod removal;
mod replays;
mod retention;
mod retries;
mod secrets;
mod shutdown;
mod tenancy;
mod tidy;
mod webhook;
