//! The programs in the kernel beside the gate in user space.

use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions};
use skype_ips::engine::{Event, Subject};
use skype_ips::kernel::{MemoryTables, Programs, ShardTables, VerdictTables};
use skype_ips::policy::{Compiled, Config, Mode, Open};
use skype_ips_common::gate::{Outcome, Side, Work, judge};
use skype_ips_common::layout::{Counter, FlowKey, GateConfig, Hook, Interface, Met, Verdict, kind};
use skype_ips_common::mark::{Code, Field};
use skype_ips_common::parse::{Link, Slice};

pub(crate) const CONFIG: GateConfig = GateConfig {
    heartbeat_limit: u64::MAX,
    mark_mask: 0xf000_0000,
    nonce: 7,
    queues: 4,
    flags: 0,
    predicates: u32::MAX,
    half: 0,
    dns_tails: [0x5555_5555_5555_5555; 2],
};
/// Test runs happen on the loopback interface.
pub(crate) const LOOPBACK: u32 = 1;
/// Longest frame that a test run takes in one piece.
pub(crate) const LONGEST: usize = 2048;

/// The programs in the kernel and their twin, with the same tables.
pub(crate) struct Twins {
    pub(crate) programs: Programs,
    pub(crate) kernel: ShardTables,
    pub(crate) memory: MemoryTables,
    pub(crate) work: Work,
    /// The zone of the interface that packets are met on.
    pub(crate) zone: u16,
    /// Where the interface meets inside hosts.
    pub(crate) met: Met,
    /// The time for the gate in user space, nanoseconds.
    pub(crate) now: u64,
}

impl Twins {
    /// `None`, with a word, where this machine can't.
    pub(crate) fn load() -> Option<Self> {
        let config = Config::default_for_replay();
        Self::load_with(
            &config
                .policies
                .compile(Mode::Enforce, &Open::default(), &[]),
        )
    }

    /// The same, under policies of one's own.
    pub(crate) fn load_with(compiled: &Compiled) -> Option<Self> {
        let mut programs = match Programs::load() {
            Ok(programs) => programs,
            Err(error) if error.is_permission() => {
                eprintln!("SKIPPED: no right to load BPF programs here: {error}");
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        programs
            .set_config(CONFIG)
            .expect("an array takes its entry");
        programs
            .set_policy(compiled)
            .expect("the tables take four prefixes");
        let mut kernel = programs.shard_tables().expect("the tables are there");
        for queue in 0..4 {
            kernel.beat(queue, 1).expect("an array takes its entry");
        }
        Some(Self {
            programs,
            kernel,
            memory: MemoryTables::new(compiled),
            work: Work::default(),
            zone: 0,
            met: Met::default(),
            now: 1,
        })
    }

    pub(crate) fn memory(&mut self, frame: &[u8], link: Link, side: Side) -> Outcome {
        let config = GateConfig {
            flags: CONFIG.flags | self.memory.flags(),
            ..CONFIG
        };
        judge(
            &Slice::new(frame),
            link,
            side,
            self.zone,
            self.met,
            self.now,
            &config,
            &mut self.memory,
            &mut self.work,
        )
    }

    pub(crate) fn set_side(&mut self, link: Link, side: Side) {
        let interface = Interface {
            inside: u8::from(side != Side::OutsideIngress),
            raw: u8::from(link == Link::Raw),
            zone: self.zone,
            met: self.met,
        };
        self.programs
            .set_interface(LOOPBACK, interface)
            .expect("a hash takes its entry");
    }

    /// XDP says drop by its result, and inspect by its counter (its tag travels out of sight).
    pub(crate) fn xdp(&mut self, frame: &[u8], link: Link, side: Side) -> (bool, bool) {
        self.set_side(link, side);
        let tagged = |twins: &Self| {
            twins
                .programs
                .counter(Hook::Xdp, Counter::Tagged)
                .expect("readable")
        };
        let before = tagged(self);
        let options = TestRunOptions {
            data_in: Some(frame),
            ..TestRunOptions::default()
        };
        let result = self
            .programs
            .xdp()
            .expect("in the object")
            .test_run(options)
            .expect("the kernel runs it");
        (result.return_value == 1, tagged(self) > before)
    }

    /// TC says drop by its result, and anything else by the mark; `None` is drop.
    pub(crate) fn tc(&mut self, frame: &[u8], link: Link, side: Side) -> Option<Code> {
        self.set_side(link, side);
        let hook = if side == Side::InsideEgress {
            Hook::Egress
        } else {
            Hook::Ingress
        };
        let (mut context, mut after) = ([0u8; 192], [0u8; 192]);
        // __sk_buff: mark at 8, ingress_ifindex at 36. A mark of the operator's lies below ours.
        context[8..12].copy_from_slice(&0x0000_0815_u32.to_ne_bytes());
        context[36..40].copy_from_slice(&LOOPBACK.to_ne_bytes());
        let classifier: &mut SchedClassifier =
            self.programs.classifier(hook).expect("in the object");
        let result = classifier
            .test_run(TestRunOptions {
                data_in: Some(frame),
                ctx_in: Some(&context),
                ctx_out: Some(&mut after),
                ..TestRunOptions::default()
            })
            .expect("the kernel runs it");
        let mark = u32::from_ne_bytes(after[8..12].try_into().expect("four bytes"));
        assert_eq!(
            mark & !CONFIG.mark_mask,
            0x0815,
            "the operator's bits of the mark changed"
        );
        let field = Field::new(CONFIG.mark_mask).expect("four adjacent bits");
        // TC_ACT_SHOT is 2.
        (result.return_value != 2).then(|| field.read(mark))
    }

    /// In both tables.
    pub(crate) fn set_verdict(&mut self, key: &FlowKey, verdict: Verdict) {
        self.kernel.set_verdict(key, verdict).expect("room");
        self.memory.set_verdict(key, verdict).expect("infallible");
    }

    pub(crate) fn know(&mut self, event: &Event) {
        let (subject, verdict) = match event {
            Event::Found {
                subject,
                finding,
                session,
                ..
            } => (*subject, finding.verdict_in(*session)),
            Event::Listening {
                endpoint, finding, ..
            } => (Subject::Endpoint(*endpoint), finding.verdict()),
            Event::Ambiguous { flow, .. } => (Subject::Flow(*flow), Verdict::AMBIGUOUS),
            Event::Cleared(flow) => {
                let other = Verdict {
                    kind: kind::OTHER,
                    ..Verdict::default()
                };
                (Subject::Flow(*flow), other)
            }
            Event::Forgotten(_) | Event::NotListening(_) | Event::Unknown(_) => return,
        };
        let subject = &subject;
        match subject {
            Subject::Flow(key) => {
                self.set_verdict(key, verdict);
            }
            Subject::Endpoint(key) => {
                self.kernel.set_endpoint(key, verdict).expect("room");
                self.memory.set_endpoint(key, verdict).expect("infallible");
            }
        }
    }
}
