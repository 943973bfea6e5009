//! Inside host 10.9.1.2, gateway 10.9.1.1 and 203.0.113.1, outside host 203.0.113.2, each in a
//! namespace without a name, linked to nothing else.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use skype_ips::lab::netns::Netns;
use skype_ips::simulator::speech::{dns, stun};
use skype_ips_common::lcg;

pub(crate) const INSIDE_HOST: Ipv4Addr = Ipv4Addr::new(10, 9, 1, 2);
pub(crate) const GATEWAY_INSIDE: Ipv4Addr = Ipv4Addr::new(10, 9, 1, 1);
pub(crate) const GATEWAY_OUTSIDE: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
pub(crate) const OUTSIDE_HOST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 2);
/// The port that our Skype client sends all its UDP from.
pub(crate) const SKYPE_PORT: u16 = 13021;

/// Who is at work. Most tests share the machine; who measures it, or looks for whatever is left
/// anywhere, has it alone.
static TURNS: RwLock<()> = RwLock::new(());

/// A test's turn, kept for as long as it lasts.
enum Turn {
    Shared {
        _guard: RwLockReadGuard<'static, ()>,
    },
    Alone {
        _guard: RwLockWriteGuard<'static, ()>,
    },
}

pub(crate) struct Net {
    pub(crate) inside: Netns,
    pub(crate) gateway: Netns,
    pub(crate) outside: Netns,
    /// Kernel programs that its daemons had loaded when they were ready.
    programs: Mutex<BTreeSet<u32>>,
    turn: Turn,
}

impl Net {
    /// `None`, with a word, where this machine can't. Other tests go on beside it.
    pub(crate) fn build() -> Option<Self> {
        Self::in_turn(Turn::Shared {
            _guard: TURNS.read().unwrap_or_else(PoisonError::into_inner),
        })
    }

    /// As [`Net::build`], with the machine to itself.
    pub(crate) fn build_alone() -> Option<Self> {
        Self::in_turn(Turn::Alone {
            _guard: TURNS.write().unwrap_or_else(PoisonError::into_inner),
        })
    }

    fn in_turn(turn: Turn) -> Option<Self> {
        // SAFETY: no arguments, no preconditions.
        if unsafe { libc::geteuid() } != 0 {
            eprintln!("SKIPPED: not root");
            return None;
        }
        let namespace = || Netns::new().expect("root may make network namespaces");
        let net = Self {
            inside: namespace(),
            gateway: namespace(),
            outside: namespace(),
            programs: Mutex::default(),
            turn,
        };
        let (inside, outside) = (net.inside.path(), net.outside.path());
        net.gateway(&format!(
            "ip link add in0 type veth peer name eth0 netns {}",
            inside.display()
        ));
        net.gateway(&format!(
            "ip link add out0 type veth peer name eth0 netns {}",
            outside.display()
        ));
        net.gateway("ip address add 10.9.1.1/24 dev in0");
        net.gateway("ip address add 203.0.113.1/24 dev out0");
        net.gateway("ip link set in0 up");
        net.gateway("ip link set out0 up");
        for (host, address, via) in [
            (&net.inside, INSIDE_HOST, GATEWAY_INSIDE),
            (&net.outside, OUTSIDE_HOST, GATEWAY_OUTSIDE),
        ] {
            shell(host, &format!("ip address add {address}/24 dev eth0"));
            shell(host, "ip link set eth0 up");
            shell(host, &format!("ip route add default via {via}"));
        }
        net.gateway
            .run(|| std::fs::write("/proc/sys/net/ipv4/ip_forward", "1"))
            .expect("root may route");
        Some(net)
    }

