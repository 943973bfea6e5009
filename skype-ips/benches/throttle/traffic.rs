//! Hosts that speak Skype first and then send as much as they can, and what receives them.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use skype_ips::simulator::speech::{Generator, Process, legacy, noise, udp};
use socket2::{Domain, SockRef, Socket, Type};

use crate::case::{Case, Transport};
use crate::net::{Net, OUTSIDE_HOST};

/// The port that the hosts send UDP from.
const SKYPE_PORT: u16 = 13_021;
/// Outside peers that a host asks before it sends: what it says to them proves its endpoint.
const PEERS: std::ops::Range<u16> = 7000..7008;
/// IP and UDP headers.
const HEADERS: usize = 28;

/// What a connection's receiver was given: when, and how many bytes.
pub(crate) type Reads = Arc<Mutex<Vec<(SystemTime, usize)>>>;

/// What a case's receiver was given.
#[derive(Default)]
pub(crate) struct Received {
    /// Of each connection, in the order in which they came.
    pub(crate) connections: Arc<Mutex<Vec<Reads>>>,
}

/// Binds what receives a case and starts its hosts, which send until `end`.
pub(crate) fn start(net: &Net, case: &Case, end: Instant, seed: u64) -> io::Result<Received> {
    let received = Received::default();
    let address = SocketAddrV4::new(OUTSIDE_HOST, case.port());
    match case.transport {
        Transport::Udp => {
            let sink = net.outside.run(|| UdpSocket::bind(address))?;
            // Nobody reads: the packets are counted where they arrive.
            std::thread::spawn(move || {
                std::thread::sleep(end.saturating_duration_since(Instant::now()));
                drop(sink);
            });
        }
        Transport::Tcp => {
            let listener = net.outside.run(|| TcpListener::bind(address))?;
            let (connections, hosts) = (received.connections.clone(), case.hosts);
            std::thread::spawn(move || accept(&listener, hosts, &connections, end, seed));
        }
    }
    for host in 0..case.hosts {
        let seed = seed ^ u64::from(case.number) << 32 ^ u64::from(host) << 40;
        let from = SocketAddr::from((case.host(host), 0));
        let case = case.clone();
        match case.transport {
            Transport::Udp => {
                let from = SocketAddrV4::new(case.host(host), SKYPE_PORT);
                let socket = net.inside.run(|| UdpSocket::bind(from))?;
                std::thread::spawn(move || datagrams(&socket, &case, end, seed));
            }
            Transport::Tcp => {
                let socket = net.inside.run(|| {
                    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
                    // What most Linux hosts use, and the closest to what others do.
                    socket.set_tcp_congestion(b"cubic")?;
                    socket.bind(&from.into())?;
                    Ok(socket)
                })?;
                std::thread::spawn(move || stream(socket, address, end, seed));
            }
        }
    }
    Ok(received)
}

/// Proves the endpoint, then sends half as much again as the host's share.
fn datagrams(socket: &UdpSocket, case: &Case, end: Instant, seed: u64) -> io::Result<()> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut process = Process::client(&mut rng);
    for port in PEERS {
        let message = process.message(&mut rng, 7);
        socket.send_to(&message.datagram, (OUTSIDE_HOST, port))?;
        std::thread::sleep(Duration::from_millis(20));
    }
    let len = case.packet() - HEADERS;
    let share = case.rate as f64 / f64::from(case.hosts) * 1.5;
    let mut next = Instant::now();
    while next < end {
        let cipher = noise(&mut rng, len - 3);
        let datagram = udp::data(process.id(&mut rng), udp::Noise::some(&mut rng), &cipher);
        // A full queue on the way loses it, as on any path.
        let _ = socket.send_to(&datagram, (OUTSIDE_HOST, case.port()));
        // Hosts don't keep step with each other.
        next += Duration::from_secs_f64(case.packet() as f64 / share * (0.5 + rng.f64()));
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

/// Opens as Skype does, then sends all that the kernel takes.
fn stream(socket: Socket, to: SocketAddrV4, end: Instant, seed: u64) -> io::Result<()> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut generator = Generator::new(rng.u32(..));
    socket.connect(&to.into())?;
    let mut stream = TcpStream::from(socket);
    stream.write_all(&legacy::opening(&mut generator, &mut rng, 20))?;
    stream.read_exact(&mut [0; 35])?;
    stream.set_write_timeout(Some(Duration::from_millis(200)))?;
    while Instant::now() < end {
        let piece = noise(&mut rng, 16 * 1024);
        match stream.write(&piece) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    // What is still to be sent is of no interest.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))
}

/// Takes so many connections and reads all that they bring.
fn accept(
    listener: &TcpListener,
    hosts: u8,
    connections: &Mutex<Vec<Reads>>,
    end: Instant,
    seed: u64,
) -> io::Result<()> {
    for number in 0..hosts {
        let (stream, _) = listener.accept()?;
        let reads = Reads::default();
        let mut all = connections.lock().expect("no thread panics with it");
        all.push(reads.clone());
        drop(all);
        std::thread::spawn(move || read(stream, &reads, end, seed + u64::from(number)));
    }
    Ok(())
}

fn read(mut stream: TcpStream, reads: &Reads, end: Instant, seed: u64) -> io::Result<()> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut generator = Generator::new(rng.u32(..));
    let mut buffer = vec![0; 64 * 1024];
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    let mut answered = false;
    while Instant::now() < end {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => {
                let mut reads = reads.lock().expect("no thread panics with it");
                reads.push((SystemTime::now(), len));
                drop(reads);
                if !answered {
                    answered = true;
                    // 4 of IV, 10, 2, and 19 of padding: what the client waits for.
                    stream.write_all(&legacy::opening(&mut generator, &mut rng, 19))?;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
