use std::collections::BTreeSet;

use skype_ips_common::lcg;

use super::super::fake::FakeNet;
use super::super::message::Message;
use super::*;
use crate::simulator::net::program::Program;

const PORT: u16 = 35_990;
const INSIDE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 2);
const PUBLIC: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
const NODE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);

/// Answers probes, searches and pings, acknowledges the rest, and keeps what it is told.
struct Talker {
    endpoint: Endpoint,
    told: Vec<Received>,
}

impl Talker {
    fn new(seed: u64, public: Option<Ipv4Addr>) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let process = Process::client(&mut rng);
        Self {
            endpoint: Endpoint::new(process, Generation::Y2006, public),
            told: Vec::new(),
        }
    }
}

impl Program for Talker {
    fn start(&mut self, host: &mut dyn Host) {
        assert!(self.endpoint.bind(host, PORT, Ground::skype("probing")));
    }

    fn datagram(&mut self, host: &mut dyn Host, datagram: Datagram<'_>) {
        for received in self.endpoint.receive(host, datagram) {
            if let Received::Message { from, id, message } = &received {
                match message {
                    Message::Probe => self.endpoint.answer(host, *from, *id, &Message::Accept),
                    Message::Search { user } => {
                        let found = Message::NotHere { user: *user };
                        self.endpoint.answer_in_fragments(host, *from, *id, &found);
                    }
                    Message::Ping => {}
                    _ => self.endpoint.acknowledge(host, *from, *id),
                }
            }
            self.told.push(received);
        }
    }

    fn timer(&mut self, host: &mut dyn Host, token: u64) {
        let told = self.endpoint.timer(host, token);
        self.told
            .extend(told.expect("only the endpoint has timers"));
    }
}

/// A client behind a translator that knows its address or doesn't, and a node.
fn pair(knows: bool) -> (FakeNet, usize, usize) {
    let mut net = FakeNet::new();
    let client = Talker::new(1, knows.then_some(PUBLIC));
    let client = net.add(INSIDE, PUBLIC, client);
    let node = net.add(NODE, NODE, Talker::new(2, Some(NODE)));
    (net, client, node)
}

fn node() -> SocketAddrV4 {
    SocketAddrV4::new(NODE, PORT)
}

fn request(net: &mut FakeNet, client: usize, message: &Message) -> Request {
    net.with(client, |talker: &mut Talker, host| {
        talker.endpoint.request(host, node(), message)
    })
}

fn told(net: &mut FakeNet, index: usize) -> Vec<Received> {
    net.with(index, |talker: &mut Talker, _| {
        std::mem::take(&mut talker.told)
    })
}

const ANNOUNCE: Message = Message::Announce {
    directory: true,
    relay: false,
};

#[test]
fn a_client_that_does_not_know_its_address_is_told_and_sends_again() {
    let (mut net, client, _) = pair(false);
    let request = request(&mut net, client, &Message::Probe);
    net.run(Duration::from_secs(20));
    let shapes: Vec<_> = net.datagrams.iter().map(|one| one.payload.len()).collect();
    assert_eq!(shapes, [18, 11, 23, 18]);
    let from = node();
    let message = Message::Accept;
    let answer = Received::Answer {
        request,
        from,
        message,
    };
    let named = Received::Named {
        address: PUBLIC,
        by: from,
    };
    assert_eq!(told(&mut net, client), [named, answer]);
    // What a gateway can check of the exchange.
    let [probe, nack, resend, _] = &net.datagrams[..] else {
        unreachable!("four datagrams");
    };
    let (probe, nack, resend) = (&probe.payload, &nack.payload, &resend.payload);
    assert_eq!(nack[..2], probe[..2]);
    assert_eq!(nack[3..7], PUBLIC.octets());
    assert_eq!(resend[3..8], [&[1][..], &nack[7..]].concat());
    assert_eq!(resend[8..12], NODE.octets());
    assert_eq!(resend[12..16], probe[7..11]);
}

#[test]
fn who_knows_its_address_is_understood_at_once() {
    let (mut net, client, _) = pair(true);
    request(&mut net, client, &Message::Probe);
    net.run(Duration::from_secs(20));
    let shapes: Vec<_> = net.datagrams.iter().map(|one| one.payload.len()).collect();
    assert_eq!(shapes, [18, 18]);
}

#[test]
fn a_lost_request_is_repeated_under_another_iv() {
    let (mut net, client, node) = pair(true);
    net.lose = [0, 1].into();
    let request = request(&mut net, client, &ANNOUNCE);
    net.run(Duration::from_secs(20));
    let sent: Vec<_> = net.datagrams.iter().map(|one| one.at.as_millis()).collect();
    assert_eq!(sent, [0, 2050, 6060, 6080]);
    let [first, second, third, ack] = &net.datagrams[..] else {
        unreachable!("four datagrams");
    };
    for again in [second, third] {
        assert_eq!(again.payload.len(), 346);
        assert_eq!(again.payload[..3], first.payload[..3]);
        assert_eq!(again.payload[7..11], first.payload[7..11]);
        assert_ne!(again.payload[3..7], first.payload[3..7]);
    }
    assert_eq!(ack.payload.len(), 11);
    let from = self::node();
    let acknowledged = Received::Acknowledged { request, from };
    assert_eq!(told(&mut net, client), [acknowledged]);
    assert_eq!(told(&mut net, node).len(), 1);
}

