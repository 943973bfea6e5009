//! How a call came about, told by the daemon from the first packets of its flow.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use crate::daemon::{CONFIG, Daemon};
use crate::net::{INSIDE_HOST, Net, OUTSIDE_HOST, SKYPE_PORT};

/// A message of type 2.
fn message(id: u8) -> Vec<u8> {
    [&[id, id, 2][..], &[id; 22]].concat()
}

/// The next datagram, and who sent it.
fn receive(socket: &UdpSocket) -> SocketAddr {
    let mut buffer = [0; 2048];
    let (_, from) = socket.recv_from(&mut buffer).expect("a datagram in time");
    from
}

/// A call between the inside host's endpoint and a port of the outside host. Either the inside host asks
/// and is answered, or both ask before they have heard of the other.
fn call(net: &Net, inside: &UdpSocket, port: u16, crossed: bool) {
    let outside = net
        .outside
        .run(|| UdpSocket::bind((OUTSIDE_HOST, port)))
        .expect("a free port");
    let limit = Some(Duration::from_secs(5));
    outside.set_read_timeout(limit).expect("a time-out");
    let send = |payload: &[u8]| {
        let sent = inside.send_to(payload, (OUTSIDE_HOST, port));
        sent.expect("a route");
    };
    send(&message(1));
    let peer = receive(&outside);
    outside.send_to(&message(70), peer).expect("a route");
    receive(inside);
    if crossed {
        send(&message(3));
        receive(&outside);
    }
    // Type d, as steady as voice.
    let mut media = [9; 80];
    media[2] = 0x0d;
    for _ in 0..140 {
        send(&media);
        outside.send_to(&media, peer).expect("a route");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_direct_call_and_a_punched_hole_are_told_apart_with_every_hook() {
    for (hook, masquerade) in [("tc", false), ("tc", true), ("off", true)] {
        let Some(net) = Net::build() else { return };
        if masquerade {
            net.gateway("iptables -t nat -A POSTROUTING -o out0 -j MASQUERADE");
        }
        let case = format!("hook {hook}, masquerading: {masquerade}");
        let server = net.serve();
        let daemon = Daemon::start(&net, CONFIG, &["--mode", "monitor", "--hook", hook]);
        assert_eq!(net.skype(4).len(), 4, "{case}");
        drop(server);
        let inside = net
            .inside
            .run(|| UdpSocket::bind((INSIDE_HOST, SKYPE_PORT)))
            .expect("a free port");
        let limit = Some(Duration::from_secs(5));
        inside.set_read_timeout(limit).expect("a time-out");
        for (port, crossed, path) in [(8100, false, "direct"), (8101, true, "hole-punched")] {
            call(&net, &inside, port, crossed);
            let outside = format!("{OUTSIDE_HOST}:{port}");
            let flows = daemon.get("/v1/flows");
            let flow = flows["flows"].as_array().expect("a list").iter();
            let flow = flow.clone().find(|flow| flow["outside"] == *outside);
            let flow = flow.unwrap_or_else(|| panic!("{case}: no flow to {outside}: {flows}"));
            assert_eq!(
                (&flow["class"], &flow["path"]),
                (&"voice".into(), &path.into()),
                "{case}"
            );
        }
        let said = daemon.cli(&["explain", &INSIDE_HOST.to_string()]);
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let expected = "voice, 2 flows: 1 direct, 1 hole-punched";
        assert!(said.contains(expected), "{case}: {said}");
        daemon.stop();
    }
}
