//! The local control API: HTTP/1.1 over a Unix socket, versioned JSON.

mod changes;
mod client;
mod json;
mod server;
mod views;

pub use client::{Client, ClientError, blocking};
pub use server::serve;
