//! Plays a world on simulated time, as fast as the machine can.

use std::collections::BTreeMap;

use super::gateway::{Gateway, Seen};
use super::net::program::{Ground, Instant};
use super::net::{ProgramId, World};
use super::party::{Order, Party};

/// An order of the scenario's.
#[derive(Clone, Debug, PartialEq)]
pub struct Scheduled {
    /// When.
    pub at: Instant,
    /// To which program.
    pub program: ProgramId,
    /// What.
    pub order: Order,
}

/// Orders that are still to come, in order.
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    /// The latest first.
    orders: Vec<Scheduled>,
}

impl Schedule {
    /// Of these. Those at the same time keep their order.
    pub fn new(mut orders: Vec<Scheduled>) -> Self {
        orders.sort_by_key(|scheduled| scheduled.at);
        orders.reverse();
        Self { orders }
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Instant> {
        self.orders.last().map(|scheduled| scheduled.at)
    }

    /// Lets what comes next happen, an order or the world's next event, if `is_due` says so of its
    /// time, and returns that. Of what is due at the same time orders come first.
    pub fn step(
        &mut self,
        world: &mut World<dyn Party>,
        is_due: impl FnOnce(Instant) -> bool,
    ) -> Option<Instant> {
        let event = world.next_event();
        let order = self.next();
        let ordered = order.filter(|at| event.is_none_or(|event| *at <= event));
        let at = ordered.or(event).filter(|at| is_due(*at))?;
        if ordered.is_some() {
            world.pass(at);
            self.give(world);
        } else {
            world.step();
        }
        Some(at)
    }

    /// Gives the orders that are due by the world's time.
    fn give(&mut self, world: &mut World<dyn Party>) {
        while self.next().is_some_and(|at| at <= world.now())
            && let Some(scheduled) = self.orders.pop()
        {
            world.with_program(scheduled.program, |program, host| {
                program.order(host, &scheduled.order);
            });
        }
    }
}

/// What is to become of a packet at the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It goes on.
    Passes,
    /// It ends there.
    Dropped,
    /// It goes on, and with it all is over.
    Ends,
}

/// Plays until `until`. `see` is shown what the gateway's inside interface sees, with the time, and
/// may end it by returning `false`. Returns [`Gateway::unexpected`].
pub fn play(
    world: &mut World<dyn Party>,
    schedule: Schedule,
    until: Instant,
    see: &mut dyn FnMut(Instant, Seen<'_>) -> bool,
) -> BTreeMap<Ground, u64> {
    play_judged(world, schedule, until, &mut |_, now, seen| {
        if see(now, seen) {
            Fate::Passes
        } else {
            Fate::Ends
        }
    })
}

/// What says whether a packet passes; it is shown the world as well.
pub type Judge<'a> = dyn FnMut(&World<dyn Party>, Instant, Seen<'_>) -> Fate + 'a;

/// As [`play`], with a gateway that lets through what `judge` says.
pub fn play_judged(
    world: &mut World<dyn Party>,
    mut schedule: Schedule,
    until: Instant,
    judge: &mut Judge<'_>,
) -> BTreeMap<Ground, u64> {
    let mut gateway = Gateway::new(world);
    let mut go_on = true;
    while go_on {
        if schedule.step(world, |at| at < until).is_none() {
            world.advance(until);
            break;
        }
        for crossing in world.take_crossing() {
            let now = world.now();
            let out = gateway.forward(crossing, &mut |seen| {
                let fate = judge(world, now, seen);
                go_on &= fate != Fate::Ends;
                fate != Fate::Dropped
            });
            if let Some((side, packet)) = out {
                world.arrived(side, packet);
            }
        }
    }
    gateway.unexpected()
}
