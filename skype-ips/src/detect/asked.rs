//! Whose name an inside host asks for on a TCP connection, whether or not that proves anything.

use std::ops::Range;

use skype_ips_common::layout::{INBOUND, OUTBOUND};

use super::certificate::{self, Certificate};
use super::client_hello::{self, Hello};
use super::flow::place;
use super::http;
use super::names::{Names, Owner};
use super::stream::Head;

/// A name, whose it is, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Whose it is.
    pub owner: Owner,
    /// The name.
    pub name: String,
    /// Number of the packet that has it, or its beginning.
    pub packet: u64,
    /// Where in that packet's payload.
    pub bytes: Range<u32>,
    /// What asked for it, in words.
    pub how: &'static str,
}

/// The name that the inside end asks for, or that the server's certificate has where it names
/// none; `None` if no pack knows it.
pub fn asked(heads: &[Head; 2], names: &Names) -> Option<Asked> {
    let (own, other) = (&heads[OUTBOUND], &heads[INBOUND]);
    match client_hello::read(own.bytes()) {
        Hello::Name(name) => of(own, name, names, "the server that a TLS hello asks for"),
        Hello::Nameless => match certificate::read(other.bytes()) {
            Certificate::Names(found) => {
                let how = "a name in the certificate of a TLS server";
                let mut all = found.into_iter();
                let first = all.find_map(|name| of(other, name, names, how))?;
                let same = |name: String| {
                    let owner = names.owner(&name).map(|(_, owner)| owner);
                    owner.is_none_or(|owner| owner == first.owner)
                };
                all.all(same).then_some(first)
            }
            Certificate::No | Certificate::Short => None,
        },
        Hello::No | Hello::Short => {
            let host = http::host(own.bytes())?;
            of(own, host, names, "the host that an HTTP request asks for")
        }
    }
}

fn of(head: &Head, name: String, names: &Names, how: &'static str) -> Option<Asked> {
    let (_, owner) = names.owner(&name)?;
    let (packet, bytes) = head.brought(place(head, &name)).into_iter().next()?;
    Some(Asked {
        owner,
        name,
        packet,
        bytes,
        how,
    })
}
