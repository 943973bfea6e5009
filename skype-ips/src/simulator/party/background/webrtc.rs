//! A call as browsers make it (RFC 8825 and those that it names): checks of connectivity by
//! [STUN](super::stun), a [DTLS](super::dtls) handshake, then [media](super::rtp) both ways.
//!
//! Signaling is out of band and not here, so the names of the check are the caller's for both,
//! and their password is made from them.

use std::time::Duration;

use fastrand::Rng;

use super::Site;
use super::dtls::{self, Dtls};
use super::pace::exponential;
use super::rtp::{self, Outgoing, Streams};
use super::seal::{Seal, number_of};
use super::stun::{self, Message, SUCCESS, Transaction, attribute, method};
use super::talks::{Accept, Around, Open, Talk};
use crate::simulator::net::program::{Ground, Instant};

const STUN: &str = "STUN";
const DTLS: &str = "DTLS";
/// A check that isn't answered goes again after this, and so on (RFC 8445, section 14.3), so many
/// times at most.
const CHECK_AGAIN: Duration = Duration::from_millis(500);
const CHECKS: u32 = 15;
/// Seconds between two checks that the other end still wants to hear: 4 to 6 (RFC 7675).
const CONSENT: std::ops::Range<f64> = 4.0..6.0;
/// Without any packet for so long the call is over (RFC 7675).
const SILENCE: Duration = Duration::from_secs(30);
/// How often the end is said, for nobody acknowledges it, and how long a caller waits for the
/// other's.
const FAREWELLS: u32 = 3;
const FAREWELL: Duration = Duration::from_millis(50);
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Mean seconds of a call (telephone calls: about two minutes), and the shortest.
const LASTING: f64 = 120.0;
const SHORTEST: f64 = 8.0;

/// Under way: its transaction, and when it goes again.
#[derive(Clone, Debug)]
struct Check {
    message: Message,
    again: Instant,
    tries: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Up to the other end's answer to a check.
    Checking,
    /// Up to the other end's Finished.
    Agreeing,
    Talking,
    /// So many farewells are still to be said.
    Leaving(u32),
    /// The caller has said its own and waits for the other's until then.
    Left(Instant),
    Over,
}

/// One end of a call.
#[derive(Clone, Debug)]
pub(super) struct Call {
    caller: bool,
    /// What both ends are called in checks: `callee:caller`.
    name: String,
    until: Instant,
    stage: Stage,
    check: Option<Check>,
    next_consent: Instant,
    dtls: Dtls,
    seal: Option<Seal>,
    outgoing: Vec<Outgoing>,
    streams: Streams,
    heard: Instant,
    next_farewell: Instant,
}

impl Call {
    fn new(rng: &mut Rng, now: Instant, until: Instant, name: String, caller: bool) -> Self {
        Self {
            caller,
            name,
            until,
            stage: Stage::Checking,
            check: None,
            next_consent: now,
            dtls: Dtls::new(rng, !caller, now),
            seal: None,
            outgoing: Vec::new(),
            streams: Streams::default(),
            heard: now,
            next_farewell: now,
        }
    }

    /// A caller's end, whose call ends at that time.
    pub(super) fn caller(rng: &mut Rng, now: Instant, until: Instant) -> Self {
        let mut name: String = (0..9).map(|_| rng.alphanumeric()).collect();
        name.replace_range(4..5, ":");
        Self::new(rng, now, until, name, true)
    }

    fn key(name: &str) -> Vec<u8> {
        format!("{:016x}", number_of(&[b"password", name.as_bytes()])).into_bytes()
    }

    /// Which name a check has that this end sends: the other's comes first.
    fn named(&self, own: bool) -> String {
        match (own == self.caller, self.name.split_once(':')) {
            (false, Some((callee, caller))) => format!("{caller}:{callee}"),
            _ => self.name.clone(),
        }
    }

