//! Calls to where Skype listens are stopped at their SYN, and other servers go on.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use crate::daemon::{Daemon, saying};
use crate::net::{INSIDE_HOST, Net, PATIENCE, SKYPE_PORT};
use crate::streams::opening;

/// A port that only a policy knows of.
const NAMED_PORT: u16 = 35_990;
/// Longer than an answer takes, shorter than a client tries.
const UNANSWERED: Duration = Duration::from_millis(700);

/// Servers on ports of the inside host, which echo what they hear.
fn listen(net: &Net, ports: &[u16]) {
    for port in ports {
        let listener = net
            .inside
            .run(|| TcpListener::bind((INSIDE_HOST, *port)))
            .expect("a free port");
        // Ends with the test's process: it waits for calls until then.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { break };
                let mut bytes = [0; 2048];
                while let Ok(len @ 1..) = stream.read(&mut bytes) {
                    if stream.write_all(&bytes[..len]).is_err() {
                        break;
                    }
                }
            }
        });
    }
}

/// What becomes of a call from outside that says `word`.
fn call(net: &Net, port: u16, word: &[u8]) -> Result<Vec<u8>, ErrorKind> {
    let exchange = || {
        let to = (INSIDE_HOST, port).into();
        let mut stream = TcpStream::connect_timeout(&to, UNANSWERED)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(word)?;
        let mut bytes = vec![0; word.len()];
        stream.read_exact(&mut bytes)?;
        Ok(bytes)
    };
    net.outside
        .run(exchange)
        .map_err(|error: std::io::Error| error.kind())
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: intranet\r\n\r\n";

fn answered() -> Result<Vec<u8>, ErrorKind> {
    Ok(REQUEST.to_vec())
}

#[test]
fn the_learned_port_is_closed_and_the_web_server_goes_on() {
    for hook in ["xdp", "tc", "off"] {
        for (action, end) in [
            ("reject", ErrorKind::ConnectionRefused),
            ("drop", ErrorKind::TimedOut),
        ] {
            let Some(net) = Net::build() else { return };
            let case = format!("hook {hook}, {action}");
            let _server = net.serve();
            listen(&net, &[443, SKYPE_PORT]);
            let config = saying(&format!("listening-port = \"{action}\""));
            let daemon = Daemon::start(&net, &config, &["--hook", hook]);
            assert_eq!(
                call(&net, SKYPE_PORT, REQUEST),
                answered(),
                "{case}: not known yet"
            );
            assert_eq!(net.skype(4).len(), 4, "{case}: its own traffic goes on");
            assert_eq!(call(&net, SKYPE_PORT, REQUEST), Err(end), "{case}");
            assert_eq!(call(&net, 443, REQUEST), answered(), "{case}");
            assert_eq!(net.skype(4).len(), 4, "{case}: its own traffic goes on");
            daemon.stop();
        }
    }
}

#[test]
fn a_port_that_the_policy_names_is_closed_from_the_start() {
    for hook in ["tc", "off"] {
        let Some(net) = Net::build() else { return };
        listen(&net, &[443, NAMED_PORT]);
        let keys = format!("listening-port = {{ action = \"reject\", ports = [{NAMED_PORT}] }}");
        let daemon = Daemon::start(&net, &saying(&keys), &["--hook", hook]);
        let refused = Err(ErrorKind::ConnectionRefused);
        assert_eq!(call(&net, NAMED_PORT, REQUEST), refused, "hook {hook}");
        assert_eq!(call(&net, 443, REQUEST), answered(), "hook {hook}");
        daemon.stop();
    }
}

#[test]
fn on_443_the_first_payload_tells() {
    for hook in ["tc", "off"] {
        let Some(net) = Net::build() else { return };
        listen(&net, &[443]);
        let config = saying("listening-port = \"reject\"");
        let daemon = Daemon::start(&net, &config, &["--hook", hook]);
        assert_eq!(call(&net, 443, REQUEST), answered(), "hook {hook}");
        let cut = Err(ErrorKind::ConnectionReset);
        assert_eq!(call(&net, 443, &opening()), cut, "hook {hook}");
        assert_eq!(
            call(&net, 443, REQUEST),
            answered(),
            "hook {hook}: and after it"
        );
        daemon.stop();
    }
}
