//! The local control API: HTTP/1.1 over a Unix socket, versioned JSON.

mod client;
mod server;

pub use client::{Client, ClientError, blocking};
pub use server::serve;