    fn send_check(&mut self, around: &mut Around<'_>) {
        let controls = around.rng.u64(..).to_be_bytes().to_vec();
        let priority = 0x6eff_ffff_u32 - around.rng.u32(0..0x10_0000);
        let mut attributes = vec![
            (attribute::USERNAME, self.named(true).into_bytes()),
            (attribute::PRIORITY, priority.to_be_bytes().to_vec()),
        ];
        if self.caller {
            attributes.push((attribute::ICE_CONTROLLING, controls));
            attributes.push((attribute::USE_CANDIDATE, Vec::new()));
        } else {
            attributes.push((attribute::ICE_CONTROLLED, controls));
        }
        let message = Message::request(around.rng, method::BINDING, attributes);
        around.tally.begun(STUN, 1);
        around
            .out
            .push(message.encode(Some(&Self::key(&self.name))));
        self.check = Some(Check {
            message,
            again: around.now + CHECK_AGAIN,
            tries: 1,
        });
        let uneven = CONSENT.start + around.rng.f64() * (CONSENT.end - CONSENT.start);
        self.next_consent = around.now + Duration::from_secs_f64(uneven);
    }

    fn hear_stun(&mut self, around: &mut Around<'_>, bytes: &[u8]) {
        let Some(message) = Message::decode(bytes) else {
            return;
        };
        let key = Self::key(&self.name);
        let authentic = message.authentic(bytes, &key);
        if message.kind == method::BINDING {
            let named = self.named(false);
            if !authentic || message.get(attribute::USERNAME) != Some(named.as_bytes()) {
                return;
            }
            let seen = (attribute::XOR_MAPPED_ADDRESS, stun::hidden(around.peer));
            let answer = message.answer(SUCCESS, vec![seen]);
            around.out.push(answer.encode(Some(&key)));
            // The callee checks the way back as soon as it knows it.
            if self.stage == Stage::Checking && self.check.is_none() {
                self.send_check(around);
            }
            return;
        }
        let asked = self.check.as_ref().map(|check| check.message.transaction);
        let answers = message.kind == method::BINDING | SUCCESS;
        if answers && asked == Some::<Transaction>(message.transaction) {
            self.check = None;
            around.tally.done(STUN, u64::from(authentic));
            if self.stage == Stage::Checking {
                self.stage = Stage::Agreeing;
                if self.caller {
                    around.tally.begun(DTLS, 1);
                }
            }
        }
    }

    fn hear_dtls(&mut self, around: &mut Around<'_>, bytes: &[u8]) {
        let was_done = self.dtls.done();
        let answer = self.dtls.hear(around.rng, around.now, bytes);
        around.out.extend(answer);
        if was_done || !self.dtls.done() {
            return;
        }
        if self.caller {
            around.tally.done(DTLS, 1);
        }
        self.stage = Stage::Talking;
        self.seal = self.dtls.seal(b"srtp");
        self.outgoing.push(Outgoing::voice(around.rng, around.now));
        if around.rng.bool() {
            self.outgoing.push(Outgoing::video(around.rng, around.now));
        }
    }

    /// Sends what is due of checks and of the handshake.
    fn keep(&mut self, around: &mut Around<'_>) {
        let now = around.now;
        let asks = self.next_consent <= now && self.goes_on();
        match &mut self.check {
            Some(check) if check.tries >= CHECKS && check.again <= now => {
                self.stage = Stage::Over;
            }
            Some(check) if check.again <= now => {
                check.tries += 1;
                check.again = now + CHECK_AGAIN;
                let key = Self::key(&self.name);
                around.out.push(check.message.encode(Some(&key)));
            }
            None if asks => self.send_check(around),
            _ => {}
        }
        if self.stage == Stage::Agreeing {
            around.out.extend(self.dtls.act(now));
            if self.dtls.gave_up() {
                self.stage = Stage::Over;
            }
        }
    }

    /// Whether the end isn't near: only then new checks are sent.
    fn goes_on(&self) -> bool {
        match self.stage {
            Stage::Checking => self.caller,
            Stage::Agreeing | Stage::Talking => true,
            Stage::Leaving(_) | Stage::Left(_) | Stage::Over => false,
        }
    }

