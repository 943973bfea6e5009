//! Openings in pieces and behind a proxy outside are found on the way, not only in captures.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use fastrand::Rng;
use skype_ips::simulator::speech::tls::{self, Hello};
use skype_ips_common::lcg;

use crate::daemon::{CONFIG, Daemon};
use crate::net::{Net, OUTSIDE_HOST};

const PORT: u16 = 4001;
const REQUEST: &[u8] = b"CONNECT 192.0.2.1:33033 HTTP/1.1\r\n\r\n";
const STRANGE: u8 = 0xee;
const CONSENT: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// The key exchange's first segment, with 30 bytes of padding.
pub(crate) fn opening() -> Vec<u8> {
    let padding = std::iter::successors(Some(0x33), |byte| Some(lcg::next_byte(*byte)));
    (0x90..0xc0).chain(padding.take(30)).collect()
}

/// A server that consents to a proxy's request if one comes, opens in pieces itself if it hears
/// random bytes, and then takes what comes.
fn serve(net: &Net) -> JoinHandle<()> {
    let listener = net
        .outside
        .run(|| TcpListener::bind((OUTSIDE_HOST, PORT)))
        .expect("a free port");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        stream.set_nodelay(true).expect("an option of TCP");
        let mut bytes = [0; 2048];
        while let Ok(len) = stream.read(&mut bytes) {
            if len == 0 {
                break;
            }
            // It may come in one read with what was said before.
            if bytes[..len].ends_with(REQUEST) {
                stream.write_all(CONSENT).expect("an open connection");
                bytes[0] = 0;
            } else if bytes[0] == STRANGE {
                // The client goes when it was found.
                let opening = opening();
                let mut pieces = opening.chunks(13);
                bytes[0] = 0;
                if !pieces.all(|piece| stream.write_all(piece).is_ok()) {
                    break;
                }
            }
        }
    })
}

fn connect(net: &Net) -> TcpStream {
    let stream = net
        .inside
        .run(|| TcpStream::connect((OUTSIDE_HOST, PORT)))
        .expect("a way through");
    stream.set_nodelay(true).expect("an option of TCP");
    stream
}

/// The daemon finds a connection on which `speak` is all that the client says.
fn is_found(hook: &str, masquerade: bool, speak: impl FnOnce(&mut TcpStream)) {
    let Some(net) = Net::build() else { return };
    if masquerade {
        net.gateway("iptables -t nat -A POSTROUTING -o out0 -j MASQUERADE");
    }
    let server = serve(&net);
    let mut daemon = Daemon::start(&net, CONFIG, &["--mode", "monitor", "--hook", hook]);
    let mut stream = connect(&net);
    speak(&mut stream);
    let alert = daemon
        .event("alert", Duration::from_secs(5))
        .unwrap_or_else(|| panic!("an alert, hook {hook}"));
    assert_eq!(alert["skype"]["scope"], "flow");
    assert_eq!(alert["dest_port"], PORT);
    assert_eq!(alert["skype"]["evidence"][0], "tcp-key-exchange");
    drop(stream);
    server.join().expect("the server ends");
    daemon.stop();
}

#[test]
fn an_opening_in_pieces_is_found_with_every_hook() {
    for hook in ["xdp", "tc", "off"] {
        // At once, one behind the other.
        is_found(hook, false, |stream| {
            for piece in opening().chunks(13) {
                stream.write_all(piece).expect("an open connection");
            }
        });
    }
}

#[test]
fn an_opening_behind_a_proxy_is_found_with_every_hook() {
    for hook in ["xdp", "tc", "off"] {
        is_found(hook, false, |stream| {
            stream.write_all(REQUEST).expect("an open connection");
            let mut consent = [0; CONSENT.len()];
            stream.read_exact(&mut consent).expect("the consent");
            stream.write_all(&opening()).expect("an open connection");
        });
    }
}

#[test]
fn an_answer_in_pieces_is_found_behind_masquerading() {
    for hook in ["xdp", "tc", "off"] {
        is_found(hook, true, |stream| {
            stream
                .write_all(&[STRANGE; 14])
                .expect("an open connection");
        });
    }
}

/// Whether a server of Skype's and Teams' is heard by a host that never asked for a name of either.
fn is_heard(hook: &str, masquerade: bool, config: &str) -> Option<bool> {
    let net = Net::build()?;
    if masquerade {
        net.gateway("iptables -t nat -A POSTROUTING -o out0 -j MASQUERADE");
    }
    let server = serve(&net);
    let mut daemon = Daemon::start(&net, config, &["--mode", "enforce", "--hook", hook]);
    let mut stream = connect(&net);
    let hello = tls::client_hello(&mut Rng::with_seed(7), Hello::Plain, "api.asm.skype.com");
    let hello = tls::records(&hello, 16_384);
    stream.write_all(&hello).expect("an open connection");
    let alert = daemon.event("alert", Duration::from_secs(5));
    let alert = alert.unwrap_or_else(|| panic!("an alert, hook {hook}"));
    assert_eq!(alert["skype"]["ambiguous"], true);
    assert_eq!(alert["skype"]["evidence"][0], "name-of-both");
    // A server that is asked to, by whom it can hear, answers.
    stream.write_all(REQUEST).expect("an open connection");
    let time = Duration::from_secs(1);
    stream
        .set_read_timeout(Some(time))
        .expect("an option of TCP");
    let heard = stream.read_exact(&mut [0; CONSENT.len()]).is_ok();
    daemon.stop();
    // Without the daemon the connection lives on, and ends.
    drop(stream);
    server.join().expect("the server ends");
    Some(heard)
}

#[test]
fn a_server_of_both_is_cut_off_only_where_the_policy_says_so() {
    let strict = CONFIG.replace(
        "default = \"drop\"",
        "default = \"drop\"\nambiguous = \"drop\"",
    );
    assert_ne!(strict, CONFIG);
    for (hook, masquerade) in [("xdp", false), ("tc", true), ("off", false)] {
        for (config, expected) in [(CONFIG, true), (&strict, false)] {
            let heard = is_heard(hook, masquerade, config);
            assert!(heard.is_none_or(|heard| heard == expected), "{hook}");
        }
    }
}
