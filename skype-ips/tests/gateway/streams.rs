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
const STRANGE: u8 = 0xee;
const CONSENT: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// The key exchange's first segment, with 30 bytes of padding.
fn opening() -> Vec<u8> {
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
            if bytes.starts_with(b"CONNECT") {
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
