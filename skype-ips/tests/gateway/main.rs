//! The daemon on a real gateway: three network namespaces, real sockets, real rules.
//!
//! Needs root; without it every test says that it skipped. Each test has namespaces, folders and
//! kernel programs of its own, so several go on at a time; those that measure rates, or look for what
//! is left of a daemon that never was ready, have the machine to themselves.
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
mod paths;
mod refusals;
mod reject;
mod reload;
mod reload_load;
mod restrictions;
mod rules;
mod steady;
mod streams;
mod throttle;
