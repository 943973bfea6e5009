//! Somebody who works over [`ssh`](super::ssh).

use std::time::Duration;

use super::Site;
use super::pace::{exponential, log_normal, pause};
use super::seal::made_from;
use super::sites::{Found, Sites};
use super::ssh::{
    CLIENT_BANNER, LONGEST_FILE, LONGEST_OUTPUT, SSH, Transport, channel_data, key_exchange_init,
    number, output, string,
};
use super::tally::Tally;
use crate::simulator::net::program::{Connection, Datagram, Event, Host, Instant, Program};
use crate::simulator::party::{Figures, Order, Party};
use crate::simulator::speech::noise;

/// Mean seconds of a shell, between two commands, and from one session to the next.
const SHELL: f64 = 120.0;
const THOUGHT: f64 = 4.0;
const AWAY: f64 = 15.0;

/// What somebody wants of a server.
#[derive(Clone, Debug)]
enum Errand {
    /// To type commands until then.
    Shell {
        until: Instant,
        /// What is still to be typed of the line, the next key last.
        keys: Vec<u8>,
        /// What the line's command is going to print.
        printed: Vec<u8>,
        /// What the screen must still show of the last key's echo, or of the output.
        expected: Vec<u8>,
    },
    /// To copy a file there.
    Copy,
}

/// The client's end of a connection.
#[derive(Debug)]
struct Session {
    connection: Connection,
    transport: Transport,
    errand: Errand,
}

/// What comes next in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// The server's turn.
    Wait,
    /// A key, after so long.
    Key(Duration),
    /// Nothing: it is over.
    End,
}

impl Session {
    fn say(&mut self, host: &mut dyn Host, message: &[u8]) {
        let packet = self.transport.packet(host.rng(), message);
        host.write(self.connection, &packet);
    }

    /// Hears a message.
    fn hear(&mut self, host: &mut dyn Host, tally: &mut Tally, message: &[u8]) -> Next {
        let say = match message.first() {
            // The banner.
            None => key_exchange_init(host.rng()),
            Some(&number::KEXINIT) => {
                [&[number::ECDH_INIT][..], &string(&noise(host.rng(), 32))].concat()
            }
            Some(&number::ECDH_REPLY) => vec![number::NEWKEYS],
            Some(&number::NEWKEYS) => {
                [&[number::SERVICE_REQUEST][..], &string(b"ssh-userauth")].concat()
            }
            // By public key.
            Some(&number::SERVICE_ACCEPT) => {
                [&[number::USERAUTH_REQUEST][..], &noise(host.rng(), 230)].concat()
            }
            Some(&number::USERAUTH_SUCCESS) => {
                let ends = [0, 0, 0, 0, 0, 32, 0, 0, 0, 0, 128, 0];
                [&[number::CHANNEL_OPEN][..], &string(b"session"), &ends].concat()
            }
            Some(&number::CHANNEL_OPEN_CONFIRMATION) => {
                let what = match self.errand {
                    Errand::Shell { .. } => string(b"shell"),
                    Errand::Copy => string(b"exec"),
                };
                [&[number::CHANNEL_REQUEST, 0, 0, 0, 0][..], &what, &[1]].concat()
            }
            Some(&number::CHANNEL_SUCCESS) => return self.begin(host, tally),
            Some(&number::CHANNEL_DATA) => {
                let Some(data) = channel_data(message) else {
                    return Next::End;
                };
                return self.data(host, tally, data);
            }
            Some(_) => return Next::Wait,
        };
        self.say(host, &say);
        Next::Wait
    }

    /// The channel is open.
    fn begin(&mut self, host: &mut dyn Host, tally: &mut Tally) -> Next {
        tally.done(SSH.what, 1);
        if let Errand::Shell { .. } = self.errand {
            return Next::Key(Duration::ZERO);
        }
        // Files on disks are log-normal, with a median of some kilobytes (Douceur and Bolosky,
        // 1999); those that somebody copies are taken for larger.
        let seed = host.rng().u64(..);
        let len = log_normal(host.rng(), 11.5, 1.5).clamp(100.0, LONGEST_FILE as f64) as usize;
        tally.begun(SSH.what, 1);
        let line = format!("C0644 {seed:x} {len}\n");
        let file = [line.as_bytes(), &made_from(seed, len)].concat();
        let packets = self.transport.data(host.rng(), &file);
        host.write(self.connection, &packets);
        Next::Wait
    }

    /// Data has come on the channel.
    fn data(&mut self, host: &mut dyn Host, tally: &mut Tally, data: &[u8]) -> Next {
        let Errand::Shell {
            until,
            keys,
            expected,
            ..
        } = &mut self.errand
        else {
            tally.done(SSH.what, u64::from(data == [0]));
            return Next::End;
        };
        if !expected.starts_with(data) {
            return Next::End;
        }
        expected.drain(..data.len());
        if !expected.is_empty() {
            return Next::Wait;
        }
        tally.done(SSH.what, 1);
        if !keys.is_empty() {
            // 40 words a minute are a key each 0.24 s (Dhakal et al., CHI 2018: 52).
            let time = log_normal(host.rng(), -1.6, 0.5);
            Next::Key(Duration::from_secs_f64(time.min(2.0)))
        } else {
            // No line is begun that the time is too short for.
            let thought = pause(host.rng(), THOUGHT);
            match host.now() + thought < *until {
                true => Next::Key(thought),
                false => Next::End,
            }
        }
    }

