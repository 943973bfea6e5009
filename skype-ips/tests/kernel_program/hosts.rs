//! What one host of IPv6 is, for the budgets that the kernel charges.

use std::net::Ipv6Addr;

use skype_ips_common::gate::{Outcome, Side};
use skype_ips_common::layout::{BucketKey, FlowKey, Verdict};
use skype_ips_common::mark::Code;

use crate::frames::{INSIDE, OUTSIDE, SKYPE, key, udp, udp_v6};
use crate::twins::Twins;

const PASSES: Outcome = Outcome::Pass(Code::Pass);
const OUTER: (Ipv6Addr, u16) = (Ipv6Addr::new(0x2001, 0xdb8, 0xffff, 0, 0, 0, 0, 1), 6000);

/// Budgets so slow that nothing comes due during a test, with 1,500 bytes at once.
fn policy(prefix: u8, scope: &str) -> String {
    format!(
        "version = 1\nhost-prefix-v6 = {prefix}\n\
         [[budget]]\nname = \"b\"\nrate = \"80 bit/s\"\nburst = \"1500 B\"\nscope = \"{scope}\"\n\
         [[policy]]\nname = \"p\"\nsubnets = [\"2001:db8::/32\", \"10.0.0.0/8\"]\ndefault = {{ throttle = \"b\" }}\n"
    )
}

/// An address of a network, and of a host there.
fn address(network: u16, host: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, network, 1, 2, 3, host)
}

/// How many of three packets from an address pass, by a flow that is known to be Skype's.
fn pass(twins: &mut Twins, from: Ipv6Addr, session: u32) -> usize {
    let flow = FlowKey {
        inside: from.octets(),
        outside: OUTER.0.octets(),
        ..key()
    };
    twins.set_verdict(&flow, Verdict { session, ..SKYPE });
    let packet = udp_v6((from, INSIDE.1), OUTER, &[0x80; 652]);
    let said = (0..3).map(|_| twins.both(&packet, Side::InsideIngress));
    said.filter(|said| *said == PASSES).count()
}

/// The keys of all buckets, which both have.
fn keys(twins: &Twins) -> Vec<BucketKey> {
    let sorted = |mut keys: Vec<BucketKey>| {
        keys.sort_by_key(|key| (key.scope, key.of));
        keys
    };
    let of_kernel = sorted(twins.programs.buckets().map(|(key, _)| key).collect());
    let of_memory = sorted(twins.memory.buckets().map(|(key, _)| *key).collect());
    assert_eq!(of_kernel, of_memory);
    of_kernel
}

#[test]
fn addresses_of_one_network_share_a_budget_where_it_is_one_host() {
    for (prefix, second) in [(128, 2), (64, 0)] {
        let Some(mut twins) = Twins::under(&policy(prefix, "host")) else {
            return;
        };
        assert_eq!(pass(&mut twins, address(1, 1), 0), 2);
        assert_eq!(
            pass(&mut twins, address(1, 2), 0),
            second,
            "of {prefix} bits"
        );
        assert_eq!(pass(&mut twins, address(2, 1), 0), 2, "another network");
        let hosts = if prefix == 64 { 2 } else { 3 };
        assert_eq!(keys(&twins).len(), hosts, "of {prefix} bits");
    }
}

#[test]
fn each_ipv4_address_is_a_host_whatever_is_said_of_ipv6() {
    let Some(mut twins) = Twins::under(&policy(64, "host")) else {
        return;
    };
    for host in [1, 2] {
        let from = [10, 0, 0, host];
        let inside = skype_ips_common::layout::mapped(from);
        twins.set_verdict(&FlowKey { inside, ..key() }, SKYPE);
        let packet = udp((from, INSIDE.1), OUTSIDE, &[0x80; 672]);
        let said = (0..3).map(|_| twins.both(&packet, Side::InsideIngress));
        assert_eq!(said.filter(|said| *said == PASSES).count(), 2);
    }
    assert_eq!(keys(&twins).len(), 2);
}

#[test]
fn both_legs_of_a_session_are_charged_to_one_host() {
    for (prefix, second) in [(128, 2), (64, 0)] {
        let Some(mut twins) = Twins::under(&policy(prefix, "session")) else {
            return;
        };
        assert_eq!(pass(&mut twins, address(1, 1), 7), 2);
        assert_eq!(
            pass(&mut twins, address(1, 2), 7),
            second,
            "of {prefix} bits"
        );
    }
}

#[test]
fn a_network_has_one_part_of_what_hosts_share() {
    for (prefix, second) in [(128, 1), (64, 0)] {
        let Some(mut twins) = Twins::under(&policy(prefix, "policy")) else {
            return;
        };
        // A host leaves as much room as it takes.
        assert_eq!(pass(&mut twins, address(1, 1), 0), 1);
        let _ = pass(&mut twins, address(1, 2), 0);
        let parts = keys(&twins).len() - 1;
        assert_eq!(parts, 1 + second, "of {prefix} bits");
    }
}

#[test]
fn a_reload_says_anew_what_a_host_is() {
    let Some(mut twins) = Twins::under(&policy(64, "host")) else {
        return;
    };
    assert_eq!(pass(&mut twins, address(1, 1), 0), 2);
    assert_eq!(pass(&mut twins, address(1, 2), 0), 0);
    twins.set_policy(&policy(128, "host"));
    assert_eq!(pass(&mut twins, address(1, 2), 0), 2);
    twins.set_policy(&policy(64, "host"));
    assert_eq!(
        pass(&mut twins, address(1, 3), 0),
        0,
        "the network's is still used up"
    );
}
