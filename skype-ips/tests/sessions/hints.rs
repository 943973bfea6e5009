//! What a host does around its Skype lifts evidence that falls short, and decides nothing.

use std::net::{Ipv4Addr, SocketAddrV4};

use skype_ips::simulator::speech::{Turn, encrypted, key_exchange, noise};

use crate::mangle::Mangle;
use crate::script::{Host, MS, SECOND, Script};
use crate::sessions::probe;
use crate::trial;
use crate::wire::{Flow, Note, UDP};

/// Two of the seven that are built in (Baset and Schulzrinne, 2004).
const BOOTSTRAP: [Ipv4Addr; 3] = [
    Ipv4Addr::new(66, 235, 180, 9),
    Ipv4Addr::new(80, 160, 91, 12),
    Ipv4Addr::new(64, 246, 48, 23),
];

/// A key exchange of which one end pads with `padding` bytes and the other with none.
fn short_exchange(script: &mut Script, host: &mut Host, padding: usize) -> Vec<Turn> {
    let mut key = [0; key_exchange::KEY_LEN];
    script.rng.fill(&mut key);
    let first = key_exchange::opening(&key, &mut host.process.generator, padding);
    let first = Turn::client(first);
    let second = Turn::server(noise(&mut script.rng, 48));
    let rest = encrypted(&mut script.rng, 4);
    [vec![first, second], rest].concat()
}

/// Evidence of a connection with so much padding, after `before`.
fn evidence(
    seed: u64,
    padding: usize,
    before: impl Fn(&mut Script, &mut Host),
) -> Option<Vec<&'static str>> {
    let mut script = Script::new(seed);
    let mut host = Host::client(&mut script.rng);
    before(&mut script, &mut host);
    let time = 60 * SECOND;
    let turns = short_exchange(&mut script, &mut host, padding);
    let peer = script.peer();
    let connection = Script::outgoing(&mut host, peer, &[]);
    script.connect(time, connection, &turns);
    let session = script.end();
    let found = trial::class(&session.packets, &Mangle::none().path, &connection.flow);
    found.map(|(_, evidence)| evidence)
}

/// One datagram to each of the first so many bootstrap hosts, each of another program, so that
/// they prove nothing together.
fn bootstrap(script: &mut Script, host: &Host, count: usize) {
    for (index, address) in (0..).zip(&BOOTSTRAP[..count]) {
        let mut other = Host::client(&mut script.rng);
        let datagram = other.process.message(&mut script.rng, 7).datagram;
        let to = SocketAddrV4::new(*address, 33_033);
        let note = Note::default();
        script.datagram(index * SECOND, (host.end, to), true, datagram, note);
    }
}

#[test]
fn a_short_key_exchange_falls_short_by_itself() {
    for seed in 0..30 {
        for padding in [3, 4] {
            assert_eq!(evidence(seed, padding, |_, _| ()), None, "seed {seed}");
        }
    }
}

#[test]
fn bootstrap_hosts_lift_a_short_key_exchange() {
    for seed in 0..30 {
        let one = evidence(seed, 4, |script, host| bootstrap(script, host, 1));
        let found = ["tcp-key-exchange", "bootstrap-host"];
        assert_eq!(one.as_deref(), Some(&found[..]));
        // One relation less needs three of them.
        let two = evidence(seed, 3, |script, host| bootstrap(script, host, 2));
        assert_eq!(two, None);
        let three = evidence(seed, 3, |script, host| bootstrap(script, host, 3));
        assert_eq!(three.as_deref(), Some(&found[..]));
        // They lift nothing that isn't there.
        let none = evidence(seed, 2, |script, host| bootstrap(script, host, 3));
        assert_eq!(none, None);
    }
}

#[test]
fn bootstrap_hosts_alone_prove_no_endpoint() {
    for seed in 0..30 {
        let mut script = Script::new(seed);
        let host = Host::client(&mut script.rng);
        bootstrap(&mut script, &host, 3);
        let flow = Flow {
            protocol: UDP,
            inside: host.end.into(),
            outside: SocketAddrV4::new(BOOTSTRAP[0], 33_033).into(),
        };
        assert!(!trial::finds(&script.end(), &flow), "seed {seed}");
    }
}

