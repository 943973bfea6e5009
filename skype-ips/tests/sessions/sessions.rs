//! The sessions: what a gateway sees of a Skype program.

use std::net::{Ipv4Addr, SocketAddrV4};

use proptest::prelude::*;
use skype_ips::simulator::speech::proxy::Proxy;
use skype_ips::simulator::speech::udp::{self, Noise};
use skype_ips::simulator::speech::{Process, noise};

use crate::openings::Opening;
use crate::script::{Host, MS, SECOND, Script, Session};
use crate::wire::{Note, Step};

/// Sessions that carry evidence by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Probes to many; NACKs; a connection to who answered, on the same port; login.
    SignIn,
    /// No UDP comes through: high port, 443 and 80 of several hosts.
    Fallback,
    /// Only others begin: probes from outside, connections to the listening port.
    Listener,
    /// The program is started again on another port.
    Restart,
    /// Hole punching, then media and keep-alives with peers.
    Chat,
    /// One message, answered.
    Exchange,
    /// Nothing comes through but connections to a proxy.
    Proxied,
}

impl Kind {
    pub(crate) fn any() -> impl Strategy<Value = Self> {
        prop::sample::select(vec![
            Self::SignIn,
            Self::Fallback,
            Self::Listener,
            Self::Restart,
            Self::Chat,
            Self::Exchange,
            Self::Proxied,
        ])
    }

    pub(crate) fn session(self, seed: u64) -> Session {
        let mut script = Script::new(seed);
        let rng = &mut script.rng;
        let mut host = match self {
            Self::Listener => Host::super_node(rng),
            _ => Host::client(rng),
        };
        match self {
            Self::SignIn => sign_in(&mut host, &mut script),
            Self::Fallback => fallback(&mut host, &mut script),
            Self::Listener => listener(&mut host, &mut script),
            Self::Restart => restart(&mut host, &mut script),
            Self::Chat => chat(&mut host, &mut script),
            Self::Exchange => exchange(&mut host, &mut script),
            Self::Proxied => proxied(&mut host, &mut script),
        }
        script.end()
    }
}

/// Five probes a second to ever new peers, some of which answer one way or the other; those that
/// don't are asked again. Returns the peers that did.
pub(crate) fn probe(
    time: u64,
    host: &mut Host,
    script: &mut Script,
    count: u64,
) -> Vec<SocketAddrV4> {
    script.listens(host);
    let mut answered = Vec::new();
    let mut unanswered = Vec::new();
    for index in 0..count {
        let now = time + index * 200 * MS;
        let len = script.rng.usize(7..=26);
        let peer = script.peer();
        let asked = script.ask(now, host, peer, len);
        let back = now + script.rng.u64(30..150) * MS;
        match script.rng.u8(0..4) {
            0 => script.nack(back, host, peer, &asked),
            1 => script.ack(back, host, peer, &asked),
            _ => {
                unanswered.push((now, peer, asked.1));
                continue;
            }
        }
        answered.push(peer);
    }
    // One more second and a bit, so that what draws goes forward in time.
    let rest = time + count * 200 * MS + 2050 * MS;
    for (index, (_, peer, sent)) in (0..).zip(&unanswered) {
        script.repeat(rest + index * 150 * MS, host, *peer, sent);
    }
    answered
}

fn open(time: u64, host: &mut Host, script: &mut Script, to: SocketAddrV4, how: Opening) -> u64 {
    host.process.wait_until(time);
    let (turns, proofs) = how.speak(&mut script.rng, &mut host.process.generator);
    script.connect(time, Script::outgoing(host, to, proofs), &turns)
}

fn one_of<T: Copy>(script: &mut Script, some: &[T]) -> T {
    some[script.rng.usize(0..some.len())]
}

fn sign_in(host: &mut Host, script: &mut Script) {
    script.everyday(host);
    let count = script.rng.u64(6..40);
    let answered = probe(0, host, script, count);
    search(count * 200 * MS + 11 * SECOND, host, script);
    let mut time = count * 200 * MS + 13 * SECOND;
    for peer in answered.into_iter().take(4) {
        let how = one_of(script, &Opening::PEERS);
        time = open(time, host, script, peer, how);
    }
    let server = script.peer();
    let port = one_of(script, &[33_033, 12_350, 443, 80]);
    let how = one_of(
        script,
        &[Opening::OldLogin, Opening::NewLogin, Opening::BareLogin],
    );
    open(
        time,
        host,
        script,
        SocketAddrV4::new(*server.ip(), port),
        how,
    );
}

/// A search, and its answer: two sets of fragments, each of several datagrams near the MTU.
fn search(time: u64, host: &mut Host, script: &mut Script) {
    let peer = script.peer();
    let (_, asked) = script.ask(time, host, peer, 15);
    let mut theirs = Process::super_node(&mut script.rng);
    let len = script.rng.usize(2000..12_000);
    let parts = theirs.fragments(&mut script.rng, asked.id, len);
    for (index, part) in (0..).zip(parts) {
        let at = time + 90 * MS + index * 12 * MS;
        script.datagram(at, (host.end, peer), false, part, Note::default());
    }
}

