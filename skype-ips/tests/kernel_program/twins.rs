//! The programs in the kernel beside the gate in user space.

use std::path::Path;

use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions};
use skype_ips::engine::{Event, Subject};
use skype_ips::kernel::{MemoryTables, Programs, ShardTables, VerdictTables};
use skype_ips::policy::{Compiled, Config, Mode, Open, parse};
use skype_ips_common::gate::{Outcome, Side, Work, judge};
use skype_ips_common::layout::{
    Counter, EndpointKey, FlowKey, GateConfig, Hook, Interface, Met, Verdict, kind,
};
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
/// Bits of the mark that are not ours.
const OF_OPERATOR: u32 = 0x0815;

/// A policy file, compiled to be enforced.
pub(crate) fn compiled(policies: &str) -> Compiled {
    let config = parse(Path::new("policy.toml"), policies);
    let config = config.unwrap_or_else(|problems| panic!("{problems}"));
    config
        .policies
        .compile(Mode::Enforce, &Open::default(), &[])
}

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

    /// The same, enforcing a policy file of one's own.
    pub(crate) fn under(policies: &str) -> Option<Self> {
        Self::load_with(&compiled(policies))
    }

    /// Swaps the policies of both.
    pub(crate) fn set_policy(&mut self, policies: &str) {
        let compiled = compiled(policies);
        self.programs.set_policy(&compiled).expect("room");
        self.memory.set_policy(&compiled);
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

    /// What both say of an IP packet.
    pub(crate) fn both(&mut self, packet: &[u8], side: Side) -> Outcome {
        let said = self.memory(packet, Link::Raw, side);
        let found = self.tc(packet, Link::Raw, side);
        if side == Side::InsideEgress {
            // Leaving packets bear no code.
            assert_eq!(found.is_none(), said == Outcome::Drop);
        } else {
            assert_eq!(found.map_or(Outcome::Drop, Outcome::Pass), said);
        }
        said
    }

    /// What is known of an endpoint, in both tables.
    pub(crate) fn set_endpoint(&mut self, key: &EndpointKey, verdict: Verdict) {
        self.kernel.set_endpoint(key, verdict).expect("room");
        self.memory.set_endpoint(key, verdict).expect("infallible");
    }

    /// TC says drop by its result, and anything else by the mark; `None` is drop.
    pub(crate) fn tc(&mut self, frame: &[u8], link: Link, side: Side) -> Option<Code> {
        let (result, mark, _) = self.run(frame, link, side, 0);
        assert_eq!(
            mark & !CONFIG.mark_mask,
            OF_OPERATOR,
            "the operator's bits of the mark changed"
        );
        let field = Field::new(CONFIG.mark_mask).expect("four adjacent bits");
        // TC_ACT_SHOT is 2.
        (result != 2).then(|| field.read(mark))
    }

    /// Runs a frame of so many segments (0 without offload) through TC: its result, the mark, and the
    /// frame as it goes on.
    pub(crate) fn run(
        &mut self,
        frame: &[u8],
        link: Link,
        side: Side,
        segments: u32,
    ) -> (u32, u32, Vec<u8>) {
        self.set_side(link, side);
        let hook = if side == Side::InsideEgress {
            Hook::Egress
        } else {
            Hook::Ingress
        };
        let (mut context, mut after) = ([0u8; 192], [0u8; 192]);
        let mut out = vec![0; frame.len()];
        // __sk_buff: mark at 8, ingress_ifindex at 36, gso_segs at 164. A mark of the operator's lies
        // below ours.
        context[8..12].copy_from_slice(&OF_OPERATOR.to_ne_bytes());
        context[164..168].copy_from_slice(&segments.to_ne_bytes());
        context[36..40].copy_from_slice(&LOOPBACK.to_ne_bytes());
        let classifier: &mut SchedClassifier =
            self.programs.classifier(hook).expect("in the object");
        let result = classifier
            .test_run(TestRunOptions {
                data_in: Some(frame),
                ctx_in: Some(&context),
                ctx_out: Some(&mut after),
                data_out: Some(&mut out),
                ..TestRunOptions::default()
            })
            .expect("the kernel runs it");
        let mark = u32::from_ne_bytes(after[8..12].try_into().expect("four bytes"));
        (result.return_value, mark, out)
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
            Event::Forgotten(_)
            | Event::NotListening(_)
            | Event::Unknown(_)
            | Event::HostsForgotten(_) => return,
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