#[test]
fn a_known_host_lifts_a_short_key_exchange() {
    for seed in 0..30 {
        let found = evidence(seed, 3, |script, host| {
            probe(40 * SECOND, host, script, 6);
            host.process.wait_until(60 * SECOND);
        });
        let found = found.expect("the host's Skype is known");
        assert_eq!(found[..2], ["tcp-key-exchange", "known-host"]);
    }
}

#[test]
fn a_short_key_exchange_is_lifted_unanswered_when_it_is_sent_again() {
    for again in [false, true] {
        let mut script = Script::new(7);
        let mut host = Host::client(&mut script.rng);
        probe(0, &mut host, &mut script, 6);
        host.process.wait_until(10 * SECOND);
        let mut turns = short_exchange(&mut script, &mut host, 4);
        turns.truncate(1);
        let peer = script.peer();
        let connection = Script::outgoing(&mut host, peer, &[]);
        script.connect(10 * SECOND, connection, &turns);
        let mut packets = script.end().packets;
        let is_first =
            |one: &&crate::wire::Packet| one.flow == connection.flow && !one.payload().is_empty();
        let mut first = packets.iter().find(is_first).expect("the opening").clone();
        first.time += 3 * SECOND;
        if again {
            packets.push(first);
        }
        let found = trial::class(&packets, &Mangle::none().path, &connection.flow);
        let names = ["tcp-key-exchange", "known-host"];
        let found = found.map(|(_, evidence)| evidence);
        assert_eq!(found.as_deref(), again.then_some(&names[..]));
    }
}

#[test]
fn a_ladder_lifts_a_short_key_exchange() {
    for seed in 0..30 {
        let found = evidence(seed, 4, |script, host| {
            // Two strangers are asked by UDP, then over TCP: nothing by itself.
            for second in [10, 20] {
                let mut other = Host::client(&mut script.rng);
                let peer = script.peer();
                let datagram = other.process.message(&mut script.rng, 7).datagram;
                let (ends, note) = ((host.end, peer), Note::default());
                script.datagram(second * SECOND, ends, true, datagram, note);
                for (port, wait) in [(peer.port(), 5000), (443, 6600)] {
                    let to = SocketAddrV4::new(*peer.ip(), port);
                    let turns = short_exchange(script, &mut other, 3);
                    let connection = Script::outgoing(host, to, &[]);
                    script.connect(second * SECOND + wait * MS, connection, &turns);
                }
            }
        });
        let names = ["tcp-key-exchange", "fallback-ladder"];
        assert_eq!(found.as_deref(), Some(&names[..]), "seed {seed}");
    }
}

/// A request by NAT-PMP to the host's router, for an hour (RFC 6886).
fn map(script: &mut Script, host: &Host, port: u16) {
    let mut request = vec![0, 1, 0, 0];
    request.extend(port.to_be_bytes());
    request.extend(port.to_be_bytes());
    request.extend(3600_u32.to_be_bytes());
    let router = SocketAddrV4::new(Ipv4Addr::new(192, 168, 7, 1), 5351);
    let from = SocketAddrV4::new(*host.end.ip(), 50_123);
    script.datagram(0, (from, router), true, request, Note::default());
}

/// The same by UPnP, headers and body in segments of their own, as programs send them.
fn map_by_upnp(script: &mut Script, host: &mut Host, port: u16) -> Flow {
    let body = format!(
        "<s:Envelope><s:Body><u:AddPortMapping><NewExternalPort>{port}</NewExternalPort>\
         <NewProtocol>UDP</NewProtocol><NewInternalPort>{port}</NewInternalPort>\
         <NewInternalClient>{}</NewInternalClient><NewEnabled>1</NewEnabled>\
         <NewPortMappingDescription>some program</NewPortMappingDescription>\
         <NewLeaseDuration>0</NewLeaseDuration></u:AddPortMapping></s:Body></s:Envelope>",
        host.end.ip()
    );
    let head = format!(
        "POST /control?WANIPConnection HTTP/1.1\r\nHost: 192.168.7.1:49152\r\nSOAPAction: \
         \"urn:schemas-upnp-org:service:WANIPConnection:1#AddPortMapping\"\r\n\
         Content-Type: text/xml\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let turns = [
        Turn::client(head),
        Turn::client(body),
        Turn::server("HTTP/1.1 200 OK\r\n\r\n"),
    ];
    let router = SocketAddrV4::new(Ipv4Addr::new(192, 168, 7, 1), 49_152);
    let connection = Script::outgoing(host, router, &[]);
    script.connect(0, connection, &turns);
    connection.flow
}

