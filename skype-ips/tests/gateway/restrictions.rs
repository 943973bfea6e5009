//! UDP off, only through a proxy: what is left of Skype goes on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::daemon::{Daemon, saying};
use crate::net::{Net, OUTSIDE_HOST};
use crate::streams::opening;

/// Where the proxy of these tests listens.
const PROXY_PORT: u16 = 1080;
const WORD: &[u8] = b"said behind the opening";

/// Whether Skype's connection to a port of the outside host lives on past its opening.
fn lives(net: &Net, port: u16) -> bool {
    let (mut client, server) = Net::connection(&net.inside, (&net.outside, OUTSIDE_HOST), port);
    let mut said = opening();
    client.write_all(&said).expect("an open connection");
    // A segment of its own, when the opening was judged.
    std::thread::sleep(Duration::from_millis(100));
    client.write_all(WORD).expect("room in the socket");
    said.extend(WORD);
    hears(server, &said)
}

fn hears(mut end: TcpStream, said: &[u8]) -> bool {
    end.set_read_timeout(Some(Duration::from_secs(1)))
        .expect("a time-out");
    let mut heard = vec![0; said.len()];
    end.read_exact(&mut heard).is_ok() && heard == said
}

#[test]
fn without_udp_skype_goes_on_over_tcp() {
    for hook in ["xdp", "tc", "off"] {
        let Some(net) = Net::build() else { return };
        let _server = net.serve();
        let daemon = Daemon::start(&net, &saying("udp = \"drop\""), &["--hook", hook]);
        assert_eq!(net.skype(6), [0], "hook {hook}");
        assert!(lives(&net, 4001), "hook {hook}");
        assert_eq!(net.plain(10), 10, "hook {hook}");
        daemon.stop();
    }
}

#[test]
fn only_what_goes_through_the_named_proxy_passes() {
    for hook in ["xdp", "tc", "off"] {
        let Some(net) = Net::build() else { return };
        let _server = net.serve();
        let keys = format!("only-via = [\"{OUTSIDE_HOST}:{PROXY_PORT}\"]");
        let daemon = Daemon::start(&net, &saying(&keys), &["--hook", hook]);
        assert!(lives(&net, PROXY_PORT), "hook {hook}");
        assert!(!lives(&net, 4001), "hook {hook}");
        assert_eq!(net.skype(6), [0], "hook {hook}");
        assert_eq!(net.plain(10), 10, "hook {hook}");
        daemon.stop();
    }
}
