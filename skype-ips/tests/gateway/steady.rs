//! Starting, stopping and restarting under 20,000 live flows loses nothing.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::daemon::{CONFIG, Daemon};
use crate::net::{INSIDE_HOST, Net, OUTSIDE_HOST};

/// 200 source ports by 100 destination ports.
const SOURCES: u16 = 200;
const DESTINATIONS: u16 = 100;
/// Datagrams a second: a fraction of what this path forwards without loss on a slow machine.
const RATE: u64 = 4_000;

struct Traffic {
    stopping: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    received: Arc<AtomicU64>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Traffic {
    fn start(net: &Net) -> Self {
        let (stopping, sent, received) = (
            Arc::new(AtomicBool::new(false)),
            Arc::default(),
            Arc::default(),
        );
        let mut threads = Vec::new();
        for port in 0..DESTINATIONS {
            let socket = net
                .outside
                .run(|| UdpSocket::bind((OUTSIDE_HOST, 20_000 + port)))
                .expect("a free port");
            socket
                .set_read_timeout(Some(Duration::from_millis(100)))
                .expect("a time-out");
            let (stopping, received): (Arc<AtomicBool>, Arc<AtomicU64>) =
                (stopping.clone(), Arc::clone(&received));
            threads.push(std::thread::spawn(move || {
                let mut buffer = [0; 256];
                let mut quiet = false;
                // Goes on until a quiet time-out after the end, so that all that is on its way counts.
                while !(stopping.load(Relaxed) && quiet) {
                    quiet = socket.recv_from(&mut buffer).is_err();
                    received.fetch_add(u64::from(!quiet), Relaxed);
                }
            }));
        }
        let sources: Vec<UdpSocket> = net
            .inside
            .run(|| {
                (0..SOURCES)
                    .map(|port| UdpSocket::bind((INSIDE_HOST, 30_000 + port)))
                    .collect()
            })
            .expect("free ports");
        let (stop, count): (Arc<AtomicBool>, Arc<AtomicU64>) =
            (stopping.clone(), Arc::clone(&sent));
        threads.push(std::thread::spawn(move || send(&sources, &stop, &count)));
        Self {
            stopping,
            sent,
            received,
            threads,
        }
    }

    fn finish(self) -> (u64, u64) {
        self.stopping.store(true, Relaxed);
        for thread in self.threads {
            thread.join().expect("no panic");
        }
        (self.sent.load(Relaxed), self.received.load(Relaxed))
    }
}

/// One datagram in four looks enough like Skype to be queued.
fn send(sources: &[UdpSocket], stopping: &AtomicBool, sent: &AtomicU64) {
    let start = Instant::now();
    let to: Ipv4Addr = OUTSIDE_HOST;
    while !stopping.load(Relaxed) {
        let due = start.elapsed().as_millis() as u64 * RATE / 1000;
        while sent.load(Relaxed) < due {
            let number = sent.load(Relaxed);
            let mut datagram = [0x55; 40];
            datagram[..8]
                .copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            datagram[2] = if number.is_multiple_of(4) { 2 } else { 9 };
            let source = &sources[(number % u64::from(SOURCES)) as usize];
            let port = 20_000 + (number / u64::from(SOURCES) % u64::from(DESTINATIONS)) as u16;
            source.send_to(&datagram, (to, port)).expect("a route");
            sent.fetch_add(1, Relaxed);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn starts_stops_and_restarts_lose_nothing() {
    for hook in ["auto", "off"] {
        let Some(net) = Net::build_alone() else {
            return;
        };
        let traffic = Traffic::start(&net);
        // Five seconds make all 20,000 flows live.
        std::thread::sleep(Duration::from_millis(5_200));
        let mut folder = None;
        for _ in 0..3 {
            let daemon = match folder.take() {
                Some(folder) => Daemon::start_in(&net, folder, CONFIG, &["--hook", hook]),
                None => Daemon::start(&net, CONFIG, &["--hook", hook]),
            };
            std::thread::sleep(Duration::from_millis(1_500));
            let status = daemon.status();
            let queued: u64 = status["queues"]
                .as_array()
                .expect("a list")
                .iter()
                .filter_map(|q| q["received"].as_u64())
                .sum();
            assert!(queued > 0, "hook {hook}: something was judged");
            folder = Some(daemon.stop());
        }
        let (sent, received) = traffic.finish();
        assert!(sent > 5 * RATE, "{sent}");
        assert_eq!(received, sent, "hook {hook}");
    }
}
