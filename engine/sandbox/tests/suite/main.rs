//! The sandbox from outside: what plugins may do, and what happens to those that do more.

mod cached;
mod called;
mod guests;
mod hostile;
mod refused;
mod registered;
