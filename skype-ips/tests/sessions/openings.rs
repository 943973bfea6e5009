//! The openings of TCP connections, with what proves them.

use fastrand::Rng;
use skype_ips::simulator::speech::Speaker::{Client, Server};
use skype_ips::simulator::speech::key_exchange::{self, KEY_LEN, MAX_PADDING};
use skype_ips::simulator::speech::{Generator, Process, Turn, encrypted, fake_tls, legacy, login};

use crate::connections::Proof;

/// The ways to open a connection that prove it by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opening {
    KeyExchange,
    Legacy,
    /// The client's 14 bytes prove nothing, the server's opening does.
    Oldest,
    FakeTls,
    OldLogin,
    NewLogin,
    /// A login whose request has no blank record in front (measured in a relayed one).
    BareLogin,
}

impl Opening {
    /// Those between peers.
    pub(crate) const PEERS: [Self; 4] =
        [Self::KeyExchange, Self::Legacy, Self::Oldest, Self::FakeTls];
    pub(crate) const ALL: [Self; 7] = [
        Self::KeyExchange,
        Self::Legacy,
        Self::Oldest,
        Self::FakeTls,
        Self::OldLogin,
        Self::NewLogin,
        Self::BareLogin,
    ];

    /// What both ends say, first the opening, then a few encrypted turns, and what proves it.
    pub(crate) fn speak(
        self,
        rng: &mut Rng,
        client: &mut Generator,
    ) -> (Vec<Turn>, &'static [Proof]) {
        let mut server = Process::super_node(rng).generator;
        let (mut turns, proof) = match self {
            Self::KeyExchange => {
                let padding = [(); 2].map(|()| rng.usize(0..=MAX_PADDING));
                let turns = key_exchange::exchange(client, &mut server, rng, padding);
                (turns, &[Proof::Padding(KEY_LEN)][..])
            }
            Self::Legacy => {
                let padding = [(); 2].map(|()| rng.usize(10..=57));
                let turns = legacy::exchange(client, &mut server, rng, padding);
                (
                    turns,
                    &[Proof::Head(Client, 24), Proof::Head(Server, 24)][..],
                )
            }
            Self::Oldest => {
                let padding = rng.usize(10..=57);
                let turns = legacy::old_exchange(client, &mut server, rng, padding);
                (turns, &[Proof::Head(Server, 24)][..])
            }
            Self::FakeTls => {
                let at_once = rng.bool().then(|| legacy::short_opening(&mut server, rng));
                let padding = [(); 2].map(|()| rng.usize(10..=57));
                let inner = legacy::exchange(client, &mut server, rng, padding);
                let turns = fake_tls::disguised(client, inner, at_once);
                (
                    turns,
                    &[Proof::Head(Client, 72), Proof::Head(Server, 79)][..],
                )
            }
            Self::OldLogin => {
                let rest = rng.usize(60..300);
                let request = login::old_request(rng, rest);
                let turns = login::session(rng, request);
                (turns, &[Proof::Blanks, Proof::Head(Client, 20)][..])
            }
            Self::NewLogin => {
                let request = new_request(rng);
                let turns = login::session(rng, request);
                (turns, &[Proof::Blanks, Proof::Head(Client, 18)][..])
            }
            Self::BareLogin => {
                let turns = vec![
                    Turn::client(new_request(rng)),
                    Turn::server(login::answer(rng, 16)),
                ];
                (turns, &[Proof::Head(Client, 13)][..])
            }
        };
        let more = rng.usize(0..6);
        turns.extend(encrypted(rng, more));
        (turns, proof)
    }
}

fn new_request(rng: &mut Rng) -> Vec<u8> {
    let length = login::NEW_LENGTHS[rng.usize(0..login::NEW_LENGTHS.len())];
    login::new_request(rng, length)
}
