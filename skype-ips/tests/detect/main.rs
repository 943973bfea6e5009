//! What the engine finds, and what it leaves alone: on packets out of open captures (their hex is
//! quoted with its source), and on made-up ones.

mod both;
mod citations;
mod endpoints;
mod flows;
mod hosts;
mod late;
mod memory;
mod names;
mod never_and_always;
mod proxies;
mod roles;
mod support;
mod vectors;
