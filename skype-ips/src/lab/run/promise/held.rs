//! Whether what came through the gateway is what the policy says.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::outcome::Played;
use super::super::rows::Unit;
use super::super::words::{bytes, percent, rate, seconds};
use super::budget::drawn;
use super::strand::Strand;
use super::{ALLOWED, GRACE, Promise};
use crate::policy::{Action, Class, Role};
use crate::simulator::net::program::Instant;
use crate::simulator::scenario::Scenario;

/// Ports on which a web server may be, where the gateway waits for the first bytes.
const WEB_PORTS: [u16; 2] = [80, 443];

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
                Action::Throttle => throttled(&strands, behind),
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
fn throttled(strands: &[&Strand<'_>], behind: Duration) -> (String, bool) {
    let drawn = drawn(strands, behind);
    if drawn.bytes == 0 {
        let seen = format!("nothing later than {} after its start", seconds(GRACE));
        return (seen, true);
    }
    let mut seen = format!("{} in {}", bytes(drawn.bytes), seconds(drawn.time));
    if drawn.time >= Duration::from_secs(1) {
        let speed = drawn.bytes as f64 / drawn.time.as_secs_f64();
        seen += &format!(", {}", rate(speed));
    }
    if drawn.over > 0.0 {
        seen += &format!(", at most {} too much", bytes(drawn.over.ceil() as u64));
    }
    (seen, drawn.over <= 0.0)
}

/// When no packet of a strand may come through any more.
fn deadline(strand: &Strand<'_>, all: &[Strand<'_>]) -> Instant {
    let first = |like: &dyn Fn(&Strand<'_>) -> bool| {
        let like = all
            .iter()
            .filter(|one| one.party == strand.party && like(one));
        like.map(|one| one.from).min().unwrap_or(strand.from)
    };
    let known = match strand.role {
        // What a host is for strangers is known of all of them at once.
        Role::SuperNode => first(&|one| one.role == Role::SuperNode),
        // So is the port on which it listens, where nothing else can be on it.
        Role::Client if strand.is_called_connection() => {
            let port = strand.inside().port();
            if WEB_PORTS.contains(&port) {
                strand.from
            } else {
                first(&|one| one.inside().port() == port)
            }
        }
        Role::Client | Role::Relay => strand.from,
    };
    known + GRACE
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
        let deadline = deadline(strand, all);
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
        format!(
            "{} came through, the last {} after its start, then nothing of {} packets",
            bytes(before.out_bytes),
            seconds(last),
            before.packets - before.out + late.packets
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
