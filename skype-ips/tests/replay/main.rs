//! The replay driver over the shared captures (where they are found) and made-up ones.

mod annotate;
mod captures;
mod command;
mod driver;
mod explain;
mod openings;
mod policy;
mod support;
