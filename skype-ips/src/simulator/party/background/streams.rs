//! Servers over TCP: each connection is a small machine that hears and answers.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::tally::Tally;
use crate::simulator::net::program::{Connection, Event, Host, Instant, Program};
use crate::simulator::party::{Figures, Order, Party};

/// One end of a stream that says something first, and then what it hears has it say. Servers
/// make one for each connection.
pub(super) trait Answer {
    /// What it says first.
    fn greeting(&mut self, _rng: &mut Rng) -> Vec<u8> {
        Vec::new()
    }

    /// Hears some bytes of the stream and says what this end writes, each part in a segment of its own;
    /// `None` ends the connection: that was not its language.
    fn hear(&mut self, rng: &mut Rng, tally: &mut Tally, bytes: &[u8]) -> Option<Vec<Vec<u8>>>;

    /// Whether this end wants no more of it.
    fn over(&self) -> bool {
        false
    }
}

/// The connections of a server.
#[derive(Debug)]
pub(super) struct Sessions<A>(BTreeMap<Connection, A>);

impl<A> Default for Sessions<A> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<A: Answer + Default> Sessions<A> {
    /// Something has happened to one of them.
    pub(super) fn connection(
        &mut self,
        host: &mut dyn Host,
        tally: &mut Tally,
        connection: Connection,
        event: Event,
    ) {
        match event {
            Event::Accepted { .. } => {
                let mut session = A::default();
                let greeting = session.greeting(host.rng());
                if !greeting.is_empty() {
                    host.write(connection, &greeting);
                }
                self.0.insert(connection, session);
            }
            Event::Received(bytes) => {
                let Some(session) = self.0.get_mut(&connection) else {
                    return;
                };
                match session.hear(host.rng(), tally, &bytes) {
                    Some(answers) => {
                        for answer in answers {
                            host.write(connection, &answer);
                        }
                    }
                    None => {
                        self.0.remove(&connection);
                        host.abort(connection);
                    }
                }
            }
            Event::Finished => {
                self.0.remove(&connection);
                host.close(connection);
            }
            Event::Failed(_) => {
                self.0.remove(&connection);
            }
            Event::Connected => {}
        }
    }
}

/// A server that does nothing but answer connections.
#[derive(Debug)]
pub(super) struct StreamServer<A> {
    port: u16,
    sessions: Sessions<A>,
    tally: Tally,
}

impl<A: Answer + Default> StreamServer<A> {
    /// One that listens on this port.
    pub(super) fn new(port: u16) -> Self {
        Self {
            port,
            sessions: Sessions::default(),
            tally: Tally::default(),
        }
    }
}

impl<A: Answer + Default> Program for StreamServer<A> {
    fn start(&mut self, host: &mut dyn Host) {
        host.listen(self.port);
    }

    fn connection(&mut self, host: &mut dyn Host, connection: Connection, event: Event) {
        self.sessions
            .connection(host, &mut self.tally, connection, event);
    }
}

impl<A: Answer + Default> Party for StreamServer<A> {
    fn order(&mut self, _host: &mut dyn Host, _order: &Order) {}

    fn figures(&self, _now: Instant) -> Figures {
        self.tally.figures()
    }
}
