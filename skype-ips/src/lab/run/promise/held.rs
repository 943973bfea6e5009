//! Whether what came through the gateway is what the policy says.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use super::super::outcome::Played;
use super::super::rows::Unit;
use super::super::words::{bytes, percent, rate, seconds};
use super::budget::drawn;
use super::strand::Strand;
use super::{ALLOWED, GRACE, Promise};
use crate::hosts::services::SERVED;
use crate::policy::{Action, Class, Role};
use crate::simulator::net::program::Instant;
use crate::simulator::scenario::Scenario;

/// Ports on which a web server may be, where the gateway waits for the first bytes.
const WEB_PORTS: [u16; 2] = [80, 443];
/// Bytes of an answer to a search: two sets of fragments have more, other answers less (measured).
const FOUND: u32 = 5_000;

/// Strands about which the policy says one thing.
type Key = (Role, Class, bool, String, Option<String>);

/// A row for each thing that a party, or a group, does.
pub(super) fn rows(
    scenario: &Scenario,
    unit: &Unit,
    strands: &[Strand<'_>],
    behind: Duration,
) -> Vec<Promise> {
    let mut kinds: BTreeMap<Key, Vec<&Strand<'_>>> = BTreeMap::new();
    for strand in strands
        .iter()
        .filter(|one| unit.members.contains(&one.party))
    {
        let decision = &strand.decision;
        let key = (
            strand.role,
            strand.class,
            strand.is_called_connection(),
            decision.word(),
            decision.policy.clone(),
        );
        kinds.entry(key).or_default().push(strand);
    }
    let all = strands;
    let rows = kinds
        .into_iter()
        .map(|((role, class, connected, word, policy), strands)| {
            let decision = &strands[0].decision;
            let (seen, kept) = match decision.action {
                Action::Allow | Action::Alert => passed(&strands),
                Action::Throttle => throttled(&strands, all, behind),
                Action::Reject | Action::Drop => stopped(&strands, all),
            };
            Promise {
                party: unit.name.clone(),
                what: what(scenario, &strands, role, class, connected),
                policy,
                word,
                seen,
                kept: decision.doubt.is_none().then_some(kept),
                why: decision.doubt.map(str::to_owned),
            }
        });
    rows.collect()
}

fn what(
    scenario: &Scenario,
    strands: &[&Strand<'_>],
    role: Role,
    class: Class,
    connected: bool,
) -> String {
    let mut text = match role {
        Role::Client => format!("own {}", class.word()),
        Role::SuperNode => "super node".to_owned(),
        Role::Relay => format!("relay: {}", class.word()),
    };
    if connected {
        text += ", called by TCP";
    }
    let mut others = strands.iter().map(|strand| strand.other);
    if let Some(first) = others.next()
        && others.all(|other| other == first)
        && let Some(other) = first
    {
        text += &format!(", with {}", scenario.parties[other].name);
    }
    text
}

/// Packets and bytes, and those of them that came out.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    packets: u64,
    out: u64,
    out_bytes: u64,
}

/// What the policy lets be comes through.
fn passed(strands: &[&Strand<'_>]) -> (String, bool) {
    let mut sum = Sum::default();
    for passage in strands.iter().flat_map(|strand| strand.packets) {
        sum.packets += 1;
        if passage.out.is_some() {
            sum.out += 1;
            sum.out_bytes += u64::from(passage.len);
        }
    }
    let share = sum.out as f64 / (sum.packets as f64).max(1.0);
    let seen = format!(
        "{} of {} packets came through, {}",
        percent(share),
        sum.packets,
        bytes(sum.out_bytes)
    );
    (seen, share >= 1.0 - ALLOWED)
}

/// No more comes through than the budgets have room for.
fn throttled(strands: &[&Strand<'_>], all: &[Strand<'_>], behind: Duration) -> (String, bool) {
    let drawn = drawn(strands, |strand| known(strand, all), behind);
    if drawn.bytes == 0 {
        let seen = format!("nothing later than {} after its start", seconds(GRACE));
        return (seen, true);
    }
    let mut seen = format!("{} in {}", bytes(drawn.bytes), seconds(drawn.time));
    if drawn.time >= Duration::from_secs(1) {
        seen += &format!(", {} at the most in a direction", rate(drawn.rate));
    }
    if drawn.over > 0.0 {
        seen += &format!(", at most {} too much", bytes(drawn.over.ceil() as u64));
    }
    (seen, drawn.over <= 0.0)
}

/// When it is known at the latest what a strand is; `None`: it need not be found.
pub(super) fn known(strand: &Strand<'_>, all: &[Strand<'_>]) -> Option<Instant> {
    let of_host = || all.iter().filter(|one| one.party == strand.party);
    let begun = match strand.role {
        // What a host is for strangers is known of all of them at once.
        Role::SuperNode => serves(of_host())?.max(strand.from),
        // So is the port on which it listens, where nothing else can be on it.
        Role::Client if strand.is_called_connection() => {
            let port = strand.inside().port();
            let same = of_host().filter(|one| one.inside().port() == port);
            let first = same.map(|one| one.from).min();
            match first {
                Some(first) if !WEB_PORTS.contains(&port) => first,
                _ => strand.from,
            }
        }
        Role::Client | Role::Relay => strand.from,
    };
    Some(begun + GRACE)
}

/// When a host has served so many that it is a super node; `None`: it serves fewer.
fn serves<'a>(strands: impl Iterator<Item = &'a Strand<'a>>) -> Option<Instant> {
    let mut served: BTreeMap<Ipv4Addr, Instant> = BTreeMap::new();
    for strand in strands.filter(|strand| strand.role == Role::SuperNode) {
        let mut bytes = 0;
        let answers = strand
            .packets
            .iter()
            .filter(|one| !one.inbound && one.out.is_some() && one.payload > 0);
        let at = answers
            .map(|one| (one.at, one.payload))
            .find(|(_, payload)| {
                bytes += payload;
                // By UDP what is looked for comes in fragments; all else is less.
                strand.is_called_connection() || bytes >= FOUND
            });
        if let Some((at, _)) = at {
            let first = served
                .entry(*strand.conversation.outside.ip())
                .or_insert(at);
            *first = at.min(*first);
        }
    }
    let mut times: Vec<Instant> = served.into_values().collect();
    times.sort_unstable();
    times.get(SERVED - 1).copied()
}

