//! The replay driver at a simulated gateway: what the gate, the engine and the policy say of the
//! simulator's packets, on simulated time, and what becomes of the packets by it.

use std::net::IpAddr;

use ipnet::IpNet;
use skype_ips_common::parse::Link;

use super::{Driver, Report};
use crate::capture::Record;
use crate::engine::Settings;
use crate::policy::{Config, Mode};
use crate::simulator::gateway::Seen;
use crate::simulator::net::program::Instant;
use crate::simulator::play::{Fate, play_judged};
use crate::simulator::scenario::{self, Achieved, GATEWAY, Scenario, achieved};

/// 2015-05-18, nanoseconds since the Unix epoch: where simulated time begins.
pub const START: u64 = 1_431_907_200_000_000_000;

/// What is told of every packet: when, which, whether it passed, and what the parties achieved so far if
/// it asks.
pub type See<'a> = dyn FnMut(Instant, Seen<'_>, bool, &dyn Fn() -> Vec<Achieved>) + 'a;

/// A gateway that detects, and does what a policy says.
#[derive(Debug)]
pub struct JudgingGateway {
    driver: Driver,
    number: u64,
}

impl JudgingGateway {
    /// One for this scenario's inside networks.
    pub fn new(scenario: &Scenario, config: &Config, mode: Mode) -> Self {
        let inside = scenario.inside().map(|network| network.subnet.into());
        let inside: Vec<IpNet> = inside.collect();
        let settings = Settings {
            public_addresses: vec![IpAddr::V4(GATEWAY)],
            ..Settings::default()
        };
        Self {
            driver: Driver::new(config, mode, settings, &inside),
            number: 0,
        }
    }

    /// Judges a packet; whether it passes.
    pub fn passes(&mut self, now: Instant, seen: Seen<'_>) -> bool {
        self.number += 1;
        let step = self.driver.packet(&Record {
            number: self.number,
            timestamp: START + now.as_nanos() as u64,
            link: Link::Raw,
            vlan: Vec::new(),
            data: seen.packet.to_vec(),
            wire_len: seen.packet.len() as u32,
        });
        !step.action.stops()
    }

    /// The driver, for those who want to know more.
    pub const fn driver(&self) -> &Driver {
        &self.driver
    }

    /// What it found.
    pub fn finish(self) -> Report {
        self.driver.finish()
    }

    /// Plays a scenario through it; what its parties achieved. `see` is told of every packet.
    pub fn play(&mut self, scenario: &Scenario, seed: u64, see: &mut See<'_>) -> Vec<Achieved> {
        let mut built = scenario::build(scenario, seed);
        let schedule = std::mem::take(&mut built.schedule);
        let programs = &built.programs;
        play_judged(
            &mut built.world,
            schedule,
            built.until,
            &mut |world, now, seen| {
                let passes = self.passes(now, seen);
                see(now, seen, passes, &|| achieved(world, programs));
                if passes { Fate::Passes } else { Fate::Dropped }
            },
        );
        built.achieved()
    }
}
