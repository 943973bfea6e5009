//! The shard on a queue in memory.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use skype_ips_common::gate::Work;
use skype_ips_common::layout::GateConfig;
use skype_ips_common::lcg;
use skype_ips_common::mark::Field;

use super::*;
use crate::gateway::events;
use crate::gateway::gate::UserGate;
use crate::gateway::in_force::{Current, InForce};
use crate::kernel::MemoryTables;
use crate::policy::{Config, Mode};
use crate::simulator::speech::stun;

/// Number of the inside interface.
const INSIDE: u32 = 3;
const OUTSIDE: u32 = 4;
const MARK: u32 = 0xf000_0000;

/// A queue whose packets are given beforehand; at its end the shard is told to stop.
#[derive(Debug)]
struct MemoryQueue {
    incoming: VecDeque<io::Result<MemoryPacket>>,
    verdicts: std::sync::mpsc::Sender<QueueVerdict>,
    sent: Arc<Mutex<Vec<Sent>>>,
    shared: Arc<Shared>,
}

/// A packet that is sent beside, and its mark.
type Sent = (Vec<u8>, u32);

#[derive(Debug)]
struct MemoryPacket {
    bytes: Vec<u8>,
    mark: u32,
}

impl QueuedPacket for MemoryPacket {
    fn payload(&self) -> &[u8] {
        &self.bytes
    }

    fn mark(&self) -> u32 {
        self.mark
    }

    fn arrived_on(&self) -> u32 {
        INSIDE
    }

    fn leaves_through(&self) -> u32 {
        if self.bytes.get(16) == Some(&10) {
            INSIDE
        } else {
            OUTSIDE
        }
    }

    fn is_super_packet(&self) -> bool {
        self.bytes.len() > 1500
    }
}

impl Queue for MemoryQueue {
    type Packet = MemoryPacket;

    fn receive(&mut self) -> io::Result<Option<MemoryPacket>> {
        match self.incoming.pop_front() {
            Some(packet) => packet.map(Some),
            None => {
                self.shared.stopping.store(true, Relaxed);
                Ok(None)
            }
        }
    }

    fn answer(&mut self, _packet: MemoryPacket, verdict: QueueVerdict) -> io::Result<()> {
        self.verdicts.send(verdict).map_err(io::Error::other)
    }

    fn send(&mut self, packet: &[u8], mark: u32) -> io::Result<()> {
        let mut sent = self.sent.lock().expect("nobody panicked");
        sent.push((packet.to_vec(), mark));
        Ok(())
    }
}

fn shared(mode: Mode, conntrack: bool) -> Arc<Shared> {
    shared_with(Config::default_for_replay(), mode, conntrack)
}

/// As [`shared`], enforced, under these policies.
fn shared_saying(policies: &str) -> Arc<Shared> {
    let text = format!("version = 1\n{policies}");
    let config = crate::policy::parse(std::path::Path::new("policies.toml"), &text);
    shared_with(config.expect("no mistake"), Mode::Enforce, false)
}

fn shared_with(config: Config, mode: Mode, conntrack: bool) -> Arc<Shared> {
    let standing = config.standing(mode, jiff::Timestamp::UNIX_EPOCH);
    Arc::new(Shared {
        instance: "test".to_owned(),
        current: Current::new(InForce {
            standing,
            version: config.hash,
        }),
        field: Field::new(MARK).expect("four adjacent bits"),
        failure: crate::policy::Failure::default(),
        conntrack,
        inside: HashSet::from([INSIDE]),
        places: HashMap::new(),
        first_queue: 0,
        counters: vec![ShardCounters::default()],
        public_addresses: Vec::new(),
        outside_addresses: Default::default(),
        knowledge: config.knowledge,
        stopping: AtomicBool::new(false),
        bypass: AtomicBool::new(false),
        beats: Default::default(),
    })
}

/// What the shard answers to these, as the gate in user space sees all packets.
fn verdicts(shared: &Arc<Shared>, incoming: Vec<io::Result<MemoryPacket>>) -> Vec<QueueVerdict> {
    answers(shared, incoming).0
}

/// The same, with what it sends beside.
fn answers(
    shared: &Arc<Shared>,
    incoming: Vec<io::Result<MemoryPacket>>,
) -> (Vec<QueueVerdict>, Vec<(Vec<u8>, u32)>) {
    let (sender, verdicts) = std::sync::mpsc::channel();
    let sent = Arc::default();
    let queue = MemoryQueue {
        incoming: incoming.into(),
        verdicts: sender,
        sent: Arc::clone(&sent),
        shared: shared.clone(),
    };
    let gate = Gate::User(Arc::new(Mutex::new(UserGate {
        tables: MemoryTables::new(shared.in_force().standing.compiled()),
        config: GateConfig {
            queues: 1,
            mark_mask: MARK,
            predicates: shared.knowledge.predicates,
            dns_tails: shared.knowledge.names.dns_tails(),
            ..GateConfig::default()
        },
        work: Work::default(),
    })));
    let (events, writer) = events::start(None).expect("nothing to open");
    Shard::new(0, queue, gate, shared.clone(), events)
        .run()
        .expect("the queue has no final error");
    writer.join().expect("no panic");
    let sent = std::mem::take(&mut *sent.lock().expect("nobody panicked"));
    (verdicts.iter().collect(), sent)
}

