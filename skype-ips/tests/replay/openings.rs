//! Which segments of an opening the gate sends up.

use skype_ips::engine::Settings;
use skype_ips::policy::{Config, Mode};
use skype_ips::replay::{Driver, private_networks};
use skype_ips_common::gate::{Outcome, TCP_CANDIDATES, TCP_EARLY};
use skype_ips_common::mark::Code;

use crate::support::{ACK, SYN, SYN_ACK, key_exchange, tcp};

const CLIENT: &str = "192.168.7.2:50000";
const SERVER: &str = "198.51.100.1:4000";
/// Sequence numbers of the two streams' first bytes, where the first wraps soon.
const OUT: u32 = u32::MAX - 20;
const IN: u32 = 700;

/// A connection after its handshake.
struct Connection(Driver);

impl Connection {
    fn new() -> Self {
        let config = Config::default_for_replay();
        let settings = Settings::default();
        let mut driver = Driver::new(&config, Mode::Monitor, settings, &private_networks());
        driver.packet(&tcp(0, CLIENT, SERVER, SYN, OUT - 1, &[]));
        driver.packet(&tcp(0, SERVER, CLIENT, SYN_ACK, IN - 1, &[]));
        Self(driver)
    }

    /// Whether the client's bytes go up.
    fn says(&mut self, at: u32, payload: &[u8]) -> bool {
        self.segment(CLIENT, SERVER, OUT.wrapping_add(at), payload)
    }

    fn hears(&mut self, at: u32, payload: &[u8]) -> bool {
        self.segment(SERVER, CLIENT, IN + at, payload)
    }

    fn segment(&mut self, from: &str, to: &str, seq: u32, payload: &[u8]) -> bool {
        let step = self.0.packet(&tcp(0, from, to, ACK, seq, payload));
        let judged = step.judged[0].expect("the gate saw it");
        matches!(judged.outcome, Outcome::Pass(Code::Inspect(_)))
    }

    fn ends_found(self) -> bool {
        self.0.finish().stats.skype_flows == 1
    }
}

/// A key exchange whose value is no text.
fn opening() -> Vec<u8> {
    let mut opening = key_exchange();
    opening[..48].iter_mut().for_each(|byte| *byte |= 0x80);
    opening
}

#[test]
fn every_beginning_of_an_opening_goes_up_and_what_follows_it() {
    let opening = opening();
    // Five bytes of padding are proof.
    for cut in 1..53 {
        let mut connection = Connection::new();
        assert!(connection.says(0, &opening[..cut]), "{cut}");
        assert!(connection.says(cut as u32, &opening[cut..]), "{cut}");
        assert!(connection.ends_found(), "{cut}");
    }
}

#[test]
fn what_overtakes_the_beginning_goes_up() {
    let opening = opening();
    for cut in 1..opening.len() {
        let mut connection = Connection::new();
        assert!(connection.says(cut as u32, &opening[cut..]), "{cut}");
        assert!(connection.says(0, &opening[..cut]), "{cut}");
        assert!(connection.ends_found(), "{cut}");
    }
    let mut connection = Connection::new();
    let sent_up = (0..100).filter(|at| connection.says(10 + at * 9, &[0xee; 9]));
    assert_eq!(sent_up.count(), usize::from(TCP_EARLY));
}

#[test]
fn text_and_what_follows_it_stay_in_the_kernel() {
    let mut connection = Connection::new();
    assert!(!connection.says(0, b"EHLO mail"));
    assert!(!connection.says(9, b".example.org\r\n"));
    assert!(!connection.hears(0, b"220 mail.example.org ESMTP ready\r\n"));
    // Overtaken, it goes up until its beginning is seen.
    let mut connection = Connection::new();
    assert!(connection.says(9, b".example.org\r\n"));
    assert!(!connection.says(0, b"EHLO mail"));
    assert!(!connection.says(9, b".example.org\r\n"));
    assert!(!connection.says(23, b"MAIL FROM:<me>\r\n"));
}

#[test]
fn an_opening_that_comes_again_and_again_goes_up_a_few_times() {
    let mut connection = Connection::new();
    let mut opening = [0xee; 60];
    opening[49] = 0x07; // 205 times ee plus 113
    let sent_up = (0..100).filter(|_| connection.says(0, &opening));
    // The engine sees that it is nothing.
    assert_eq!(sent_up.count(), usize::from(TCP_CANDIDATES));
}

#[test]
fn an_answer_whose_second_part_comes_first_keeps_its_beginning() {
    let mut connection = Connection::new();
    connection.says(0, &[0x16, 3, 1, 0, 0]);
    connection.hears(5, &[0x17, 3, 1, 0, 40, 9, 9, 9]);
    assert!(connection.hears(0, &[0x17, 3, 1, 0, 0]));
    assert!(connection.ends_found());
}

#[test]
fn behind_a_proxys_consent_everything_goes_up_until_it_is_decided() {
    let mut connection = Connection::new();
    let request = b"CONNECT 192.0.2.1:443 HTTP/1.1\r\n\r\n";
    let consent = b"HTTP/1.1 200 OK\r\n\r\n";
    assert!(connection.says(0, request));
    assert!(connection.hears(0, consent));
    assert!(connection.says(request.len() as u32, &key_exchange()));
    assert!(connection.ends_found());
}