fn exchange(host: &mut Host, script: &mut Script) {
    script.listens(host);
    let peer = script.peer();
    let asked = script.ask(0, host, peer, 7);
    let back = script.rng.u64(30..2000) * MS;
    if script.rng.bool() {
        script.nack(back, host, peer, &asked);
    } else {
        script.ack(back, host, peer, &asked);
    }
}

fn fallback(host: &mut Host, script: &mut Script) {
    script.everyday(host);
    let mut time = 0;
    for _ in 0..script.rng.u8(2..6) {
        let peer = script.peer();
        for port in [peer.port(), 443, 80] {
            let how = match port {
                443 => Opening::FakeTls,
                _ => one_of(script, &Opening::PEERS),
            };
            open(time, host, script, SocketAddrV4::new(*peer.ip(), port), how);
            time += script.rng.u64(800..1700) * MS;
        }
    }
}

fn proxied(host: &mut Host, script: &mut Script) {
    script.everyday(host);
    let proxy = one_of(script, &Proxy::ALL);
    let to = SocketAddrV4::new(*script.peer().ip(), proxy.port());
    let mut time = 0;
    for _ in 0..script.rng.u8(2..6) {
        let how = one_of(script, &Opening::ALL);
        let dialogue = proxy.dialogue(script.peer());
        host.process.wait_until(time);
        let (turns, proofs) = how.speak(&mut script.rng, &mut host.process.generator);
        let connection = Script::outgoing(host, to, proofs);
        time = script.connect_behind(time, connection, &dialogue, &turns);
    }
}

/// A public node: what it sends are answers.
fn listener(host: &mut Host, script: &mut Script) {
    script.listens(host);
    let mut time = 0;
    for _ in 0..script.rng.u8(8..30) {
        time += script.rng.u64(50..3000) * MS;
        host.process.wait_until(time);
        let peer = script.peer();
        let ends = (host.end, peer);
        let exchange = script.exchange();
        let mut asker = Process::client(&mut script.rng);
        let len = script.rng.usize(7..=26);
        let asked = asker.message(&mut script.rng, len);
        let note = |step| Note {
            state: None,
            step: Some((exchange, step)),
        };
        let question = asked.datagram.clone();
        script.datagram(time, ends, false, question, note(Step::Ask));
        let back = time + MS;
        let (noise, challenge) = (Noise::some(&mut script.rng), script.rng.u32(..));
        match script.rng.u8(0..4) {
            0 => {
                let nack = udp::nack(asked.id, noise, *peer.ip(), challenge);
                script.datagram(back, ends, true, nack, note(Step::Answer));
                let rng = &mut script.rng;
                let again = asker.resend(rng, &asked, challenge, *host.end.ip());
                script.datagram(back + 80 * MS, ends, false, again, note(Step::Resend));
            }
            1 => {
                let ack = udp::ack(asked.id, noise, *peer.ip(), challenge);
                script.datagram(back, ends, true, ack, note(Step::Answer));
            }
            // Accepted or refused: a message of its own. Then the peer connects to the port.
            _ => {
                let len = one_of(script, &[7, 15, 40, 42]);
                let answer = host.process.message(&mut script.rng, len).datagram;
                let note = Note {
                    state: script.drawn(),
                    step: None,
                };
                script.datagram(back, ends, true, answer, note);
                if script.rng.bool() {
                    incoming(back + 200 * MS, host, script, *peer.ip());
                }
            }
        }
    }
}

/// A peer connects to the listening port.
fn incoming(time: u64, host: &Host, script: &mut Script, peer: Ipv4Addr) {
    let how = one_of(script, &Opening::PEERS);
    let mut theirs = Process::client(&mut script.rng).generator;
    let (turns, proofs) = how.speak(&mut script.rng, &mut theirs);
    let port = script.rng.u16(1025..65_000);
    let from = SocketAddrV4::new(peer, port);
    script.connect(time, Script::incoming(host, from, proofs), &turns);
}

fn restart(host: &mut Host, script: &mut Script) {
    let count = script.rng.u64(6..20);
    probe(0, host, script, count);
    let mut again = Host::client(&mut script.rng);
    again.end = SocketAddrV4::new(*host.end.ip(), again.end.port());
    let count = script.rng.u64(6..20);
    probe(60 * SECOND, &mut again, script, count);
}

fn chat(host: &mut Host, script: &mut Script) {
    probe(0, host, script, 8);
    let mut time = 20 * SECOND;
    for _ in 0..script.rng.u8(1..5) {
        let peer = script.peer();
        let ends = (host.end, peer);
        // Both at once: the first of either may be stopped by a translator.
        script.ask(time, host, peer, 15);
        let mut theirs = Process::client(&mut script.rng);
        let hello = theirs.message(&mut script.rng, 15).datagram;
        script.datagram(time + MS, ends, false, hello, Note::default());
        for index in 0..script.rng.u64(5..60) {
            let outbound = script.rng.bool();
            let (id, bits) = (script.rng.u16(..), Noise::some(&mut script.rng));
            let len = script.rng.usize(4..200);
            let payload = if script.rng.u8(..) < 20 {
                udp::keep_alive(id, bits)
            } else {
                udp::data(id, bits, &noise(&mut script.rng, len))
            };
            let at = time + 2 * MS + index * 30 * MS;
            script.datagram(at, ends, outbound, payload, Note::default());
        }
        time += 3 * SECOND;
    }
}