/// A UDP datagram from 10.0.0.1:13021 to 192.0.2.x:40000, with an operator's mark.
fn datagram(to: u8, payload: &[u8]) -> io::Result<MemoryPacket> {
    let length = 28 + payload.len() as u16;
    let mut bytes = vec![0x45, 0];
    bytes.extend(length.to_be_bytes());
    bytes.extend([0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 192, 0, 2, to]);
    bytes.extend([0x32, 0xdd, 0x9c, 0x40]);
    bytes.extend((length - 20).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(payload);
    Ok(MemoryPacket {
        bytes,
        mark: 0x0815,
    })
}

fn probes(count: u8) -> Vec<io::Result<MemoryPacket>> {
    let mut iv = 0x2bb7_2fed;
    (1..=count)
        .map(|number| {
            let mut payload = vec![0x15, 2 * number, 2];
            iv = lcg::next(iv);
            payload.extend(iv.to_be_bytes());
            payload.extend([number; 13]);
            datagram(number, &payload)
        })
        .collect()
}

fn accepted(code: Code) -> QueueVerdict {
    QueueVerdict::Accept(
        Field::new(MARK)
            .expect("four adjacent bits")
            .write(0x0815, code),
    )
}

#[test]
fn the_second_probe_is_dropped_and_all_after_it() {
    let shared = shared(Mode::Enforce, false);
    let answers = verdicts(&shared, probes(4));
    assert_eq!(answers[0], accepted(Code::Inspect(0)));
    assert_eq!(answers[1..], [QueueVerdict::Drop; 3]);
    assert_eq!(shared.counters[0].decisions.load(Relaxed), 1);
    assert_eq!(shared.counters[0].dropped.load(Relaxed), 3);
}

#[test]
fn with_connection_tracking_a_drop_goes_back_to_the_chain_that_records_it() {
    let answers = verdicts(&shared(Mode::Enforce, true), probes(2));
    assert_eq!(answers[1], QueueVerdict::Repeat(0x2000_0815));
}

const ALL: &str = "[[policy]]\nname = \"all\"\nsubnets = [\"10.0.0.0/8\"]\n";

#[test]
fn what_is_ambiguous_is_dropped_only_where_the_policy_says_so() {
    let check = stun::binding_request(&mut fastrand::Rng::with_seed(1));
    let packets = || {
        let media = (0..3).map(|_| datagram(1, &[0x80; 60]));
        let checks = (0..20).map(|_| datagram(1, &check));
        checks.chain(media).collect()
    };
    let answers = verdicts(
        &shared_saying(&format!("{ALL}default = \"drop\"")),
        packets(),
    );
    assert_eq!(answers[..20], [accepted(Code::Inspect(0)); 20]);
    assert_eq!(answers[20..], [accepted(Code::Pass); 3]);
    let shared = shared_saying(&format!("{ALL}ambiguous = \"drop\""));
    assert_eq!(verdicts(&shared, packets()), [QueueVerdict::Drop; 23]);
    assert_eq!(
        shared.counters[0].decisions.load(Relaxed),
        0,
        "nothing was found"
    );
    shared.bypass.store(true, Relaxed);
    let passing = [accepted(Code::Inspect(0)), accepted(Code::Pass)];
    let answers = verdicts(&shared, packets());
    assert!(answers.iter().all(|answer| passing.contains(answer)));
}

#[test]
fn without_a_classifier_skype_that_passes_is_watched_on() {
    // Past the packet with which other connections are let go.
    let answers = verdicts(&shared(Mode::Monitor, false), probes(60));
    assert_eq!(answers[0], accepted(Code::Inspect(0)));
    assert!(!answers.contains(&accepted(Code::Judged)), "{answers:?}");
}

#[test]
fn while_bypassed_skype_passes_unrecorded() {
    let shared = shared(Mode::Enforce, true);
    shared.bypass.store(true, Relaxed);
    let answers = verdicts(&shared, probes(4));
    assert!(
        answers[1..]
            .iter()
            .all(|answer| *answer == accepted(Code::Pass)),
        "{answers:?}"
    );
    assert_eq!(
        shared.counters[0].decisions.load(Relaxed),
        1,
        "watching goes on"
    );
}

#[test]
fn an_unclassified_connection_is_let_go_after_its_thirty_second_packet() {
    let packets = (0..40).map(|_| datagram(1, b"nothing special")).collect();
    let answers = verdicts(&shared(Mode::Enforce, true), packets);
    assert_eq!(answers[..31], [accepted(Code::Pass); 31]);
    assert_eq!(answers[31..], [accepted(Code::Judged); 9]);
}

#[test]
fn lost_messages_are_counted_and_nothing_ends() {
    let shared = shared(Mode::Enforce, false);
    let lost = Err(io::Error::from_raw_os_error(libc::ENOBUFS));
    let answers = verdicts(&shared, vec![lost, datagram(1, b"nothing special")]);
    assert_eq!(answers, [accepted(Code::Pass)]);
    assert_eq!(shared.counters[0].message_lost.load(Relaxed), 1);
}

#[test]
fn bytes_that_are_no_packet_pass_and_let_no_connection_go() {
    let packet = Ok(MemoryPacket {
        bytes: vec![0xff; 9],
        mark: 0x0815,
    });
    assert_eq!(
        verdicts(&shared(Mode::Enforce, false), vec![packet]),
        [accepted(Code::Pass)]
    );
}

/// A TCP segment between 10.0.0.1:1000 and `to`:2000 with an operator's mark.
fn segment(to: [u8; 4], outbound: bool, flags: u8, sequence: u32, payload: &[u8]) -> MemoryPacket {
    let (mut ends, mut ports) = ([[10, 0, 0, 1], to], [1000, 2000]);
    if !outbound {
        ends.reverse();
        ports.reverse();
    }
    let mut tcp = etherparse::TcpHeader::new(ports[0], ports[1], sequence, 512);
    tcp.syn = flags & 2 != 0;
    tcp.ack = flags & 16 != 0;
    tcp.acknowledgment_number = 77;
    let step = etherparse::PacketBuilder::ipv4(ends[0], ends[1], 64).tcp_header(tcp);
    let mut bytes = Vec::new();
    step.write(&mut bytes, payload).expect("room in memory");
    MemoryPacket {
        bytes,
        mark: 0x0815,
    }
}

/// The key exchange's first segment, with 30 bytes of padding.
fn opening() -> Vec<u8> {
    let padding = std::iter::successors(Some(0x33), |byte| Some(lcg::next_byte(*byte)));
    (0x90..0xc0).chain(padding.take(30)).collect()
}

/// A connection to `to` whose client opens as Skype does, and sends four segments more.
fn connection(to: [u8; 4]) -> Vec<io::Result<MemoryPacket>> {
    let opening = opening();
    let mut packets = vec![
        Ok(segment(to, true, 2, 999, &[])),
        Ok(segment(to, true, 16, 1000, &opening)),
    ];
    let next = 1000 + opening.len() as u32;
    packets.extend((0..4).map(|number| Ok(segment(to, true, 16, next + number, b"x"))));
    packets
}

#[test]
fn what_is_rejected_meets_the_chain_again_and_a_reset_goes_to_its_receiver() {
    let shared = shared_saying(&format!("{ALL}default = \"reject\""));
    let (answers, sent) = answers(&shared, connection([192, 0, 2, 1]));
    let rejected = QueueVerdict::Repeat(0x3000_0815);
    assert_eq!(answers[0], accepted(Code::Pass));
    assert_eq!(answers[1..], [rejected; 5]);
    assert_eq!(shared.counters[0].rejected.load(Relaxed), 5);
    assert_eq!(sent.len(), 5);
    let (reset, mark) = &sent[0];
    assert_eq!(*mark, 0x4000_0815, "made by us, and the operator's bits");
    assert_eq!(reset[12..20], [10, 0, 0, 1, 192, 0, 2, 1]);
    assert_eq!(reset[24..28], 1000_u32.to_be_bytes());
    assert_eq!(reset[33], 0x14, "RST and ACK");
}

#[test]
fn datagrams_are_rejected_without_a_reset() {
    let shared = shared_saying(&format!("{ALL}default = \"reject\""));
    let (answers, sent) = answers(&shared, probes(3));
    assert_eq!(answers[1..], [QueueVerdict::Repeat(0x3000_0815); 2]);
    assert_eq!(sent, []);
}

#[test]
fn while_bypassed_nothing_is_reset() {
    let shared = shared_saying(&format!("{ALL}default = \"reject\""));
    shared.bypass.store(true, Relaxed);
    let (answers, sent) = answers(&shared, connection([192, 0, 2, 1]));
    assert!(!answers.contains(&QueueVerdict::Repeat(0x3000_0815)));
    assert_eq!(sent, []);
}

#[test]
fn between_two_inside_hosts_the_receivers_policy_has_a_say_too() {
    let two = "[[policy]]\nname = \"a\"\nsubnets = [\"10.0.0.0/24\"]\ndefault = \"allow\"\n\
               [[policy]]\nname = \"b\"\nsubnets = [\"10.0.1.0/24\"]\ndefault = \"drop\"\n";
    let shared = shared_saying(two);
    assert_eq!(
        verdicts(&shared, connection([10, 0, 1, 9]))[1..],
        [QueueVerdict::Drop; 5]
    );
    let passing = verdicts(&shared, connection([10, 0, 0, 9]));
    assert!(!passing.contains(&QueueVerdict::Drop), "{passing:?}");
    let outside = verdicts(&shared, connection([192, 0, 2, 1]));
    assert!(!outside.contains(&QueueVerdict::Drop), "{outside:?}");
}
