//! Reloads under load: 20,000 packets a second lose nothing and keep their order.

use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::json;
use skype_ips_common::lcg;

use crate::daemon::{CONFIG, Daemon};
use crate::net::{INSIDE_HOST, Net, OUTSIDE_HOST, SKYPE_PORT, probe};

/// Packets a second.
const RATE: u64 = 20_000;
/// How long the rate is tried without reloads, and the least time with them.
const SPAN: Duration = Duration::from_secs(3);
const RELOADS: u32 = 100;
/// Flows of nobody in particular.
const PLAIN: u16 = 60;
/// Flows of the Skype client that is known.
const KNOWN: u16 = 40;
/// Ports of the outside host to which flows go.
const FIRST_PORT: u16 = 7000;
/// Room of the receiving socket, bytes: for seconds of the rate, with what the kernel adds to each.
const ROOM: libc::c_int = 256 << 20;

/// What arrived.
#[derive(Debug, Default, PartialEq, Eq)]
struct Arrived {
    packets: u64,
    out_of_order: u64,
}

struct Receiver {
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Arrived>>,
}

impl Receiver {
    fn start(net: &Net) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let threads = (0..4).map(|number| {
            let socket = net
                .outside
                .run(|| UdpSocket::bind((OUTSIDE_HOST, FIRST_PORT + number)))
                .expect("a free port");
            let room = ROOM;
            // SAFETY: the value is valid for reads of its own size.
            let set = unsafe {
                libc::setsockopt(
                    socket.as_raw_fd(),
                    libc::SOL_SOCKET,
                    libc::SO_RCVBUFFORCE,
                    (&raw const room).cast(),
                    size_of_val(&room) as libc::socklen_t,
                )
            };
            assert_eq!(set, 0, "root may ask for room");
            socket
                .set_read_timeout(Some(Duration::from_millis(200)))
                .expect("a time-out");
            let stopping = stopping.clone();
            std::thread::spawn(move || receive(&socket, &stopping))
        });
        Self {
            threads: threads.collect(),
            stopping,
        }
    }

    fn finish(self) -> Arrived {
        self.stopping.store(true, Relaxed);
        let mut all = Arrived::default();
        for thread in self.threads {
            let one = thread.join().expect("no panic");
            all.packets += one.packets;
            all.out_of_order += one.out_of_order;
        }
        all
    }
}

/// Each datagram ends with the number of its flow and its number in it.
fn receive(socket: &UdpSocket, stopping: &AtomicBool) -> Arrived {
    let mut arrived = Arrived::default();
    let mut last = [0u32; (PLAIN + KNOWN) as usize];
    let mut buffer = [0; 256];
    loop {
        let Ok(length) = socket.recv(&mut buffer) else {
            if stopping.load(Relaxed) {
                return arrived;
            }
            continue;
        };
        let Some([flow @ .., a, b, c, d]) = buffer[..length].last_chunk::<6>() else {
            continue;
        };
        let number = u32::from_be_bytes([*a, *b, *c, *d]);
        let Some(last) = last.get_mut(usize::from(u16::from_be_bytes(*flow))) else {
            continue;
        };
        arrived.packets += 1;
        arrived.out_of_order += u64::from(number <= *last);
        *last = number.max(*last);
    }
}

/// Sends at the rate until told to stop; how many packets that were. Time that the machine took away
/// is not made up for by a burst.
fn send(sockets: &[UdpSocket], stopping: &AtomicBool) -> u64 {
    let (mut sent, mut due) = (0u64, Instant::now());
    let mut numbers = [0u32; (PLAIN + KNOWN) as usize];
    let step = Duration::from_millis(1);
    while !stopping.load(Relaxed) {
        for _ in 0..RATE / 1000 {
            let flow = (sent % u64::from(PLAIN + KNOWN)) as u16;
            let number = &mut numbers[usize::from(flow)];
            *number += 1;
            let mut datagram = [0x55; 60];
            datagram[2] = 9;
            datagram[54..56].copy_from_slice(&flow.to_be_bytes());
            datagram[56..].copy_from_slice(&number.to_be_bytes());
            let port = FIRST_PORT + flow % 4;
            let socket = &sockets[usize::from(flow)];
            socket
                .send_to(&datagram, (OUTSIDE_HOST, port))
                .expect("a route");
            sent += 1;
        }
        due += step;
        let now = Instant::now();
        if now > due + 10 * step {
            due = now;
        }
        std::thread::sleep(due.saturating_duration_since(now));
    }
    sent
}

