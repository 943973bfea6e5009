//! Policies of VLANs and interfaces.

use skype_ips_common::gate::{Outcome, Side};
use skype_ips_common::layout::Met;
use skype_ips_common::mark::Code;
use skype_ips_common::parse::Link;

use crate::frames::{INSIDE, OUTSIDE, SKYPE, key, tagged_frame, udp};
use crate::twins::Twins;

const POLICIES: &str = r#"
version = 1
[[policy]]
name = "elsewhere"
subnets = ["10.0.0.0/8"]
default = "allow"
[[policy]]
name = "students"
subnets = ["10.0.0.0/8"]
vlans = [5]
default = "drop"
[[policy]]
name = "guests"
subnets = ["10.9.0.0/16"]
vlans = [6]
default = "drop"
"#;

const MEDIA: [u8; 40] = [0x80; 40];

#[test]
fn the_policy_of_a_vlan_goes_before_that_of_no_place() {
    let Some(mut twins) = Twins::under(POLICIES) else {
        return;
    };
    twins.set_verdict(&key(), SKYPE);
    // Of a VLAN without a prefix for the host, and of two tags the outer one counts.
    for (tags, drops) in [
        (&[][..], false),
        (&[5], true),
        (&[6], false),
        (&[7], false),
        (&[5, 7], true),
        (&[7, 5], false),
        (&[0xa005], true),
    ] {
        let frame = tagged_frame(tags, &MEDIA);
        let side = Side::InsideIngress;
        let said = twins.memory(&frame, Link::Ethernet, side);
        assert_eq!(said == Outcome::Drop, drops, "{tags:?}");
        let found = twins.tc(&frame, Link::Ethernet, side);
        assert_eq!(found.is_none(), drops, "{tags:?}");
        // XDP leaves it to TC: the device may have taken the tag off before.
        assert_eq!(twins.xdp(&frame, Link::Ethernet, side), (false, false));
    }
}

#[test]
fn an_interface_of_a_vlan_says_it_for_packets_without_a_tag() {
    let Some(mut twins) = Twins::under(POLICIES) else {
        return;
    };
    twins.set_verdict(&key(), SKYPE);
    twins.met = Met {
        interface: 1,
        vlan: 5,
    };
    let side = Side::InsideIngress;
    assert_eq!(
        twins.both(&udp(INSIDE, OUTSIDE, &MEDIA), side),
        Outcome::Drop
    );
    let met = twins.kernel.flow(&key()).map(|flow| flow.met);
    assert_eq!(met, Some(twins.met));
}

#[test]
fn what_arrives_outside_is_left_to_the_interface_of_its_receiver() {
    let Some(mut twins) = Twins::under(POLICIES) else {
        return;
    };
    twins.set_verdict(&key(), SKYPE);
    let frame = udp(OUTSIDE, INSIDE, &MEDIA);
    for _ in 0..2 {
        let early = twins.both(&frame, Side::OutsideIngress);
        assert_eq!(early, Outcome::Pass(Code::Pass));
        twins.met = Met {
            interface: 1,
            vlan: 5,
        };
        assert_eq!(twins.both(&frame, Side::InsideEgress), Outcome::Drop);
    }
}

#[test]
fn a_host_that_is_met_only_in_its_vlan_is_looked_at_from_its_first_packet() {
    let only = POLICIES.replace(
        "name = \"elsewhere\"\nsubnets = [\"10.0.0.0/8\"]",
        "name = \"elsewhere\"\nsubnets = [\"172.16.0.0/12\"]",
    );
    let Some(mut twins) = Twins::under(&only) else {
        return;
    };
    let frame = udp(OUTSIDE, INSIDE, &crate::frames::probe());
    let side = Side::OutsideIngress;
    assert_eq!(twins.both(&frame, side), Outcome::Pass(Code::Inspect(1)));
    // Met where no policy is: it is nobody's.
    twins.met = Met {
        interface: 1,
        vlan: 7,
    };
    let leaves = twins.both(&udp(INSIDE, OUTSIDE, &MEDIA), Side::InsideIngress);
    assert_eq!(leaves, Outcome::Pass(Code::Pass));
    assert_eq!(twins.both(&frame, side), Outcome::Pass(Code::Pass));
}