    /// Types a key.
    fn key(&mut self, host: &mut dyn Host, tally: &mut Tally) {
        let Errand::Shell {
            keys,
            printed,
            expected,
            ..
        } = &mut self.errand
        else {
            return;
        };
        if !expected.is_empty() {
            return;
        }
        if keys.is_empty() {
            let seed = host.rng().u32(..);
            let len = exponential(host.rng(), 1500.0).min(LONGEST_OUTPUT as f64) as usize;
            *keys = format!("cat {seed:x} {len}\r").into_bytes();
            keys.reverse();
            *printed = output(u64::from(seed), len);
        }
        let Some(key) = keys.pop() else {
            return;
        };
        expected.push(key);
        if key == b'\r' {
            expected.push(b'\n');
            expected.append(printed);
        }
        tally.begun(SSH.what, 1);
        let packet = self.transport.data(host.rng(), &[key]);
        host.write(self.connection, &packet);
    }
}

/// The user.
#[derive(Debug)]
pub(super) struct User {
    sites: Sites,
    until: Instant,
    session: Option<Session>,
    tally: Tally,
}

/// Tokens: the next session, the next key.
const NEXT: u64 = 0;
const KEY: u64 = 1;

impl User {
    /// One who works on these sites.
    pub(super) fn new(sites: Sites) -> Self {
        Self {
            sites,
            until: Duration::ZERO,
            session: None,
            tally: Tally::default(),
        }
    }

    fn next(&mut self, host: &mut dyn Host) {
        let busy = self.session.is_some() || self.sites.looking();
        if host.now() < self.until && !busy {
            let found = self.sites.look(host, &mut self.tally);
            self.found(host, found);
        }
    }

    fn found(&mut self, host: &mut dyn Host, found: Option<Found>) {
        match found {
            Some(Found::Here(site)) => self.open(host, site),
            Some(Found::Nowhere) => self.leave(host),
            None => {}
        }
    }

    fn open(&mut self, host: &mut dyn Host, site: usize) {
        let Site { address, .. } = self.sites.site(site);
        let connection = host.connect(*address, SSH);
        self.tally.begun(SSH.what, 1);
        let errand = match host.rng().u8(0..3) {
            0 => Errand::Copy,
            _ => Errand::Shell {
                until: self.until.min(host.now() + pause(host.rng(), SHELL)),
                keys: Vec::new(),
                printed: Vec::new(),
                expected: Vec::new(),
            },
        };
        self.session = Some(Session {
            connection,
            transport: Transport::new(false),
            errand,
        });
    }

    fn leave(&mut self, host: &mut dyn Host) {
        self.session = None;
        let time = pause(host.rng(), AWAY);
        host.timer(time, NEXT);
    }
}

impl Program for User {
    fn start(&mut self, _host: &mut dyn Host) {}

    fn datagram(&mut self, host: &mut dyn Host, datagram: Datagram<'_>) {
        let found = self.sites.datagram(&mut self.tally, datagram);
        self.found(host, found);
    }

    fn connection(&mut self, host: &mut dyn Host, connection: Connection, event: Event) {
        let Some(session) = &mut self.session else {
            return;
        };
        if session.connection != connection {
            return;
        }
        let mut next = Next::Wait;
        match event {
            Event::Connected => host.write(connection, CLIENT_BANNER.as_bytes()),
            Event::Received(bytes) => {
                session.transport.extend(&bytes);
                while next == Next::Wait {
                    next = match session.transport.next() {
                        Ok(Some(message)) => session.hear(host, &mut self.tally, &message),
                        Ok(None) => break,
                        Err(()) => Next::End,
                    };
                }
            }
            Event::Accepted { .. } => {}
            Event::Finished | Event::Failed(_) => next = Next::End,
        }
        match next {
            Next::Wait => {}
            Next::Key(after) => host.timer(after, KEY),
            Next::End => {
                host.close(connection);
                self.leave(host);
            }
        }
    }

    fn timer(&mut self, host: &mut dyn Host, token: u64) {
        match token {
            NEXT => self.next(host),
            KEY => {
                if let Some(session) = &mut self.session {
                    session.key(host, &mut self.tally);
                }
            }
            _ => {
                let found = self.sites.timer(host, token);
                self.found(host, found);
            }
        }
    }
}

impl Party for User {
    fn order(&mut self, host: &mut dyn Host, order: &Order) {
        if let Order::Run { lasting } = *order {
            self.until = host.now() + lasting;
            self.next(host);
        }
    }

    fn figures(&self, _now: Instant) -> Figures {
        self.tally.figures()
    }
}
