//! Conversations, cut where their programs begin to do something else in them.

use std::net::SocketAddrV4;

use super::Decision;
use super::decision::{Judge, View};
use crate::policy::{Class, Role};
use crate::simulator::net::program::{Doing, Ground, Instant, Matter};
use crate::simulator::net::{Conversation, Ledger, Passage, Protocol};
use crate::simulator::scenario::{Kind, Scenario};

/// A part of a conversation in which one thing is done.
#[derive(Clone, Debug)]
pub(super) struct Strand<'a> {
    /// Whose conversation it is: the number of an inside party.
    pub(super) party: usize,
    /// The other end, if it is inside too.
    pub(super) other: Option<usize>,
    pub(super) conversation: &'a Conversation,
    /// Place of the conversation in the ledger.
    pub(super) number: usize,
    pub(super) role: Role,
    pub(super) class: Class,
    /// Whether the outside end opened the conversation.
    pub(super) called: bool,
    /// Number of the session that is carried.
    pub(super) session: Option<u32>,
    pub(super) from: Instant,
    pub(super) packets: &'a [Passage],
    pub(super) decision: Decision,
}

impl Strand<'_> {
    /// Whether it is a connection that the outside opened.
    pub(super) fn is_called_connection(&self) -> bool {
        self.called && self.conversation.protocol == Protocol::Tcp
    }

    /// The inside end.
    pub(super) fn inside(&self) -> SocketAddrV4 {
        self.conversation.inside
    }
}

/// What an end does in a conversation, in the words of policies.
fn words(
    scenario: &Scenario,
    party: usize,
    called: bool,
    ground: Ground,
    doing: Option<Doing>,
) -> (Role, Class) {
    let of = |matter| match matter {
        Matter::Words => match ground.what {
            "login" => Class::Login,
            "version check" => Class::VersionCheck,
            _ => Class::Signaling,
        },
        Matter::Voice => Class::Voice,
        Matter::Video => Class::Video,
        Matter::File => Class::FileTransfer,
    };
    let serves = matches!(
        scenario.parties[party].kind,
        Kind::SuperNode | Kind::Bootstrap
    );
    match doing {
        Some(Doing::Carries { matter, .. }) => (Role::Relay, of(matter)),
        Some(Doing::Own(matter)) => (Role::Client, of(matter)),
        // Who comes to a super node is served; whom it calls itself, it talks to as its user's.
        Some(Doing::Serves) | None if serves && called => (Role::SuperNode, Class::Signaling),
        Some(Doing::Serves) | None => (Role::Client, of(Matter::Words)),
    }
}

/// All strands of a run, and what the policies say of them.
pub(super) fn strands<'a>(
    scenario: &Scenario,
    ledger: &'a Ledger,
    judge: &Judge<'_>,
) -> Vec<Strand<'a>> {
    let mut strands = Vec::new();
    let party_at = |end: SocketAddrV4| {
        let mut parties = scenario.parties.iter().enumerate();
        let (number, _) = parties
            .find(|(number, party)| party.address == *end.ip() && scenario.is_inside(*number))?;
        Some(number)
    };
    for (number, conversation) in ledger.conversations().iter().enumerate() {
        let Conversation {
            protocol,
            inside,
            outside,
            ground,
            ..
        } = *conversation;
        let Some(party) = party_at(inside) else {
            continue;
        };
        let other = party_at(outside);
        let called = conversation.is_called();
        let near = ledger.doings(protocol, inside, outside);
        let far = match other {
            Some(_) => ledger.doings(protocol, outside, inside),
            None => &[],
        };
        let mut cuts: Vec<Instant> = near.iter().chain(far).map(|(at, _)| *at).collect();
        cuts.push(Instant::ZERO);
        cuts.sort_unstable();
        cuts.dedup();
        let mut packets = conversation.packets.as_slice();
        for (place, from) in cuts.iter().enumerate() {
            let until = cuts.get(place + 1).copied().unwrap_or(Instant::MAX);
            let (own, rest) = packets.split_at(packets.partition_point(|one| one.at < until));
            packets = rest;
            let Some(first) = own.first() else {
                continue;
            };
            let at = |doings: &[(Instant, Doing)]| {
                let before = doings.iter().rev().find(|(at, _)| at <= from);
                before.map(|(_, doing)| *doing)
            };
            let doing = at(near);
            let (role, class) = words(scenario, party, called, ground, doing);
            let view = View {
                protocol,
                own: inside,
                peer: outside,
                called,
                role,
                class,
            };
            let mut decision = judge.decide(&view);
            if let Some(other) = other {
                let (role, class) = words(scenario, other, !called, ground, at(far));
                let view = View {
                    own: outside,
                    peer: inside,
                    called: !called,
                    role,
                    class,
                    ..view
                };
                decision = decision.stricter(judge.decide(&view));
            }
            strands.push(Strand {
                party,
                other,
                conversation,
                number,
                role,
                class,
                called,
                session: match doing {
                    Some(Doing::Carries { session, .. }) => Some(session),
                    _ => None,
                },
                from: first.at.max(*from),
                packets: own,
                decision,
            });
        }
    }
    strands
}