    /// Notes which kernel programs a daemon has loaded.
    pub(crate) fn note_programs(&self, process: u32) {
        let folder = format!("/proc/{process}/fdinfo");
        let entries = std::fs::read_dir(folder).expect("the daemon runs");
        let texts = entries.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok());
        let mut programs = self.programs.lock().expect("no panic under it");
        for text in texts {
            let numbers = text
                .lines()
                .filter_map(|line| line.strip_prefix("prog_id:"));
            programs.extend(numbers.filter_map(|number| number.trim().parse::<u32>().ok()));
        }
    }

    /// Whether a kernel program is this test's. Who is alone answers for all.
    pub(crate) fn answers_for(&self, program: u32) -> bool {
        let programs = self.programs.lock().expect("no panic under it");
        matches!(self.turn, Turn::Alone { .. }) || programs.contains(&program)
    }

    /// Runs a command line in the gateway's namespace, and returns what it printed.
    pub(crate) fn gateway(&self, line: &str) -> String {
        shell(&self.gateway, line)
    }

    /// A connection from `client` to a port of `server`: its ends there.
    pub(crate) fn connection(
        client: &Netns,
        server: (&Netns, impl Into<IpAddr>),
        port: u16,
    ) -> (TcpStream, TcpStream) {
        let (server, address) = (server.0, server.1.into());
        let listener = server
            .run(|| TcpListener::bind((address, port)))
            .expect("a free port");
        let client = client
            .run(|| TcpStream::connect((address, port)))
            .expect("a way through");
        let (server, _) = listener.accept().expect("a connection");
        for end in [&client, &server] {
            end.set_nodelay(true).expect("an option of TCP");
            end.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        }
        (client, server)
    }

    /// Answers each datagram to ports 7000 to 7009 of the outside host.
    pub(crate) fn serve(&self) -> Server {
        self.serve_with(|datagram, _| Some(datagram.to_vec()))
    }

    /// Answers each datagram as `answer` says.
    pub(crate) fn serve_with(
        &self,
        answer: impl Fn(&[u8], SocketAddr) -> Option<Vec<u8>> + Clone + Send + 'static,
    ) -> Server {
        let stopping = Arc::new(AtomicBool::new(false));
        let threads = (7000..7010)
            .map(|port| {
                let socket = self
                    .outside
                    .run(|| UdpSocket::bind((OUTSIDE_HOST, port)))
                    .expect("a free port");
                socket
                    .set_read_timeout(Some(Duration::from_millis(50)))
                    .expect("a time-out");
                let (stopping, answer) = (stopping.clone(), answer.clone());
                std::thread::spawn(move || {
                    let mut buffer = [0; 2048];
                    while !stopping.load(Relaxed) {
                        if let Ok((length, from)) = socket.recv_from(&mut buffer)
                            && let Some(answer) = answer(&buffer[..length], from)
                        {
                            let _ = socket.send_to(&answer, from);
                        }
                    }
                })
            })
            .collect();
        Server { stopping, threads }
    }

    /// Sends `count` Skype probes from one port to many, and says which were answered.
    pub(crate) fn skype(&self, count: u32) -> Vec<u32> {
        self.skype_from(SKYPE_PORT, count, 0)
    }

    /// The same from another port, by a program that has sent `before` probes already.
    pub(crate) fn skype_from(&self, port: u16, count: u32, before: u32) -> Vec<u32> {
        probes(&self.inside, (INSIDE_HOST, port), count, before)
    }

    /// As [`Net::skype`], from another host.
    pub(crate) fn skype_at(&self, host: &Netns, address: Ipv4Addr, count: u32) -> Vec<u32> {
        probes(host, (address, SKYPE_PORT), count, 0)
    }

    /// Sends `count` connectivity checks in Microsoft's dialect from one port to ten, and says which
    /// were answered.
    pub(crate) fn checks(&self, count: u32) -> Vec<u32> {
        let socket = self
            .inside
            .run(|| UdpSocket::bind((INSIDE_HOST, 50_004)))
            .expect("a free port");
        let mut rng = fastrand::Rng::with_seed(u64::from(count));
        exchange(&socket, count, DROPPED, |_| stun::binding_request(&mut rng))
    }

    /// Asks the outside host, which is no resolver, for the address of `name`.
    pub(crate) fn look_up(&self, name: &str) {
        let socket = self
            .inside
            .run(|| UdpSocket::bind((INSIDE_HOST, 0)))
            .expect("a free port");
        let question = dns::query(7, name);
        socket
            .send_to(&question, (OUTSIDE_HOST, 53))
            .expect("a route");
    }

    /// Sends `count` probes of as many flows at once, and waits for no answer.
    pub(crate) fn flood(&self, count: u16) {
        for number in 0..count {
            let socket = self
                .inside
                .run(|| UdpSocket::bind((INSIDE_HOST, 40_000 + number)))
                .expect("a free port");
            let datagram = probe(u32::from(number), 0x1234_5678);
            socket
                .send_to(&datagram, (OUTSIDE_HOST, 7000))
                .expect("a route");
        }
    }

    /// Sends `count` datagrams that are nothing special, and says how many were answered.
    pub(crate) fn plain(&self, count: u32) -> usize {
        let socket = self
            .inside
            .run(|| UdpSocket::bind((INSIDE_HOST, 0)))
            .expect("a free port");
        exchange(&socket, count, LOST, |number| {
            format!("nothing special {number}").into_bytes()
        })
        .len()
    }
}

fn probes(host: &Netns, from: (Ipv4Addr, u16), count: u32, before: u32) -> Vec<u32> {
    let socket = host.run(|| UdpSocket::bind(from)).expect("a free port");
    let mut state = (0..before).fold(0x1234_5678, |state, _| lcg::next(state));
    exchange(&socket, count, DROPPED, |number| {
        state = lcg::next(state);
        probe(number, state)
    })
}

/// A type-2 datagram: message ID, 02, IV, then what would be checksum and ciphertext.
pub(crate) fn probe(number: u32, iv: u32) -> Vec<u8> {
    let mut datagram = (0x1000 + 2 * number as u16).to_be_bytes().to_vec();
    datagram.push(2);
    datagram.extend(iv.to_be_bytes());
    datagram.extend((0..15).map(|index| (number as u8).wrapping_mul(31).wrapping_add(index * 7)));
    datagram
}

/// How long to wait for what is sure to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait for an answer where many won't come.
const DROPPED: Duration = Duration::from_millis(400);
/// How long to wait for an answer where all should come.
const LOST: Duration = Duration::from_secs(2);

fn exchange(
    socket: &UdpSocket,
    count: u32,
    wait: Duration,
    mut datagram: impl FnMut(u32) -> Vec<u8>,
) -> Vec<u32> {
    socket.set_read_timeout(Some(wait)).expect("a time-out");
    let mut buffer = [0; 2048];
    (0..count)
        .filter(|number| {
            socket
                .send_to(
                    &datagram(*number),
                    (OUTSIDE_HOST, 7000 + (number % 10) as u16),
                )
                .expect("a route");
            socket.recv_from(&mut buffer).is_ok()
        })
        .collect()
}

/// The outside host's service; stops when dropped.
pub(crate) struct Server {
    stopping: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Runs a command line in a namespace, and returns what it printed.
pub(crate) fn shell(namespace: &Netns, line: &str) -> String {
    match try_shell(namespace, line) {
        Ok(text) => text,
        Err(error) => panic!("{line}: {error}"),
    }
}

/// As [`shell`], for commands that may fail.
pub(crate) fn try_shell(namespace: &Netns, line: &str) -> io::Result<String> {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().expect("a command"));
    command.args(words);
    namespace.place(&mut command);
    let output = command.output()?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(io::Error::other(
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ))
    }
}