/// One socket for each plain flow; all known ones are of one port.
fn sockets(net: &Net) -> Vec<UdpSocket> {
    let known = net
        .inside
        .run(|| UdpSocket::bind((INSIDE_HOST, SKYPE_PORT)))
        .expect("a free port");
    // A client that is known: two probes prove it.
    let mut iv = 0x1234_5678;
    for number in 0..4 {
        iv = lcg::next(iv);
        let to = (OUTSIDE_HOST, FIRST_PORT + number as u16);
        known.send_to(&probe(number, iv), to).expect("a route");
        std::thread::sleep(Duration::from_millis(50));
    }
    let plain = (0..PLAIN).map(|number| {
        net.inside
            .run(|| UdpSocket::bind((INSIDE_HOST, 30_000 + number)))
            .expect("a free port")
    });
    let known = (0..KNOWN).map(|_| known.try_clone().expect("a descriptor"));
    plain.chain(known).collect()
}

/// Sends while `meanwhile` goes on: what was sent, and what arrived of it.
fn under_load(net: &Net, sockets: &[UdpSocket], meanwhile: impl FnOnce()) -> (u64, Arrived) {
    let receiver = Receiver::start(net);
    let stopping = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let sender = scope.spawn(|| send(sockets, &stopping));
        let outcome = catch_unwind(AssertUnwindSafe(meanwhile));
        stopping.store(true, Relaxed);
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
        sender.join().expect("no panic")
    });
    (sent, receiver.finish())
}

/// A configuration that reports only, with so many policies besides.
fn config(others: u32) -> String {
    let mut text = CONFIG.replace("default = \"drop\"", "default = \"alert\"");
    for number in 0..others {
        text += &format!(
            "[[policy]]\nname = \"other-{number}\"\nsubnets = [\"10.200.{number}.0/24\"]\ndefault = \"drop\"\n"
        );
    }
    text
}

#[test]
fn a_hundred_reloads_at_20_000_packets_a_second_lose_and_reorder_nothing() {
    let Some(net) = Net::build() else { return };
    let daemon = Daemon::start(&net, &config(0), &["--hook", "tc"]);
    let sockets = sockets(&net);
    let alone = under_load(&net, &sockets, || std::thread::sleep(SPAN));
    println!("without reloads: {alone:?}");
    // A packet that is looked at in user space can be overtaken where the daemon gets no time.
    if alone.1.packets != alone.0 || alone.1.out_of_order > 0 {
        eprintln!(
            "SKIPPED: this machine loses or reorders packets at that rate by itself: {alone:?}"
        );
        daemon.stop();
        return;
    }
    let began = Instant::now();
    let mut refused = 0;
    let with = under_load(&net, &sockets, || {
        for number in 0..RELOADS {
            let wrong = number % 10 == 9;
            let mut text = config(if number % 2 == 0 { 200 } else { 1 });
            text += &format!("# {number}\n");
            if wrong {
                text += "defualt = \"drop\"\n";
            }
            let before = daemon.status()["policy"]["version"].clone();
            daemon.write(&text);
            let answer = daemon.post("/v1/reload", &json!({}));
            let after = daemon.status()["policy"]["version"].clone();
            if wrong {
                answer.expect_err("a wrong file");
                assert_eq!(after, before, "a wrong file changes nothing");
                refused += 1;
            } else {
                assert_eq!(answer.expect("a good file")["policy"]["version"], after);
                assert_ne!(after, before);
            }
        }
        std::thread::sleep(SPAN.saturating_sub(began.elapsed()));
    });
    println!(
        "with {RELOADS} reloads in {:?}, {refused} refused: {with:?}",
        began.elapsed()
    );
    assert_eq!(
        with.1.packets, with.0,
        "lost with reloads; without: {alone:?}"
    );
    assert_eq!(
        with.1.out_of_order, 0,
        "reordered with reloads; without: {alone:?}"
    );
    daemon.stop();
}
