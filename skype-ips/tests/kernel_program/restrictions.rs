//! Who opened a flow, where Skype listens, and how it goes: what restrictions and roles ask for.

use skype_ips_common::gate::{Outcome, Side};
use skype_ips_common::layout::{
    CLIENT_ROLE, Counter, EndpointKey, FlowKey, Hook, SUPER_NODE_ROLE, TCP, Verdict, kind,
};
use skype_ips_common::mark::Code;

use crate::frames::{ACK, INSIDE, OUTSIDE, SKYPE, SYN, key, tcp, udp};
use crate::twins::Twins;

const PASSES: Outcome = Outcome::Pass(Code::Pass);
const OUT: Side = Side::InsideIngress;
const IN: Side = Side::InsideEgress;

fn policy(keys: &str) -> String {
    format!("version = 1\n[[policy]]\nname = \"p\"\nsubnets = [\"10.0.0.0/8\"]\n{keys}\n")
}

fn in_role(role: u8) -> Verdict {
    Verdict { role, ..SKYPE }
}

fn listener(port: u16) -> EndpointKey {
    EndpointKey {
        protocol: TCP,
        port,
        ..key().endpoint()
    }
}

fn tcp_key() -> FlowKey {
    FlowKey {
        protocol: TCP,
        ..key()
    }
}

/// Media, of which no predicate lets anything through.
const MEDIA: [u8; 40] = [0x80; 40];

#[test]
fn a_super_node_serves_who_comes_to_it_and_is_its_users_client_otherwise() {
    let Some(mut twins) = Twins::under(&policy("super-node = \"drop\"")) else {
        return;
    };
    twins.set_endpoint(&key().endpoint(), in_role(SUPER_NODE_ROLE));
    // Its user's own flow, both ways.
    assert_eq!(twins.both(&udp(INSIDE, OUTSIDE, &MEDIA), OUT), PASSES);
    assert_eq!(twins.both(&udp(OUTSIDE, INSIDE, &MEDIA), IN), PASSES);
    // Somebody comes to it: at the outside interface, and where it would leave.
    let stranger = ([192, 0, 2, 9], 7000);
    for side in [Side::OutsideIngress, IN] {
        assert_eq!(
            twins.both(&udp(stranger, INSIDE, &MEDIA), side),
            Outcome::Drop
        );
    }
}

#[test]
fn a_first_packet_that_is_dropped_opens_no_flow() {
    let Some(mut twins) = Twins::under(&policy("super-node = \"drop\"")) else {
        return;
    };
    twins.set_endpoint(&key().endpoint(), in_role(SUPER_NODE_ROLE));
    for _ in 0..2 {
        assert_eq!(twins.both(&udp(OUTSIDE, INSIDE, &MEDIA), IN), Outcome::Drop);
    }
    // The host's own packet is the first that passes.
    assert_eq!(twins.both(&udp(INSIDE, OUTSIDE, &MEDIA), OUT), PASSES);
    assert_eq!(twins.both(&udp(OUTSIDE, INSIDE, &MEDIA), IN), PASSES);
    let state = twins.kernel.flow(&key()).expect("a flow");
    assert_eq!((state.called, state.opened), (0, 1));
}

#[test]
fn a_flow_that_the_outside_opened_stays_called() {
    let Some(mut twins) = Twins::under(&policy("super-node = \"allow\"")) else {
        return;
    };
    assert_eq!(twins.both(&udp(OUTSIDE, INSIDE, &MEDIA), IN), PASSES);
    assert_eq!(twins.both(&udp(INSIDE, OUTSIDE, &MEDIA), OUT), PASSES);
    let state = twins.kernel.flow(&key()).expect("a flow");
    assert_eq!((state.called, state.opened), (1, 1));
    // What is found then holds for both directions.
    twins.set_policy(&policy("super-node = \"drop\""));
    twins.set_endpoint(&key().endpoint(), in_role(SUPER_NODE_ROLE));
    assert_eq!(
        twins.both(&udp(INSIDE, OUTSIDE, &MEDIA), OUT),
        Outcome::Drop
    );
    assert_eq!(twins.both(&udp(OUTSIDE, INSIDE, &MEDIA), IN), Outcome::Drop);
}

#[test]
fn a_flows_own_verdict_goes_before_its_endpoints() {
    let Some(mut twins) = Twins::under(&policy("relay = \"drop\"")) else {
        return;
    };
    twins.set_endpoint(&key().endpoint(), in_role(CLIENT_ROLE));
    assert_eq!(twins.both(&udp(INSIDE, OUTSIDE, &MEDIA), OUT), PASSES);
    twins.set_verdict(&key(), in_role(2));
    assert_eq!(
        twins.both(&udp(INSIDE, OUTSIDE, &MEDIA), OUT),
        Outcome::Drop
    );
}

