//! What a flow carries, told by the daemon from the kernel's counters.

use std::net::UdpSocket;
use std::time::Duration;

use crate::daemon::{CONFIG, Daemon};
use crate::net::{INSIDE_HOST, Net, OUTSIDE_HOST, SKYPE_PORT};

#[test]
fn a_call_is_reported_as_voice_with_every_classifier() {
    for hook in ["xdp", "tc"] {
        let Some(net) = Net::build() else { return };
        let _server = net.serve();
        let mut daemon = Daemon::start(&net, CONFIG, &["--mode", "monitor", "--hook", hook]);
        assert_eq!(net.skype(4).len(), 4);
        let limit = Duration::from_secs(5);
        let alert = daemon.event("alert", limit).expect("an alert");
        assert_eq!(alert["skype"]["class"], "signaling", "hook {hook}");
        // Type d, 80 bytes each 20 milliseconds, and as many back: the server sends all back.
        let socket = net
            .inside
            .run(|| UdpSocket::bind((INSIDE_HOST, SKYPE_PORT)))
            .expect("a free port");
        for number in 0..140_u8 {
            let mut datagram = vec![number; 80];
            datagram[2] = 0x0d;
            let sent = socket.send_to(&datagram, (OUTSIDE_HOST, 7000));
            sent.expect("a route");
            std::thread::sleep(Duration::from_millis(20));
        }
        let alert = daemon.event("alert", limit).expect("another alert");
        assert_eq!(alert["skype"]["class"], "voice", "hook {hook}");
        assert_eq!(alert["skype"]["scope"], "flow");
        assert_eq!(alert["skype"]["evidence"][0], "media-statistics");
        assert_eq!(alert["dest_port"], 7000);
        daemon.stop();
    }
}
