use std::time::Duration;

use super::super::fake::FakeNet;
use super::super::message::Message;
use super::super::stream::{Heard, Session};
use super::super::through::{Dialogue, Passage};
use super::*;
use crate::simulator::party::Opening;
use crate::simulator::speech::Process;

const PROXY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const NODE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(203, 0, 113, 1), 33_033);

fn process(seed: u64) -> Process {
    Process::client(&mut fastrand::Rng::with_seed(seed))
}

/// A listener that keeps what it hears.
struct Listener {
    process: Process,
    session: Option<Session>,
    heard: Vec<Heard>,
    finished: bool,
}

impl Program for Listener {
    fn start(&mut self, host: &mut dyn Host) {
        host.listen(NODE.port());
    }

    fn connection(&mut self, host: &mut dyn Host, connection: Connection, event: Event) {
        match event {
            Event::Accepted { .. } => self.session = Some(Session::accept(connection)),
            Event::Received(bytes) => {
                let session = self.session.as_mut().expect("accepted");
                let heard = session.receive(host, &mut self.process, &bytes);
                self.heard.extend(heard);
            }
            Event::Finished => {
                // Has the last word.
                self.finished = true;
                let session = self.session.as_mut().expect("accepted");
                session.tell(host, &Message::Ping);
                host.close(connection);
            }
            _ => {}
        }
    }
}

/// A client that opens a session through the proxy.
struct Client {
    process: Process,
    kind: Proxy,
    dialogue: Option<Dialogue>,
    session: Option<Session>,
    open: bool,
    last_word: bool,
    refused: bool,
}

impl Program for Client {
    fn start(&mut self, host: &mut dyn Host) {
        let proxy = SocketAddrV4::new(PROXY, self.kind.port());
        host.connect(proxy, Ground::skype("proxy"));
    }

    fn connection(&mut self, host: &mut dyn Host, connection: Connection, event: Event) {
        match (event, &mut self.session, &mut self.dialogue) {
            (Event::Connected, ..) => {
                self.dialogue = Some(Dialogue::begin(host, connection, self.kind, NODE));
            }
            (Event::Received(bytes), Some(session), _) => {
                let heard = session.receive(host, &mut self.process, &bytes);
                for heard in heard {
                    match heard {
                        Heard::Open => self.open = true,
                        _ => self.last_word = true,
                    }
                }
            }
            (Event::Received(bytes), None, Some(dialogue)) => {
                match dialogue.receive(host, &bytes) {
                    Passage::Waiting => {}
                    Passage::Refused => self.refused = true,
                    Passage::Open(rest) => {
                        assert!(rest.is_empty());
                        let (process, opening) = (&mut self.process, Opening::KeyExchange);
                        let session = Session::connect(host, connection, process, opening, false);
                        self.session = Some(session);
                    }
                }
            }
            _ => {}
        }
    }
}

fn client(kind: Proxy) -> Client {
    Client {
        process: process(3),
        kind,
        dialogue: None,
        session: None,
        open: false,
        last_word: false,
        refused: false,
    }
}

fn listener() -> Listener {
    Listener {
        process: process(2),
        session: None,
        heard: Vec::new(),
        finished: false,
    }
}

fn wants_password(kind: Proxy) -> bool {
    matches!(kind, Proxy::HttpPassword | Proxy::Socks5Password)
}

#[test]
fn a_session_opens_through_every_kind_of_proxy() {
    for kind in Proxy::ALL {
        for piece in [1, 3, 7, usize::MAX] {
            let mut net = FakeNet::new();
            net.piece = piece;
            let skype = [*NODE.ip()].into();
            let proxy = ProxyServer::new(wants_password(kind), skype);
            let proxy = net.add(PROXY, PROXY, proxy);
            let node = net.add(*NODE.ip(), *NODE.ip(), listener());
            let client = net.add(CLIENT, CLIENT, client(kind));
            net.run(Duration::from_secs(5));
            assert!(
                net.with(client, |client: &mut Client, _| client.open),
                "{kind:?}"
            );
            net.with(client, |client: &mut Client, host| {
                let session = client.session.as_ref().expect("open");
                host.close(session.connection());
            });
            net.run(Duration::from_secs(1));
            net.with(node, |node: &mut Listener, _| {
                assert_eq!(node.heard, [Heard::Open]);
                assert!(node.finished, "the end is passed on");
            });
            let heard = net.with(client, |client: &mut Client, _| client.last_word);
            assert!(heard, "what comes after it too");
            let proxy = net.with(proxy, |proxy: &mut ProxyServer, _| proxy.ends.len());
            assert_eq!(proxy, 0, "nothing is left");
        }
    }
}

#[test]
fn a_target_that_does_not_answer_is_refused() {
    for kind in Proxy::ALL {
        let mut net = FakeNet::new();
        let proxy = ProxyServer::new(wants_password(kind), BTreeSet::new());
        net.add(PROXY, PROXY, proxy);
        let client = net.add(CLIENT, CLIENT, client(kind));
        net.run(Duration::from_secs(5));
        let refused = net.with(client, |client: &mut Client, _| client.refused);
        assert!(refused, "{kind:?}");
    }
}

#[test]
fn without_the_password_nobody_gets_through() {
    for kind in [Proxy::HttpConnect, Proxy::Socks5] {
        let mut net = FakeNet::new();
        net.add(PROXY, PROXY, ProxyServer::new(true, BTreeSet::new()));
        let node = net.add(*NODE.ip(), *NODE.ip(), listener());
        let client = net.add(CLIENT, CLIENT, client(kind));
        net.run(Duration::from_secs(5));
        assert!(!net.with(client, |client: &mut Client, _| client.open));
        assert!(net.with(node, |node: &mut Listener, _| node.session.is_none()));
    }
}
