//! The daemon on a real gateway: three network namespaces, real sockets, real rules.
//!
//! Needs root; without it every test says that it skipped. One test at a time, so that what the
//! kernel lists of ours belongs to the test that looks.
#![cfg(target_os = "linux")]

mod blocking;
mod both_inside;
mod control;
mod daemon;
mod failures;
mod listening_port;
mod media;
mod neighbours;
mod net;
mod refusals;
mod reject;
mod reload;
mod reload_load;
mod restrictions;
mod rules;
mod steady;
mod streams;
mod throttle;