#[test]
fn a_learned_listening_port_is_closed_at_the_syn_and_own_connections_are_not() {
    let Some(mut twins) = Twins::under(&policy("listening-port = \"drop\"")) else {
        return;
    };
    twins.set_endpoint(&listener(INSIDE.1), SKYPE);
    for side in [Side::OutsideIngress, IN] {
        assert_eq!(
            twins.both(&tcp(OUTSIDE, INSIDE, SYN, &[]), side),
            Outcome::Drop
        );
    }
    // From the same port, and to others.
    let elsewhere = ([192, 0, 2, 7], 443);
    assert_eq!(twins.both(&tcp(INSIDE, elsewhere, SYN, &[]), OUT), PASSES);
    assert_eq!(
        twins.both(&tcp(elsewhere, INSIDE, SYN | ACK, &[]), IN),
        PASSES
    );
    let other_port = (INSIDE.0, 22);
    assert_eq!(twins.both(&tcp(OUTSIDE, other_port, SYN, &[]), IN), PASSES);
    // UDP of the same number is another endpoint.
    assert_eq!(twins.both(&udp(OUTSIDE, INSIDE, &MEDIA), IN), PASSES);
}

#[test]
fn a_connection_to_a_listening_port_is_judged_again_when_the_policy_changes() {
    let Some(mut twins) = Twins::under(&policy("default = \"allow\"")) else {
        return;
    };
    twins.set_endpoint(&listener(INSIDE.1), SKYPE);
    assert_eq!(twins.both(&tcp(OUTSIDE, INSIDE, SYN, &[]), IN), PASSES);
    assert_eq!(
        twins.both(&tcp(INSIDE, OUTSIDE, SYN | ACK, &[]), OUT),
        PASSES
    );
    twins.set_policy(&policy("listening-port = \"drop\""));
    assert_eq!(
        twins.both(&tcp(INSIDE, OUTSIDE, ACK, &[]), OUT),
        Outcome::Drop
    );
    // User space may have said that it is somebody else's.
    let other = Verdict {
        kind: kind::OTHER,
        ..Verdict::default()
    };
    twins.set_verdict(&tcp_key(), other);
    assert_eq!(twins.both(&tcp(INSIDE, OUTSIDE, ACK, &[]), OUT), PASSES);
}

#[test]
fn a_named_listening_port_is_closed_at_the_syn_but_never_those_of_the_web() {
    let keys = "listening-port = { action = \"drop\", ports = [80, 443, 35990] }";
    let Some(mut twins) = Twins::under(&policy(keys)) else {
        return;
    };
    let syn_to = |port| tcp(OUTSIDE, (INSIDE.0, port), SYN, &[]);
    assert_eq!(twins.both(&syn_to(35990), IN), Outcome::Drop);
    for port in [80, 443, 35991] {
        assert_eq!(twins.both(&syn_to(port), IN), PASSES, "{port}");
    }
    // What was learned of them holds.
    twins.set_endpoint(&listener(443), SKYPE);
    assert_eq!(twins.both(&syn_to(443), IN), Outcome::Drop);
}

#[test]
fn udp_is_off_and_tcp_goes_on() {
    let Some(mut twins) = Twins::under(&policy("udp = \"drop\"")) else {
        return;
    };
    twins.set_verdict(&key(), SKYPE);
    twins.set_verdict(&tcp_key(), SKYPE);
    assert_eq!(
        twins.both(&udp(INSIDE, OUTSIDE, &MEDIA), OUT),
        Outcome::Drop
    );
    assert_eq!(twins.both(&tcp(INSIDE, OUTSIDE, ACK, &[]), OUT), PASSES);
}

#[test]
fn only_what_goes_to_a_named_proxy_passes() {
    let Some(mut twins) = Twins::under(&policy("only-via = [\"192.0.2.1:6000\"]")) else {
        return;
    };
    let other = FlowKey {
        outside_port: 6001,
        ..tcp_key()
    };
    twins.set_verdict(&tcp_key(), SKYPE);
    twins.set_verdict(&other, SKYPE);
    assert_eq!(twins.both(&tcp(INSIDE, OUTSIDE, ACK, &[]), OUT), PASSES);
    let beside = (OUTSIDE.0, 6001);
    assert_eq!(
        twins.both(&tcp(INSIDE, beside, ACK, &[]), OUT),
        Outcome::Drop
    );
}

#[test]
fn what_is_rejected_goes_to_the_firewall_where_there_is_one_behind() {
    let Some(mut twins) = Twins::under(&policy("default = \"reject\"")) else {
        return;
    };
    twins.set_verdict(&key(), SKYPE);
    let rejected = Outcome::Pass(Code::Reject);
    assert_eq!(twins.both(&udp(INSIDE, OUTSIDE, &MEDIA), OUT), rejected);
    let back = udp(OUTSIDE, INSIDE, &MEDIA);
    assert_eq!(twins.both(&back, Side::OutsideIngress), rejected);
    assert_eq!(twins.both(&back, IN), Outcome::Drop);
    let counted = |hook, counter| twins.programs.counter(hook, counter).expect("readable");
    assert_eq!(counted(Hook::Ingress, Counter::Rejected), 2);
    assert_eq!(counted(Hook::Egress, Counter::Dropped), 1);
    // It has passed nowhere, so nobody has opened it.
    assert_eq!(twins.kernel.flow(&key()).map(|flow| flow.opened), Some(0));
}
