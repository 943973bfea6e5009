//! The shard on a queue in memory.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::atomic::AtomicBool;

use skype_ips_common::gate::Work;
use skype_ips_common::layout::GateConfig;
use skype_ips_common::lcg;
use skype_ips_common::mark::Field;

use super::*;
use crate::gateway::events;
use crate::gateway::gate::UserGate;
use crate::kernel::MemoryTables;
use crate::policy::{Action, Config, Mode, Policy, PolicySet};
use crate::simulator::speech::stun;

/// Number of the inside interface.
const INSIDE: u32 = 3;
const MARK: u32 = 0xf000_0000;

/// A queue whose packets are given beforehand; at its end the shard is told to stop.
#[derive(Debug)]
struct MemoryQueue {
    incoming: VecDeque<io::Result<MemoryPacket>>,
    verdicts: std::sync::mpsc::Sender<QueueVerdict>,
    shared: Arc<Shared>,
}

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
}

fn shared(mode: Mode, conntrack: bool) -> Arc<Shared> {
    let config = Config::default_for_replay();
    Arc::new(Shared {
        instance: "test".to_owned(),
        mode,
        policies: config.policies,
        policy_version: config.hash,
        field: Field::new(MARK).expect("four adjacent bits"),
        failure: crate::policy::Failure::default(),
        conntrack,
        inside: HashSet::from([INSIDE]),
        zones: HashMap::new(),
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
    let (sender, verdicts) = std::sync::mpsc::channel();
    let queue = MemoryQueue {
        incoming: incoming.into(),
        verdicts: sender,
        shared: shared.clone(),
    };
    let gate = Gate::User(Box::new(UserGate {
        tables: MemoryTables::new(&shared.policies.compile(shared.mode, 1)),
        config: GateConfig {
            queues: 1,
            mark_mask: MARK,
            predicates: shared.knowledge.predicates,
            dns_tails: shared.knowledge.names.dns_tails(),
            ..GateConfig::default()
        },
        work: Work::default(),
    }));
    let (events, writer) = events::start(None).expect("nothing to open");
    Shard::new(0, queue, gate, shared.clone(), events)
        .run()
        .expect("the queue has no final error");
    writer.join().expect("no panic");
    verdicts.iter().collect()
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

/// The same policies with these two actions, enforced.
fn shared_saying(default: Action, ambiguous: Action) -> Arc<Shared> {
    let mut shared = shared(Mode::Enforce, false);
    let own = Arc::get_mut(&mut shared).expect("nobody else has it yet");
    let policies = own.policies.policies().iter().map(|policy| Policy {
        default,
        ambiguous,
        ..policy.clone()
    });
    own.policies = PolicySet::new(policies.collect());
    shared
}

#[test]
fn what_is_ambiguous_is_dropped_only_where_the_policy_says_so() {
    let check = stun::binding_request(&mut fastrand::Rng::with_seed(1));
    let packets = || {
        let media = (0..3).map(|_| datagram(1, &[0x80; 60]));
        let checks = (0..20).map(|_| datagram(1, &check));
        checks.chain(media).collect()
    };
    let answers = verdicts(&shared_saying(Action::Drop, Action::Allow), packets());
    assert_eq!(answers[..20], [accepted(Code::Inspect(0)); 20]);
    assert_eq!(answers[20..], [accepted(Code::Pass); 3]);
    let shared = shared_saying(Action::Allow, Action::Drop);
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
fn monitoring_lets_skype_go_as_judged() {
    let answers = verdicts(&shared(Mode::Monitor, false), probes(2));
    assert_eq!(
        answers,
        [accepted(Code::Inspect(0)), accepted(Code::Judged)]
    );
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