    fn farewell(&mut self, around: &mut Around<'_>, left: u32) {
        if self.next_farewell > around.now {
            return;
        }
        if left == 0 {
            around.out.push(self.dtls.farewell());
            self.stage = match self.caller {
                true => Stage::Left(around.now + LAST_WORDS),
                false => Stage::Over,
            };
            return;
        }
        if let Some(seal) = &self.seal {
            for stream in &mut self.outgoing {
                around.out.push(stream.bye(around.now, seal));
            }
        }
        self.stage = Stage::Leaving(left - 1);
        self.next_farewell = around.now + FAREWELL;
    }

    fn leave(&mut self, now: Instant) {
        if self.stage == Stage::Talking {
            self.stage = Stage::Leaving(FAREWELLS);
            self.next_farewell = now;
        }
    }
}

impl Talk for Call {
    const GROUND: Ground = Ground::other("RTP");

    fn hear(&mut self, around: &mut Around<'_>, bytes: &[u8]) {
        self.heard = around.now;
        if stun::is(bytes) {
            self.hear_stun(around, bytes);
        } else if dtls::is(bytes) {
            self.hear_dtls(around, bytes);
        } else if rtp::is(bytes)
            // The other end may be done first: its Finished is on its way.
            && let Some(seal) = self.seal.clone().or_else(|| self.dtls.seal(b"srtp"))
        {
            self.streams.hear(around.tally, &seal, bytes);
            if self.streams.ended() && !self.caller {
                self.leave(around.now);
            }
        }
        self.act(around);
    }

    fn act(&mut self, around: &mut Around<'_>) {
        let now = around.now;
        self.keep(around);
        match self.stage {
            Stage::Talking if self.caller && now >= self.until => {
                self.leave(now);
                self.act(around);
            }
            Stage::Talking => {
                if let Some(seal) = &self.seal {
                    for stream in &mut self.outgoing {
                        around.out.extend(stream.act(around.rng, now, seal));
                    }
                }
            }
            Stage::Leaving(left) => self.farewell(around, left),
            Stage::Left(until) if now >= until => self.stage = Stage::Over,
            _ => {}
        }
        if now >= self.heard + SILENCE {
            self.stage = Stage::Over;
        }
    }

    fn due(&self) -> Option<Instant> {
        let silent = self.heard + SILENCE;
        let check = self
            .check
            .as_ref()
            .map_or(self.next_consent, |check| check.again);
        let own = match self.stage {
            Stage::Over => return None,
            Stage::Checking if !self.caller && self.check.is_none() => silent,
            Stage::Checking => check,
            Stage::Agreeing => self.dtls.due().unwrap_or(silent).min(check),
            Stage::Talking => {
                let streams = self.outgoing.iter().map(Outgoing::due);
                streams.min().unwrap_or(silent).min(check)
            }
            Stage::Leaving(_) => self.next_farewell,
            Stage::Left(until) => until,
        };
        Some(own.min(silent))
    }
}

impl Open for Call {
    type Known = ();
    const PAUSE: f64 = 15.0;

    fn open((): &(), now: Instant, until: Instant, rng: &mut Rng, _site: &Site) -> Self {
        let lasting = Duration::from_secs_f64(SHORTEST + exponential(rng, LASTING));
        Self::caller(rng, now, until.min(now + lasting))
    }
}

impl Accept for Call {
    fn accept(now: Instant, rng: &mut Rng, bytes: &[u8]) -> Option<Self> {
        let message = Message::decode(bytes).filter(|one| one.kind == method::BINDING)?;
        let name = message.get(attribute::USERNAME)?.to_vec();
        let name = String::from_utf8(name)
            .ok()
            .filter(|name| name.contains(':'))?;
        message.authentic(bytes, &Self::key(&name)).then_some(())?;
        Some(Self::new(rng, now, Instant::MAX, name, false))
    }
}