#[test]
fn a_port_mapped_by_upnp_is_told_as_one_that_the_host_listens_on() {
    for mapped in [true, false] {
        let mut script = Script::new(9);
        let mut host = Host::client(&mut script.rng);
        let port = if mapped { host.end.port() } else { 1000 };
        let asked = map_by_upnp(&mut script, &mut host, port);
        probe(SECOND, &mut host, &mut script, 6);
        let session = script.end();
        let is_probe = |one: &&crate::wire::Packet| one.flow.inside == host.end.into();
        let flow = session.packets.iter().rfind(is_probe).expect("some").flow;
        let found = trial::class(&session.packets, &Mangle::none().path, &flow);
        let (_, evidence) = found.expect("the endpoint is known");
        assert_eq!(evidence.contains(&"port-mapping"), mapped, "{evidence:?}");
        assert!(!trial::finds(&session, &asked));
    }
}

#[test]
fn a_mapped_port_is_told_as_that_on_which_the_host_listens() {
    for mapped in [true, false] {
        let mut script = Script::new(3);
        let mut host = Host::client(&mut script.rng);
        let port = if mapped { host.end.port() } else { 1000 };
        map(&mut script, &host, port);
        probe(SECOND, &mut host, &mut script, 6);
        let session = script.end();
        let is_probe = |one: &&crate::wire::Packet| one.flow.inside == host.end.into();
        let probe = session.packets.iter().rfind(is_probe).expect("some");
        let flow = probe.flow;
        let found = trial::class(&session.packets, &Mangle::none().path, &flow);
        let (_, evidence) = found.expect("the endpoint is known");
        assert_eq!(evidence.contains(&"port-mapping"), mapped, "{evidence:?}");
    }
}

#[test]
fn whatever_proves_an_endpoint_its_mapped_port_is_told() {
    let mut script = Script::new(6);
    let mut host = Host::client(&mut script.rng);
    map(&mut script, &host, host.end.port());
    let peer = script.peer();
    let asked = script.ask(SECOND, &mut host, peer, 7);
    script.nack(SECOND + 80 * MS, &mut host, peer, &asked);
    let flow = Flow {
        protocol: UDP,
        inside: host.end.into(),
        outside: peer.into(),
    };
    let packets = script.end().packets;
    let found = trial::class(&packets, &Mangle::none().path, &flow);
    let (_, evidence) = found.expect("the NACK names the public address");
    assert_eq!(evidence, ["udp-nack-address", "port-mapping"]);
}

#[test]
fn requests_to_map_a_port_are_not_skype() {
    let mut script = Script::new(4);
    let host = Host::client(&mut script.rng);
    map(&mut script, &host, host.end.port());
    let session = script.end();
    assert!(!trial::finds(&session, &session.packets[0].flow));
}

#[test]
fn an_unanswered_login_is_found_where_a_bootstrap_host_was_asked_and_nowhere_else() {
    for asked in [0, 1] {
        let mut script = Script::new(5);
        let mut host = Host::client(&mut script.rng);
        bootstrap(&mut script, &host, asked);
        let server = SocketAddrV4::new(*script.peer().ip(), 33_033);
        let connection = Script::outgoing(&mut host, server, &[]);
        let turns = [Turn::client([0x16, 0x03, 0x01, 0x00, 0x00])];
        script.connect(10 * SECOND, connection, &turns);
        let packets = script.end().packets;
        let found = trial::class(&packets, &Mangle::none().path, &connection.flow);
        let names = ["login-handshake", "bootstrap-host"];
        let expected = (asked == 1).then_some(&names[..]);
        let found = found.map(|(_, evidence)| evidence);
        assert_eq!(found.as_deref(), expected);
    }
}
