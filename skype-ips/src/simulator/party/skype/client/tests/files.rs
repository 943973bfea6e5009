//! Files, and talk in writing.

use super::*;

fn file(bytes: u64) -> Order {
    let to = user(2);
    Order::SendFile { to, bytes }
}

/// Sends a file of so many bytes, and returns what both ends say.
fn send(net: &mut Net, bytes: u64, seconds: u64) -> [crate::simulator::party::FileFigures; 2] {
    net.order(20, 0, file(bytes));
    net.play(seconds);
    let [sent, received] = [0, 1].map(|client| net.figures(client).files[0].clone());
    assert!(sent.sending && !received.sending);
    for end in [&sent, &received] {
        assert_eq!((end.bytes, end.arrived), (bytes, bytes), "{end:?}");
        assert!(end.took.is_some());
    }
    [sent, received]
}

#[test]
fn a_file_is_whole_on_a_lossy_link() {
    let lossy = LinkSpec {
        loss: 0.03,
        jitter: Duration::from_millis(5),
        reorder: 0.01,
        ..LINK
    };
    let mut net = Net::new(1, Blocked::default(), lossy);
    net.client(Place::Translated, |_| {});
    net.client(Place::Home(NatKind::PortRestricted), |_| {});
    let [sent, received] = send(&mut net, 2_000_000, 200);
    assert_eq!((sent.path, received.path), ("udp", "udp"));
}

#[test]
fn a_file_fills_the_link() {
    let mut net = Net::perfect();
    net.client(Place::Public, |_| {});
    net.client(Place::Outside, |_| {});
    let [_, received] = send(&mut net, 20_000_000, 100);
    let took = received.took.expect("whole").as_secs_f64();
    assert!(took < 28.0, "{took} s at a megabyte a second");
}

#[test]
fn a_file_goes_over_tcp_too() {
    let blocked = Blocked {
        udp: true,
        tcp_high: false,
    };
    let mut net = Net::new(1, blocked, LINK);
    net.client(Place::Translated, |_| {});
    net.client(Place::Outside, |_| {});
    let [sent, _] = send(&mut net, 3_000_000, 100);
    assert_eq!(sent.path, "tcp");
}

#[test]
fn over_a_relay_a_file_keeps_to_three_kilobytes_a_second() {
    let mut net = Net::perfect();
    net.client(Place::Translated, |_| {});
    net.client(Place::Home(NatKind::Symmetric), |_| {});
    let [sent, received] = send(&mut net, 150_000, 150);
    assert_eq!(sent.path, "relay-udp");
    let took = received.took.expect("whole").as_secs_f64();
    assert!(150_000.0 / took < 3_000.0, "{took}");
    assert!(took < 90.0, "{took}");
}

#[test]
fn words_arrive() {
    for other in [Place::Outside, Place::Home(NatKind::Symmetric)] {
        let mut net = Net::perfect();
        net.client(Place::Translated, |_| {});
        net.client(other, |_| {});
        let lasting = 60 * SECOND;
        net.order(
            20,
            0,
            Order::Chat {
                with: user(2),
                lasting,
            },
        );
        net.play(120);
        for client in [0, 1] {
            let words = net.figures(client).exchanges[0];
            assert_eq!((words.what, words.begun), ("chat", words.done));
            assert!(words.done > 5, "{words:?}");
        }
    }
}