#[test]
fn a_lost_acknowledgement_is_repeated_and_told_once() {
    let (mut net, client, node) = pair(true);
    net.lose = [1].into();
    request(&mut net, client, &ANNOUNCE);
    net.run(Duration::from_secs(20));
    assert_eq!(net.datagrams.len(), 4);
    assert_eq!(told(&mut net, client).len(), 1);
    assert_eq!(told(&mut net, node).len(), 1);
}

#[test]
fn who_gets_no_answer_gives_up_after_three_times() {
    let (mut net, client, node) = pair(true);
    let request = request(&mut net, client, &Message::Ping);
    net.run(Duration::from_secs(9));
    assert_eq!(told(&mut net, client), []);
    net.run(Duration::from_secs(9));
    let to = self::node();
    let given_up = Received::GivenUp { request, to };
    assert_eq!(told(&mut net, client), [given_up]);
    assert_eq!(net.datagrams.len(), 3);
    assert_eq!(told(&mut net, node).len(), 1);
}

#[test]
fn a_forgotten_request_is_not_repeated() {
    let (mut net, client, _) = pair(true);
    let request = request(&mut net, client, &Message::Ping);
    net.with(client, |talker: &mut Talker, _| {
        talker.endpoint.forget(request);
    });
    net.run(Duration::from_secs(20));
    assert_eq!(net.datagrams.len(), 1);
    assert_eq!(told(&mut net, client), []);
}

#[test]
fn a_search_is_answered_by_two_sets_of_nine_fragments() {
    let (mut net, client, _) = pair(true);
    let user = 7;
    let request = request(&mut net, client, &Message::Search { user });
    net.run(Duration::from_secs(20));
    let [search, parts @ ..] = &net.datagrams[..] else {
        unreachable!("a search was sent");
    };
    assert_eq!((search.payload.len(), parts.len()), (21, 18));
    let ids: BTreeSet<_> = parts.iter().map(|part| &part.payload[..2]).collect();
    assert_eq!(ids.len(), 2);
    for pair in parts.windows(2) {
        let iv = |at: &super::super::fake::Crossing| {
            u32::from_be_bytes(at.payload[7..11].try_into().expect("four bytes"))
        };
        assert_eq!(lcg::distance(iv(&pair[0]), iv(&pair[1])), 2);
    }
    assert!(
        parts
            .iter()
            .all(|part| part.payload[3..5] == search.payload[..2])
    );
    let from = node();
    let message = Message::NotHere { user };
    let answer = Received::Answer {
        request,
        from,
        message,
    };
    assert_eq!(told(&mut net, client), [answer]);
}

#[test]
fn the_second_set_makes_up_for_what_the_first_has_lost() {
    let (mut net, client, _) = pair(true);
    // The search is datagram 0, its fragments are 1 to 18.
    net.lose = [1, 5, 9, 11].into();
    request(&mut net, client, &Message::Search { user: 7 });
    net.run(Duration::from_secs(1));
    assert_eq!(told(&mut net, client).len(), 1);
}

#[test]
fn a_search_is_repeated_if_both_sets_lack_a_part() {
    let (mut net, client, _) = pair(true);
    net.lose = [3, 12].into();
    request(&mut net, client, &Message::Search { user: 7 });
    net.run(Duration::from_secs(1));
    assert_eq!(told(&mut net, client), []);
    net.run(Duration::from_secs(4));
    assert_eq!(told(&mut net, client).len(), 1);
}

#[test]
fn media_and_keep_alives_arrive() {
    let (mut net, client, node) = pair(false);
    net.with(client, |talker: &mut Talker, host| {
        talker.endpoint.media(host, self::node(), 9, &[1, 2, 3]);
        talker.endpoint.keep_alive(host, self::node());
    });
    net.run(Duration::from_secs(1));
    let shapes: Vec<_> = net.datagrams.iter().map(|one| one.payload.len()).collect();
    assert_eq!(shapes, [MEDIA_HEAD + 3, 3]);
    let from = SocketAddrV4::new(PUBLIC, PORT);
    let media = Received::Media {
        from,
        session: 9,
        body: vec![1, 2, 3],
    };
    assert_eq!(told(&mut net, node), [media, Received::KeepAlive { from }]);
}

#[test]
fn who_sends_again_tells_the_other_its_address() {
    let mut net = FakeNet::new();
    let client = net.add(INSIDE, PUBLIC, Talker::new(1, Some(PUBLIC)));
    let hidden = Ipv4Addr::new(192, 168, 9, 9);
    let node = net.add(hidden, NODE, Talker::new(2, None));
    request(&mut net, client, &Message::Probe);
    net.run(Duration::from_secs(1));
    let shapes: Vec<_> = net.datagrams.iter().map(|one| one.payload.len()).collect();
    // The probe is sealed for an address that the node learns when it is sent again.
    assert_eq!(shapes, [18, 11, 23, 18]);
    assert_eq!(told(&mut net, client).len(), 1);
    assert_eq!(told(&mut net, node).len(), 2);
}

#[test]
fn foreign_datagrams_change_nothing() {
    let (mut net, client, node) = pair(true);
    let mut rng = fastrand::Rng::with_seed(9);
    for len in 0..200 {
        let mut bytes = crate::simulator::speech::noise(&mut rng, len);
        if let Some(kind) = bytes.get_mut(2)
            && *kind & 0x8f == 0x0d
        {
            *kind = 0;
        }
        net.with(client, |talker: &mut Talker, host| {
            host.send(PORT, self::node(), &bytes, None);
            assert_eq!(talker.told, []);
        });
    }
    net.run(Duration::from_secs(1));
    assert_eq!(told(&mut net, node), []);
}
