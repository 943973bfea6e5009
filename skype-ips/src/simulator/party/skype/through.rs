//! The way out through a proxy: the client's side of its dialogue. The other side is the
//! [`ProxyServer`](super::proxy_server::ProxyServer).

use std::collections::VecDeque;
use std::net::SocketAddrV4;

use crate::simulator::net::program::{Connection, Host};
use crate::simulator::speech::Speaker;
use crate::simulator::speech::proxy::{self, Answer, Proxy};

/// How far a dialogue has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Passage {
    /// The proxy has more to say.
    Waiting,
    /// The proxy has connected on. These bytes came behind its consent: they are the target's.
    Open(Vec<u8>),
    /// The proxy has said no, or is none.
    Refused,
}

/// A dialogue with a proxy over a connection to it.
#[derive(Clone, Debug)]
pub struct Dialogue {
    connection: Connection,
    kind: Proxy,
    /// What is still to be said by this end.
    turns: VecDeque<Vec<u8>>,
    /// Answers so far.
    answers: usize,
    inbox: Vec<u8>,
}

impl Dialogue {
    /// Begins over a connection that has just opened: `target` is wanted.
    pub fn begin(
        host: &mut dyn Host,
        connection: Connection,
        kind: Proxy,
        target: SocketAddrV4,
    ) -> Self {
        let turns = kind.dialogue(target).into_iter();
        let own = turns.filter(|turn| turn.from == Speaker::Client);
        let mut dialogue = Self {
            connection,
            kind,
            turns: own.map(|turn| turn.bytes).collect(),
            answers: 0,
            inbox: Vec::new(),
        };
        dialogue.next(host);
        dialogue
    }

    /// Its connection.
    pub fn connection(&self) -> Connection {
        self.connection
    }

    fn next(&mut self, host: &mut dyn Host) -> bool {
        let turn = self.turns.pop_front();
        if let Some(bytes) = &turn {
            host.write(self.connection, bytes);
        }
        turn.is_some()
    }

    /// Bytes have come, in pieces of any size.
    pub fn receive(&mut self, host: &mut dyn Host, bytes: &[u8]) -> Passage {
        self.inbox.extend(bytes);
        loop {
            match proxy::answer(self.kind, self.answers, &self.inbox) {
                Answer::More => return Passage::Waiting,
                Answer::Consent(len) => return Passage::Open(self.inbox.split_off(len)),
                Answer::GoOn(len) if self.next(host) => {
                    self.inbox.drain(..len);
                    self.answers += 1;
                }
                Answer::GoOn(_) | Answer::No => return Passage::Refused,
            }
        }
    }
}
