//! Openings in pieces and behind a proxy outside are found on the way, not only in captures.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use skype_ips_common::lcg;

use crate::daemon::{CONFIG, Daemon};
use crate::net::{Net, OUTSIDE_HOST};

const PORT: u16 = 4001;
const REQUEST: &[u8] = b"CONNECT 192.0.2.1:33033 HTTP/1.1\r\n\r\n";
const CONSENT: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// The key exchange's first segment, with 30 bytes of padding.
fn opening() -> Vec<u8> {
    let padding = std::iter::successors(Some(0x33), |byte| Some(lcg::next_byte(*byte)));
    (0x90..0xc0).chain(padding.take(30)).collect()
}

/// A server that consents to a proxy's request if one comes, and then takes what comes.
fn serve(net: &Net) -> JoinHandle<()> {
    let listener = net
        .outside
        .run(|| TcpListener::bind((OUTSIDE_HOST, PORT)))
        .expect("a free port");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut bytes = [0; 2048];
        while let Ok(len) = stream.read(&mut bytes) {
            if len == 0 {
                break;
            }
            if bytes.starts_with(b"CONNECT") {
                stream.write_all(CONSENT).expect("an open connection");
                bytes[0] = 0;
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

/// What the daemon says of a connection on which `speak` is all that is said.
fn evidence(hook: &str, speak: impl FnOnce(&mut TcpStream)) -> String {
    let Some(net) = Net::build() else {
        return String::new();
    };
    let server = serve(&net);
    let mut daemon = Daemon::start(&net, CONFIG, &["--mode", "monitor", "--hook", hook]);
    let mut stream = connect(&net);
    speak(&mut stream);
    let alert = daemon
        .event("alert", Duration::from_secs(5))
        .unwrap_or_else(|| panic!("an alert, hook {hook}"));
    assert_eq!(alert["skype"]["scope"], "flow");
    assert_eq!(alert["dest_port"], PORT);
    drop(stream);
    server.join().expect("the server ends");
    daemon.stop();
    alert["skype"]["evidence"][0]
        .as_str()
        .unwrap_or("")
        .to_owned()
}

#[test]
fn an_opening_in_pieces_is_found_with_every_hook() {
    for hook in ["xdp", "tc", "off"] {
        // At once, one behind the other.
        let found = evidence(hook, |stream| {
            for piece in opening().chunks(13) {
                stream.write_all(piece).expect("an open connection");
            }
        });
        assert!(["tcp-key-exchange", ""].contains(&&found[..]), "{found}");
    }
}

#[test]
fn an_opening_behind_a_proxy_is_found_with_every_hook() {
    for hook in ["xdp", "tc", "off"] {
        let found = evidence(hook, |stream| {
            stream.write_all(REQUEST).expect("an open connection");
            let mut consent = [0; CONSENT.len()];
            stream.read_exact(&mut consent).expect("the consent");
            stream.write_all(&opening()).expect("an open connection");
        });
        assert!(["tcp-key-exchange", ""].contains(&&found[..]), "{found}");
    }
}
