//! The kernel program, run by the kernel itself (`BPF_PROG_TEST_RUN`), decides as the gate does in
//! user space: packet by packet over every shared capture, and over frames that no interface here
//! can carry.
#![cfg(target_os = "linux")]

mod ambiguous;
mod budgets;
mod captures;
mod extras;
mod frames;
mod gate;
mod hosts;
mod places;
mod queue_share;
mod restrictions;
#[path = "../support/mod.rs"]
mod support;
mod swap;
mod twins;
mod user_space;
mod verifier;
mod watched;
