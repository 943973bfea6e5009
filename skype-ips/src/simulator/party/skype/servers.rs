//! The service's servers: login, events and contacts, the version check.

use std::collections::BTreeMap;

use super::super::{Figures, Order, Party, Server, ServerKind};
use super::login::Served;
use crate::simulator::net::program::{Connection, Event, Host, Instant, Program};
use crate::simulator::speech::http;

/// Ports of a login server (Baset; Ehlert; measured).
pub const LOGIN_PORTS: [u16; 3] = [33_033, 443, 80];
/// Ports of an event or contact server (measured).
pub const EVENT_PORTS: [u16; 4] = [12_350, 13_392, 443, 80];
/// The port of the version check.
pub const WEB_PORT: u16 = 80;

/// A login server, or one of events and contacts: all speak alike, behind other ports.
#[derive(Debug)]
pub struct LoginServer {
    server: Server,
    clients: BTreeMap<Connection, Served>,
}

/// See [`LoginServer`].
pub type EventServer = LoginServer;

impl LoginServer {
    /// It listens on the port that it is told, and on the usual ones beside it.
    pub fn new(server: Server) -> Self {
        Self {
            server,
            clients: BTreeMap::new(),
        }
    }
}

impl Program for LoginServer {
    fn start(&mut self, host: &mut dyn Host) {
        let usual = match self.server.kind {
            ServerKind::Event => &EVENT_PORTS[..],
            _ => &LOGIN_PORTS,
        };
        host.listen(self.server.address.port());
        for port in usual {
            if *port != self.server.address.port() {
                host.listen(*port);
            }
        }
    }

    fn connection(&mut self, host: &mut dyn Host, connection: Connection, event: Event) {
        match event {
            Event::Accepted { .. } => {
                self.clients.insert(connection, Served::default());
            }
            Event::Received(bytes) => {
                let Some(served) = self.clients.get_mut(&connection) else {
                    return;
                };
                let mut out = Vec::new();
                let client = served.receive(host.rng(), self.server.kind, &bytes, &mut out);
                for bytes in out {
                    host.write(connection, &bytes);
                }
                if !client {
                    self.clients.remove(&connection);
                    host.close(connection);
                }
            }
            Event::Finished => {
                if self.clients.remove(&connection).is_some() {
                    host.close(connection);
                }
            }
            Event::Failed(_) => {
                self.clients.remove(&connection);
            }
            Event::Connected => {}
        }
    }
}

impl Party for LoginServer {
    fn order(&mut self, _host: &mut dyn Host, _order: &Order) {}

    fn figures(&self, _now: Instant) -> Figures {
        Figures::default()
    }
}

/// The server of the version check, `ui.skype.com`.
#[derive(Debug, Default)]
pub struct WebServer {
    requests: BTreeMap<Connection, Vec<u8>>,
}

impl WebServer {
    /// It listens on [`WEB_PORT`].
    pub fn new() -> Self {
        Self::default()
    }
}

/// The answer to a request once it is whole.
fn page(rng: &mut fastrand::Rng, request: &[u8]) -> Option<Vec<u8>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut parsed = httparse::Request::new(&mut headers);
    let path = match parsed.parse(request) {
        Ok(httparse::Status::Partial) => return None,
        Ok(httparse::Status::Complete(_)) => parsed.path.unwrap_or_default(),
        Err(_) => "",
    };
    let asked = ["/getlatestversion?", "/installed?"];
    Some(if asked.iter().any(|what| path.contains(what)) {
        http::version_answer(http::ANSWER_LENGTHS[rng.usize(..http::ANSWER_LENGTHS.len())])
    } else {
        b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".into()
    })
}

impl Program for WebServer {
    fn start(&mut self, host: &mut dyn Host) {
        host.listen(WEB_PORT);
    }

    fn connection(&mut self, host: &mut dyn Host, connection: Connection, event: Event) {
        match event {
            Event::Accepted { .. } => {
                self.requests.insert(connection, Vec::new());
            }
            Event::Received(bytes) => {
                let Some(request) = self.requests.get_mut(&connection) else {
                    return;
                };
                request.extend(bytes);
                if let Some(page) = page(host.rng(), request) {
                    host.write(connection, &page);
                    host.close(connection);
                    self.requests.remove(&connection);
                }
            }
            Event::Finished => {
                if self.requests.remove(&connection).is_some() {
                    host.close(connection);
                }
            }
            Event::Failed(_) => {
                self.requests.remove(&connection);
            }
            Event::Connected => {}
        }
    }
}

impl Party for WebServer {
    fn order(&mut self, _host: &mut dyn Host, _order: &Order) {}

    fn figures(&self, _now: Instant) -> Figures {
        Figures::default()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddrV4};
    use std::time::Duration;