/// Nothing comes through once it is known what it is.
fn stopped(strands: &[&Strand<'_>], all: &[Strand<'_>]) -> (String, bool) {
    let (mut before, mut late) = (Sum::default(), Sum::default());
    let mut last = Duration::ZERO;
    let begun = strands
        .iter()
        .map(|strand| strand.from)
        .min()
        .unwrap_or_default();
    for strand in strands {
        let deadline = known(strand, all).unwrap_or(Instant::MAX);
        for passage in strand.packets {
            let sum = if passage.at < deadline {
                &mut before
            } else {
                &mut late
            };
            sum.packets += 1;
            if let Some(out) = passage.out {
                sum.out += 1;
                sum.out_bytes += u64::from(passage.len);
                last = last.max(out.saturating_sub(begun));
            }
        }
    }
    let tries = connections(strands);
    let mut seen = if before.out + late.out == 0 {
        format!(
            "nothing of {} packets came through",
            before.packets + late.packets
        )
    } else if late.out > 0 {
        format!(
            "{} of {} packets came through later than {} after its start, {}",
            late.out,
            late.packets,
            seconds(GRACE),
            bytes(late.out_bytes)
        )
    } else {
        let rest = match before.packets - before.out + late.packets {
            0 => "none later".to_owned(),
            rest => format!("then nothing of {rest} packets"),
        };
        format!(
            "{} came through, the last {} after its start, {rest}",
            bytes(before.out_bytes),
            seconds(last),
        )
    };
    if let Some((all, open)) = tries {
        seen += &format!("; {open} of {all} connections came about");
    }
    (seen, late.out == 0)
}

/// Of connections from outside: how many were tried, and how many were answered.
fn connections(strands: &[&Strand<'_>]) -> Option<(u64, u64)> {
    let called = strands
        .iter()
        .filter(|strand| strand.is_called_connection());
    let (mut all, mut open) = (0, 0);
    for strand in called {
        all += 1;
        let mut packets = strand.packets.iter();
        open += u64::from(packets.any(|one| !one.inbound && one.out.is_some()));
    }
    (all > 0).then_some((all, open))
}

/// Other traffic than Skype's.
pub(super) fn untouched(under: &Played) -> Option<Promise> {
    let others = under.crossed.keys().filter(|ground| !ground.skype);
    let packets: u64 = others.map(|ground| under.lost(ground).0).sum();
    let lost = under.background_lost();
    (packets > 0).then(|| Promise {
        party: "everybody".to_owned(),
        what: "other traffic".to_owned(),
        policy: None,
        word: "untouched".to_owned(),
        seen: format!("{} of {packets} packets came through", packets - lost),
        kept: Some(lost == 0),
        why: None,
    })
}
