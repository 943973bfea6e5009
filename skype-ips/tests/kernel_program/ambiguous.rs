//! Flows that may be Skype's or Teams'.

use skype_ips::kernel::VerdictTables as _;
use skype_ips::policy::{Action, Config, Mode, Open, PolicySet};
use skype_ips_common::gate::{Outcome, Side};
use skype_ips_common::layout::Verdict;
use skype_ips_common::mark::Code;
use skype_ips_common::parse::Link;

use crate::frames::{SKYPE, key, tagged_frame};
use crate::twins::Twins;

/// A STUN message without attributes.
fn stun() -> Vec<u8> {
    let mut payload = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    payload.extend([7; 12]);
    payload
}

#[test]
fn what_is_ambiguous_has_its_own_action_and_is_looked_at_further() {
    for ambiguous in [Action::Allow, Action::Drop] {
        let mut policies = Config::default_for_replay().policies.policies().to_vec();
        for policy in &mut policies {
            policy.rules.ambiguous = Some(ambiguous.into());
        }
        let compiled = PolicySet::new(policies).compile(Mode::Enforce, &Open::default(), &[]);
        let Some(mut twins) = Twins::load_with(&compiled) else {
            return;
        };
        let flow = Verdict::AMBIGUOUS;
        twins.kernel.set_verdict(&key(), flow).expect("room");
        twins.memory.set_verdict(&key(), flow).expect("infallible");
        let (check, media) = (tagged_frame(&[], &stun()), tagged_frame(&[], &[0x80; 60]));
        let drops = ambiguous == Action::Drop;
        // More checks than an undecided flow has candidates.
        for _ in 0..300 {
            for (frame, candidate) in [(&check, true), (&media, false)] {
                let expected = (drops && !candidate, candidate);
                let side = Side::InsideIngress;
                assert_eq!(twins.xdp(frame, Link::Ethernet, side), expected);
                let outcome = twins.memory(frame, Link::Ethernet, side);
                let inspect = matches!(outcome, Outcome::Pass(Code::Inspect(_)));
                assert_eq!((outcome == Outcome::Drop, inspect), expected);
            }
        }
        // What is known of its endpoint tells more.
        twins
            .kernel
            .set_endpoint(&key().endpoint(), SKYPE)
            .expect("room");
        let media = twins.xdp(&media, Link::Ethernet, Side::InsideIngress);
        assert_eq!(media, (true, false));
    }
}
