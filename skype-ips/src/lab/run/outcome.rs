//! What a run of a scenario found out, whatever gateway was in it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::simulator::net::program::Ground;
use crate::simulator::net::{Count, Crossed, HostId, Ledger, ProgramId, Rates, World};
use crate::simulator::party::{Figures, Party};
use crate::simulator::scenario::{Achieved, achieved};

/// What a run found out.
#[derive(Clone, Debug, Default)]
pub struct Played {
    /// What the programs achieved.
    pub achieved: Vec<Achieved>,
    /// What each party's host sent and received, in the scenario's order.
    pub rates: Vec<Rates>,
    /// What crossed the gateway, by what it is.
    pub crossed: BTreeMap<Ground, Crossed>,
    /// Of [`Crossed::handed`]: packets for an address and port of the gateway's own behind which
    /// nobody inside had spoken to the sender. No translator lets them in.
    pub unexpected: BTreeMap<Ground, u64>,
    /// Every packet of Skype's that crossed the gateway, if the world kept a ledger.
    pub ledger: Option<Ledger>,
    /// Packets that came out of the gateway and belong to no conversation.
    pub strays: u64,
    /// How far the machine was behind the clock at the most.
    pub behind: Duration,
    /// The daemon's last status; `null` without a daemon.
    pub gateway: Value,
}

impl Played {
    /// Asks a world that has been played: its hosts in the scenario's order, its programs with
    /// the number of the party that each belongs to.
    pub fn of(world: &World<dyn Party>, hosts: &[HostId], programs: &[(usize, ProgramId)]) -> Self {
        Self {
            achieved: achieved(world, programs),
            rates: hosts
                .iter()
                .map(|host| world.rates(*host).clone())
                .collect(),
            crossed: world.accounts().crossed().clone(),
            ledger: world.accounts().ledger().cloned(),
            strays: world.accounts().strays,
            ..Self::default()
        }
    }

    /// Packets of a kind that should have come out of the gateway, and those of them that didn't.
    pub fn lost(&self, ground: &Ground) -> (u64, u64) {
        let Some(crossed) = self.crossed.get(ground) else {
            return (0, 0);
        };
        let unexpected = self.unexpected.get(ground).copied().unwrap_or(0);
        let sum = |counts: [Count; 2]| -> u64 { counts.iter().map(|count| count.packets).sum() };
        let due = sum(crossed.handed).saturating_sub(unexpected);
        (due, due.saturating_sub(sum(crossed.emerged)))
    }

    /// Packets of other traffic than Skype's that the gateway lost.
    pub fn background_lost(&self) -> u64 {
        let grounds = self.crossed.keys().filter(|ground| !ground.skype);
        grounds.map(|ground| self.lost(ground).1).sum()
    }

    /// The figures of a party, all its programs together.
    pub fn figures(&self, party: usize) -> Figures {
        let own = self
            .achieved
            .iter()
            .filter(|achieved| achieved.party == party);
        own.fold(Figures::default(), |all, one| joined(all, &one.figures))
    }
}

fn joined(mut all: Figures, one: &Figures) -> Figures {
    all.signed_in = all.signed_in.or(one.signed_in);
    all.tried.extend(&one.tried);
    all.calls.extend(one.calls.iter().cloned());
    all.files.extend(one.files.iter().cloned());
    all.relayed_sessions += one.relayed_sessions;
    all.relayed_bytes += one.relayed_bytes;
    for (sum, more) in [
        (&mut all.searches, one.searches),
        (&mut all.served, one.served),
    ] {
        sum.asked += more.asked;
        sum.answered += more.answered;
    }
    for exchanges in &one.exchanges {
        let known = all
            .exchanges
            .iter_mut()
            .find(|known| known.what == exchanges.what);
        match known {
            Some(known) => {
                known.begun += exchanges.begun;
                known.done += exchanges.done;
            }
            None => all.exchanges.push(*exchanges),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::party::Exchanges;

    #[test]
    fn the_programs_of_a_party_are_one() {
        let browser = |done| Figures {
            exchanges: vec![Exchanges {
                what: "HTTP",
                begun: 3,
                done,
            }],
            ..Figures::default()
        };
        let client = Figures {
            signed_in: Some(Duration::from_secs(2)),
            tried: vec!["udp"],
            ..Figures::default()
        };
        let achieved = [
            (4, browser(3)),
            (3, browser(1)),
            (4, client),
            (4, browser(2)),
        ];
        let played = Played {
            achieved: achieved
                .map(|(party, figures)| Achieved { party, figures })
                .into(),
            ..Played::default()
        };
        let all = played.figures(4);
        assert_eq!(all.signed_in, Some(Duration::from_secs(2)));
        assert_eq!(all.exchanges.len(), 1);
        assert_eq!((all.exchanges[0].begun, all.exchanges[0].done), (6, 5));
    }

    #[test]
    fn what_no_translator_lets_in_is_not_lost() {
        let count = |packets| Count {
            packets,
            payload: 0,
        };
        let ground = Ground::other("DHT");
        let mut played = Played::default();
        played.crossed.insert(
            ground,
            Crossed {
                handed: [count(10), count(7)],
                emerged: [count(10), count(4)],
            },
        );
        assert_eq!(played.lost(&ground), (17, 3));
        played.unexpected.insert(ground, 2);
        assert_eq!(played.background_lost(), 1);
    }
}
