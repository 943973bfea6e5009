//! The version check: the address of `ui.skype.com`, then a question over HTTP.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use super::ClientProgram;
use super::lines::{Language, Purpose};
use crate::simulator::net::program::{Connection, Ground, Host, Instant};
use crate::simulator::party::Generation;
use crate::simulator::speech::http::{self, Installed, VersionCheck};
use crate::simulator::speech::{Speaker, Turn, dns, noise};

/// A question for a name is repeated after so long, so many times.
const NAME_PATIENCE: Duration = Duration::from_secs(3);
const NAME_TRIES: u32 = 3;
/// How long the web server is given.
const WEB_PATIENCE: Duration = Duration::from_secs(20);

/// How far the check has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Version {
    /// It is not due, or done.
    #[default]
    Idle,
    /// The name is asked for.
    Name {
        port: u16,
        id: u16,
        tries: u32,
        again: Instant,
    },
    /// The web server is asked.
    Web { until: Instant },
}

impl Version {
    /// The port that the answer for the name comes to.
    pub(super) fn port(&self) -> Option<u16> {
        match self {
            Self::Name { port, .. } => Some(*port),
            _ => None,
        }
    }

    /// When something is due.
    pub(super) fn wake(&self) -> Option<Instant> {
        match self {
            Self::Idle => None,
            Self::Name { again, .. } => Some(*again),
            Self::Web { until } => Some(*until),
        }
    }
}

impl ClientProgram {
    /// Begins the check.
    pub(super) fn check_version(&mut self, host: &mut dyn Host) {
        let again = host.now();
        let id = host.rng().u16(..);
        if let Some(port) = host.bind(0, Ground::other("DNS")) {
            self.version = Version::Name {
                port,
                id,
                tries: 0,
                again,
            };
        }
        self.poll_version(host);
    }

    /// Asks again, or no more.
    pub(super) fn poll_version(&mut self, host: &mut dyn Host) {
        let now = host.now();
        match &mut self.version {
            Version::Name {
                port,
                id,
                tries,
                again,
            } if *again <= now => {
                if *tries == NAME_TRIES {
                    self.version = Version::Idle;
                    return;
                }
                *tries += 1;
                *again = now + NAME_PATIENCE;
                let query = dns::query(*id, http::HOST);
                host.send(*port, self.settings.resolver, &query, None);
            }
            Version::Web { until } if *until <= now => {
                self.version = Version::Idle;
                for connection in self.lines.with(|purpose| purpose == Purpose::Version) {
                    self.lines.abort(host, connection);
                }
            }
            _ => {}
        }
    }

    /// The resolver has answered.
    pub(super) fn named(&mut self, host: &mut dyn Host, answer: &[u8]) {
        let Version::Name { id, .. } = self.version else {
            return;
        };
        let Some(address) = first_address(id, answer) else {
            return;
        };
        let until = host.now() + WEB_PATIENCE;
        self.version = Version::Web { until };
        let (to, proxy) = (SocketAddrV4::new(address, 80), self.settings.proxy);
        self.lines
            .open(host, proxy, Purpose::Version, to, Language::Http);
    }

    /// The web server listens: the question.
    pub(super) fn ask_for_version(&mut self, host: &mut dyn Host, connection: Connection) {
        let rng = host.rng();
        let mut installed = Installed::some(rng);
        let turns = match self.settings.generation {
            Generation::Y2006 => {
                installed.version = format!("1.{}.0.{}", rng.u8(2..=4), rng.u8(10..90));
                let user = noise(rng, 16).try_into().expect("sixteen");
                http::old_version_check(&installed, &user)
            }
            Generation::Y2015 => {
                installed.version = format!("7.{}.0.{}", rng.u8(2..=9), rng.u8(80..=110));
                http::version_check(&installed, VersionCheck::Latest)
            }
        };
        let own = |turn: &&Turn| turn.from == Speaker::Client;
        for turn in turns.iter().filter(own) {
            host.write(connection, &turn.bytes);
        }
    }

    /// The web server has answered, whatever it says.
    pub(super) fn version_told(&mut self, host: &mut dyn Host, connection: Connection) {
        self.version = Version::Idle;
        self.lines.close(host, connection);
    }
}

/// The address in an answer to the question `id`: its last record, as resolvers put it.
fn first_address(id: u16, answer: &[u8]) -> Option<Ipv4Addr> {
    let (head, rest) = answer.split_first_chunk::<12>()?;
    let answers = u16::from_be_bytes([head[6], head[7]]);
    let answer = head[..2] == id.to_be_bytes() && head[2] & 0x80 != 0 && answers > 0;
    let (_, last) = rest.split_last_chunk::<6>()?;
    let (len, address) = last.split_first_chunk::<2>()?;
    let address: [u8; 4] = address.try_into().ok()?;
    (answer && *len == [0, 4]).then(|| address.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_another_question_is_none() {
        let address = Ipv4Addr::new(192, 0, 2, 80);
        let answer = dns::response(7, http::HOST, address);
        assert_eq!(first_address(7, &answer), Some(address));
        assert_eq!(first_address(8, &answer), None);
        assert_eq!(first_address(7, &dns::query(7, http::HOST)), None);
        assert_eq!(first_address(7, &answer[..14]), None);
    }
}