    use super::super::super::Generation;
    use super::super::fake::FakeNet;
    use super::super::login::{Login, Progress};
    use super::*;
    use crate::simulator::net::program::Ground;

    const SERVER: Ipv4Addr = Ipv4Addr::new(195, 215, 8, 141);
    const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);

    struct Client {
        to: SocketAddrV4,
        generation: Generation,
        login: Option<Login>,
        progress: Vec<Progress>,
    }

    impl Program for Client {
        fn start(&mut self, host: &mut dyn Host) {
            host.connect(self.to, Ground::skype("login"));
        }

        fn connection(&mut self, host: &mut dyn Host, connection: Connection, event: Event) {
            match event {
                Event::Connected => {
                    let login = Login::begin(host, connection, self.generation, u32::MAX);
                    self.login = Some(login);
                }
                Event::Received(bytes) => {
                    let login = self.login.as_mut().expect("connected");
                    self.progress.push(login.receive(host, &bytes));
                }
                _ => {}
            }
        }
    }

    fn signed_in(
        program: impl Program + 'static,
        port: u16,
        generation: Generation,
        piece: usize,
    ) -> (Option<Progress>, Vec<Vec<u8>>) {
        let mut net = FakeNet::new();
        net.piece = piece;
        net.add(SERVER, SERVER, program);
        let client = Client {
            to: SocketAddrV4::new(SERVER, port),
            generation,
            login: None,
            progress: Vec::new(),
        };
        let client = net.add(CLIENT, CLIENT, client);
        net.run(Duration::from_secs(2));
        let progress = net.with(client, |client: &mut Client, _| {
            client.progress.last().copied()
        });
        let segments = net.segments.iter().map(|one| one.bytes.clone());
        (progress, segments.collect())
    }

    fn server(kind: ServerKind, port: u16) -> LoginServer {
        let address = SocketAddrV4::new(SERVER, port);
        LoginServer::new(Server { kind, address })
    }

    #[test]
    fn both_generations_sign_in_at_both_kinds_of_servers() {
        for generation in [Generation::Y2006, Generation::Y2015] {
            for (kind, ports) in [
                (ServerKind::Login, &LOGIN_PORTS[..]),
                (ServerKind::Event, &EVENT_PORTS),
            ] {
                for port in ports {
                    for piece in [1, 4, 5, 6, usize::MAX] {
                        let server = server(kind, ports[0]);
                        let (progress, segments) = signed_in(server, *port, generation, piece);
                        assert_eq!(progress, Some(Progress::Done), "{generation:?}, {kind:?}");
                        assert_eq!(segments[0], [0x16, 3, 1, 0, 0]);
                        assert_eq!(segments[1], [0x17, 3, 1, 0, 0]);
                    }
                }
            }
        }
    }

    #[test]
    fn records_have_the_measured_lengths() {
        for (generation, kind, lens) in [
            (Generation::Y2006, ServerKind::Login, &[0xe3][..]),
            (Generation::Y2015, ServerKind::Event, &[0x17, 0x10]),
        ] {
            let server = server(kind, 443);
            let (_, segments) = signed_in(server, 443, generation, usize::MAX);
            let answers: Vec<_> = segments[3..].iter().map(|one| one.len() - 5).collect();
            assert_eq!(answers, lens);
            let request = &segments[2];
            match generation {
                Generation::Y2006 => assert_eq!(request[3..7], [0, 0xcd, 0x41, 3]),
                Generation::Y2015 => assert_eq!(request[5..9], [0x42, 0xcd, 0xef, 0xe7]),
            }
        }
    }

    #[test]
    fn who_is_no_login_server_refuses() {
        let (progress, _) = signed_in(WebServer::new(), 80, Generation::Y2015, usize::MAX);
        assert_eq!(progress, Some(Progress::Refused));
    }

    #[test]
    fn version_checks_of_both_forms_are_answered() {
        let mut rng = fastrand::Rng::with_seed(1);
        let installed = http::Installed::some(&mut rng);
        for request in [
            &http::old_version_check(&installed, &[7; 16])[0].bytes,
            &http::version_check(&installed, http::VersionCheck::Latest)[0].bytes,
            &http::version_check(&installed, http::VersionCheck::Installed)[0].bytes,
        ] {
            for cut in 0..request.len() {
                assert_eq!(page(&mut rng, &request[..cut]), None);
            }
            let answer = page(&mut rng, request).expect("an answer");
            assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
            assert!(http::ANSWER_LENGTHS.contains(&answer.len()));
        }
        let other = page(&mut rng, b"GET / HTTP/1.1\r\n\r\n").expect("an answer");
        assert!(other.starts_with(b"HTTP/1.1 404 "));
    }
}
