//! A fast game: snapshots from the server, small inputs from the player, framed as Quake III's
//! (the source that id Software published): a number of four bytes, little-endian, and from the
//! client its port; messages outside the stream begin with four bytes ff.
//!
//! Intervals and sizes are in the ranges that Färber measured (NetGames 2002).

use std::time::Duration;

use fastrand::Rng;

use super::Site;
use super::numbers::Numbers;
use super::pace::{exponential, normal};
use super::seal::{made_from, number_of};
use super::talks::{Accept, Around, Open, Talk};
use crate::simulator::net::program::{Ground, Instant};

const GAME: Ground = Ground::other("game");
const OUT_OF_BAND: [u8; 4] = [0xff; 4];
/// A request that isn't answered is sent again after this, so many times at most.
const AGAIN: Duration = Duration::from_secs(1);
const TRIES: u32 = 20;
/// A server lets a player go that it hasn't heard for so long.
const SILENCE: Duration = Duration::from_secs(10);
/// How often the end is said, for nobody acknowledges it.
const FAREWELLS: u32 = 3;
/// Mean seconds of a match, and the shortest one.
const MATCH: f64 = 300.0;
const SHORTEST: f64 = 5.0;

/// A message outside the stream: a string with its end, as Wireshark reads it.
fn out_of_band(text: &str) -> Vec<u8> {
    [&OUT_OF_BAND, text.as_bytes(), &[0]].concat()
}

/// The word at the beginning of a message outside the stream, and the number behind it.
fn said(bytes: &[u8]) -> Option<(&str, u32)> {
    let text = bytes.strip_prefix(&OUT_OF_BAND)?.strip_suffix(&[0])?;
    let text = std::str::from_utf8(text).ok()?;
    let mut words = text.split(' ');
    let word = words.next()?;
    Some((word, words.next()?.parse().ok()?))
}

/// One direction of the stream.
#[derive(Clone, Debug)]
struct Lane {
    challenge: u32,
    from_server: bool,
    numbers: Numbers,
    sent: u32,
    interval: Duration,
}

impl Lane {
    fn new(rng: &mut Rng, challenge: u32, from_server: bool) -> Self {
        Self {
            challenge,
            from_server,
            numbers: Numbers::new(),
            sent: 0,
            interval: Duration::from_secs(1) / rng.u32(20..=60),
        }
    }

    fn content(&self, from_server: bool, number: u32, len: usize) -> Vec<u8> {
        let parts = [
            &self.challenge.to_be_bytes()[..],
            &[u8::from(from_server)],
            &number.to_be_bytes(),
        ];
        made_from(number_of(&parts), len)
    }

    fn next(&mut self, rng: &mut Rng, port: &[u8]) -> Vec<u8> {
        self.sent += 1;
        let len = match self.from_server {
            true => normal(rng, 150.0, 50.0).clamp(30.0, 600.0),
            false => normal(rng, 60.0, 8.0).clamp(30.0, 110.0),
        };
        let content = self.content(self.from_server, self.sent, len as usize);
        [&self.sent.to_le_bytes(), port, &content].concat()
    }

    fn heard(&mut self, around: &mut Around<'_>, bytes: &[u8]) {
        let port = if self.from_server { 2 } else { 0 };
        let Some((number, behind)) = bytes.split_first_chunk() else {
            return;
        };
        let number = u32::from_le_bytes(*number);
        let content = behind.get(port..).unwrap_or_default();
        let unchanged = self.content(!self.from_server, number, content.len()) == content;
        let (tally, number) = (&mut *around.tally, u64::from(number));
        self.numbers.heard(tally, GAME.what, number, unchanged);
    }

    /// When the next packet goes out, frames being a little uneven.
    fn later(&self, around: &mut Around<'_>) -> Instant {
        let uneven = Duration::from_micros(around.rng.u64(..2000));
        around.now + self.interval - Duration::from_millis(1) + uneven
    }
}

/// Where a player stands.
#[derive(Clone, Debug)]
enum Stage {
    Asking,
    Connecting(u32),
    Playing(Lane),
    Leaving(u32, u32),
}

/// The player's end.
#[derive(Clone, Debug)]
pub(super) struct Player {
    port: [u8; 2],
    until: Instant,
    stage: Stage,
    tries: u32,
    due: Option<Instant>,
}

impl Talk for Player {
    const GROUND: Ground = GAME;

    fn hear(&mut self, around: &mut Around<'_>, bytes: &[u8]) {
        match (&mut self.stage, said(bytes)) {
            (Stage::Asking, Some(("challengeResponse", challenge))) => {
                self.stage = Stage::Connecting(challenge);
                self.act(around);
            }
            (Stage::Connecting(challenge), Some(("connectResponse", named)))
                if *challenge == named =>
            {
                around.tally.done(GAME.what, 1);
                self.stage = Stage::Playing(Lane::new(around.rng, named, false));
                self.act(around);
            }
            (Stage::Playing(lane), None) => lane.heard(around, bytes),
            _ => {}
        }
    }

    fn act(&mut self, around: &mut Around<'_>) {
        let message = match &mut self.stage {
            Stage::Playing(lane) if around.now >= self.until => {
                self.stage = Stage::Leaving(lane.challenge, FAREWELLS);
                self.act(around);
                return;
            }
            Stage::Playing(lane) => {
                around.out.push(lane.next(around.rng, &self.port));
                self.due = Some(lane.later(around));
                return;
            }
            Stage::Leaving(_, 0) => {
                self.due = None;
                return;
            }
            Stage::Leaving(challenge, left) => {
                *left -= 1;
                self.due = Some(around.now + Duration::from_millis(50));
                around
                    .out
                    .push(out_of_band(&format!("disconnect {challenge}")));
                return;
            }
            Stage::Asking => {
                out_of_band(&format!("getchallenge {}", u16::from_be_bytes(self.port)))
            }
            Stage::Connecting(challenge) => out_of_band(&format!("connect {challenge}")),
        };
        if self.tries == 0 {
            around.tally.begun(GAME.what, 1);
        }
        self.tries += 1;
        if self.tries > TRIES {
            self.due = None;
            return;
        }
        around.out.push(message);
        self.due = Some(around.now + AGAIN);
    }

    fn due(&self) -> Option<Instant> {
        self.due
    }
}

impl Open for Player {
    type Known = ();
    const PAUSE: f64 = 10.0;

    fn open((): &(), now: Instant, until: Instant, rng: &mut Rng, _site: &Site) -> Self {
        let lasting = SHORTEST + exponential(rng, MATCH);
        Self {
            port: rng.u16(1..).to_be_bytes(),
            until: until.min(now + Duration::from_secs_f64(lasting)),
            stage: Stage::Asking,
            tries: 0,
            due: Some(now),
        }
    }
}

/// The server's end, for one player.
#[derive(Clone, Debug)]
pub(super) struct Server {
    challenge: u32,
    /// Once the player is in.
    lane: Option<Lane>,
    heard: Instant,
    due: Option<Instant>,
}

impl Talk for Server {
    const GROUND: Ground = GAME;

    fn hear(&mut self, around: &mut Around<'_>, bytes: &[u8]) {
        self.heard = around.now;
        let challenge = self.challenge;
        match (said(bytes), &mut self.lane) {
            (Some(("getchallenge", _)), None) => {
                let answer = format!("challengeResponse {challenge}");
                around.out.push(out_of_band(&answer));
            }
            (Some(("connect", named)), lane) if named == challenge => {
                around
                    .out
                    .push(out_of_band(&format!("connectResponse {challenge}")));
                if lane.is_none() {
                    *lane = Some(Lane::new(around.rng, challenge, true));
                    self.due = Some(around.now);
                }
            }
            (Some(("disconnect", named)), _) if named == challenge => self.due = None,
            (None, Some(lane)) => lane.heard(around, bytes),
            _ => {}
        }
    }

    fn act(&mut self, around: &mut Around<'_>) {
        if around.now >= self.heard + SILENCE {
            self.due = None;
            return;
        }
        self.due = Some(match &mut self.lane {
            Some(lane) => {
                around.out.push(lane.next(around.rng, &[]));
                lane.later(around)
            }
            None => self.heard + SILENCE,
        });
    }

    fn due(&self) -> Option<Instant> {
        self.due
    }
}

impl Accept for Server {
    fn accept(now: Instant, rng: &mut Rng, bytes: &[u8]) -> Option<Self> {
        let (word, _) = said(bytes)?;
        (word == "getchallenge").then(|| Self {
            challenge: rng.u32(1..),
            lane: None,
            heard: now,
            due: Some(now + SILENCE),
        })
    }
}
