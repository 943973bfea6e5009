//! Voice and video as SRTP, with SRTCP beside (RFC 3550, RFC 3711, RFC 7714).

use std::time::Duration;

use fastrand::Rng;

use super::numbers::Numbers;
use super::pace::{exponential, normal};
use super::seal::{Seal, TAG, number_of};
use super::tally::Tally;
use crate::simulator::net::program::Instant;
use crate::simulator::speech::noise;

/// The account of the packets of media, and of the reports on them.
pub(super) const RTP: &str = "RTP";
pub(super) const RTCP: &str = "RTCP";
const SENDER_REPORT: u8 = 200;
const BYE: u8 = 203;
/// Voice: Opus, a packet each 20 ms (RFC 7587), as much as browsers make of it.
const VOICE_INTERVAL: Duration = Duration::from_millis(20);
const VOICE_BYTES: (f64, f64) = (82.0, 12.0);
/// Video: frames each 33 ms, in packets of at most this.
const FRAME_INTERVAL: Duration = Duration::from_micros(33_333);
const MOST: usize = 1100;
/// A whole picture is so many times as long as what changes, and comes once in so many frames.
const WHOLE: f64 = 6.0;
const ONCE_IN: u32 = 200;
/// Mean seconds between two reports (browsers: 1 for video to 5 for voice alone).
const REPORTS: f64 = 2.5;
/// Bytes of the head of RTP, with an extension for the level of the voice.
const HEAD: usize = 12;
const EXTENSION: [u8; 4] = [0xbe, 0xde, 0, 1];
/// Bytes of a report that aren't encrypted.
const CLEAR: usize = 8;
/// What seals of reports are numbered from; those of media are below.
const OF_REPORTS: u64 = 1 << 63;

/// Whether a datagram may be one of these (RFC 7983).
pub(super) fn is(bytes: &[u8]) -> bool {
    bytes.len() > HEAD && bytes[0] >> 6 == 2
}

/// A stream's first number, which the other end has to know.
fn first(source: u32) -> u16 {
    // In the lower half, so that it doesn't go round at once (RFC 3711, section 3.3.1).
    number_of(&[b"first", &source.to_be_bytes()]) as u16 & 0x7fff
}

/// Seals of one stream are apart from those of any other.
fn seal_number(source: u32, number: u64) -> u64 {
    u64::from(source) << 31 ^ number
}

/// What a stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Voice,
    /// So many bytes a frame.
    Video(u32),
}

/// A stream that goes out.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    content: Content,
    source: u32,
    sent: u64,
    bytes: u64,
    reports: u64,
    frames: u32,
    begun: Instant,
    next: Instant,
    next_report: Instant,
}

impl Outgoing {
    fn new(rng: &mut Rng, now: Instant, content: Content) -> Self {
        Self {
            content,
            source: rng.u32(..),
            sent: 0,
            bytes: 0,
            reports: 0,
            frames: 0,
            begun: now,
            next: now,
            next_report: now + Duration::from_millis(500),
        }
    }

    /// Voice.
    pub(super) fn voice(rng: &mut Rng, now: Instant) -> Self {
        Self::new(rng, now, Content::Voice)
    }

    /// Video, of 200 to 800 kbit/s: what browsers begin with and what a small picture takes.
    pub(super) fn video(rng: &mut Rng, now: Instant) -> Self {
        let rate = rng.u32(200_000..=800_000);
        Self::new(rng, now, Content::Video(rate / 8 / 30))
    }

    /// When something is to be sent.
    pub(super) fn due(&self) -> Instant {
        self.next.min(self.next_report)
    }

    fn packet(&mut self, rng: &mut Rng, seal: &Seal, marked: bool, len: usize) -> Vec<u8> {
        self.sent += 1;
        self.bytes += len as u64;
        let kind = match self.content {
            Content::Voice => 111,
            Content::Video(_) => 96,
        };
        let clock = match self.content {
            Content::Voice => 960,
            Content::Video(_) => 3000,
        };
        let extended = u64::from(first(self.source)) + self.sent;
        let voice = self.content == Content::Voice;
        let stamp = self.frames.wrapping_mul(clock).wrapping_add(self.source);
        let mut head = vec![0x80 | u8::from(voice) << 4, kind | u8::from(marked) << 7];
        head.extend((extended as u16).to_be_bytes());
        head.extend(stamp.to_be_bytes());
        head.extend(self.source.to_be_bytes());
        if voice {
            head.extend(EXTENSION);
            // Its level, then padding.
            head.extend([0x10, 0x80 | rng.u8(20..90), 0, 0]);
        }
        let plain = noise(rng, len);
        let sealed = seal.seal(seal_number(self.source, extended), &head, &plain);
        [head, sealed].concat()
    }

    /// What is due now.
    pub(super) fn act(&mut self, rng: &mut Rng, now: Instant, seal: &Seal) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        if self.next <= now {
            match self.content {
                Content::Voice => {
                    let len = normal(rng, VOICE_BYTES.0, VOICE_BYTES.1).clamp(20.0, 200.0);
                    out.push(self.packet(rng, seal, self.frames == 0, len as usize));
                    self.next += VOICE_INTERVAL;
                }
                Content::Video(mean) => {
                    let mean = match self.frames % ONCE_IN {
                        0 => f64::from(mean) * WHOLE,
                        _ => f64::from(mean),
                    };
                    let mut left = (mean / 2.0 + exponential(rng, mean / 2.0)) as usize;
                    while left > 0 {
                        let len = left.min(MOST);
                        left -= len;
                        out.push(self.packet(rng, seal, left == 0, len));
                    }
                    self.next += FRAME_INTERVAL;
                }
            }
            self.frames += 1;
        }
        if self.next_report <= now {
            out.push(self.report(seal, now, SENDER_REPORT));
            let uneven = REPORTS * (0.5 + rng.f64());
            self.next_report = now + Duration::from_secs_f64(uneven);
        }
        out
    }

    /// The last report: that the stream has ended.
    pub(super) fn bye(&mut self, now: Instant, seal: &Seal) -> Vec<u8> {
        self.report(seal, now, BYE)
    }

    /// A sender's report, and a BYE behind it if that is what it is about.
    fn report(&mut self, seal: &Seal, now: Instant, kind: u8) -> Vec<u8> {
        self.reports += 1;
        let source = self.source.to_be_bytes();
        let clear = [&[0x80, SENDER_REPORT, 0, 6][..], &source].concat();
        let since = now.saturating_sub(self.begun);
        let time = now.as_secs() << 32 | u64::from(now.subsec_micros()) << 12;
        let mut hidden = time.to_be_bytes().to_vec();
        hidden.extend((since.as_millis() as u32).to_be_bytes());
        hidden.extend((self.sent as u32).to_be_bytes());
        hidden.extend((self.bytes as u32).to_be_bytes());
        if kind == BYE {
            hidden.extend([0x81, BYE, 0, 1]);
            hidden.extend(source);
        }
        // The flag says that it is encrypted.
        let index = (self.reports as u32 | 1 << 31).to_be_bytes();
        let head = [&clear[..], &index].concat();
        let number = OF_REPORTS | seal_number(self.source, self.reports);
        [clear, seal.seal(number, &head, &hidden), index.to_vec()].concat()
    }
}

/// A stream that comes in.
#[derive(Clone, Debug)]
struct Incoming {
    source: u32,
    packets: Numbers,
    reports: Numbers,
}

/// All that come in from one end.
#[derive(Clone, Debug, Default)]
pub(super) struct Streams {
    streams: Vec<Incoming>,
    ended: bool,
}

impl Streams {
    /// Whether the other end has said its BYE.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    fn stream(&mut self, source: u32) -> &mut Incoming {
        let place = self.streams.iter().position(|one| one.source == source);
        let place = place.unwrap_or_else(|| {
            self.streams.push(Incoming {
                source,
                packets: Numbers::new(),
                reports: Numbers::new(),
            });
            self.streams.len() - 1
        });
        &mut self.streams[place]
    }

    /// A packet has come.
    pub(super) fn hear(&mut self, tally: &mut Tally, seal: &Seal, bytes: &[u8]) {
        // Where reports and media share a port (RFC 5761).
        if (192..=223).contains(&bytes[1]) {
            self.hear_report(tally, seal, bytes);
            return;
        }
        let source = u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        let short = u16::from_be_bytes([bytes[2], bytes[3]]);
        let head = match bytes[0] & 0x10 {
            0 => HEAD,
            _ => HEAD + 8,
        };
        let Some((head, sealed)) = bytes.split_at_checked(head) else {
            return;
        };
        let first = first(source);
        let stream = self.stream(source);
        let number = stream.packets.extended(short.wrapping_sub(first));
        let opened = seal.open(seal_number(source, u64::from(first) + number), head, sealed);
        stream.packets.heard(tally, RTP, number, opened.is_some());
    }

    fn hear_report(&mut self, tally: &mut Tally, seal: &Seal, bytes: &[u8]) {
        if bytes.len() < CLEAR + TAG + 4 {
            return;
        }
        let (clear, rest) = bytes.split_at(CLEAR);
        let (sealed, index) = rest.split_at(rest.len() - 4);
        let source = u32::from_be_bytes([clear[4], clear[5], clear[6], clear[7]]);
        let number = u32::from_be_bytes([index[0], index[1], index[2], index[3]]) & !(1 << 31);
        let number = u64::from(number);
        let head = [clear, index].concat();
        let opened = seal.open(OF_REPORTS | seal_number(source, number), &head, sealed);
        let stream = self.stream(source);
        stream.reports.heard(tally, RTCP, number, opened.is_some());
        if let Some(plain) = opened
            && let Some(sent) = plain.get(12..16).and_then(<[u8]>::first_chunk)
        {
            let sent = u64::from(u32::from_be_bytes(*sent));
            stream.packets.known(tally, RTP, sent);
            self.ended |= plain.len() > 20;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_was_lost_before() {
        let (rng, tally) = (&mut Rng::with_seed(1), &mut Tally::default());
        let seal = Seal::new(&[b"key"]);
        let (mut voice, mut streams) = (Outgoing::voice(rng, Duration::ZERO), Streams::default());
        for tick in 0..100 {
            let now = VOICE_INTERVAL * tick;
            for packet in voice.act(rng, now, &seal) {
                assert!(is(&packet));
                // The last ten are lost.
                if tick < 90 {
                    streams.hear(tally, &seal, &packet);
                }
            }
        }
        assert!(!streams.ended());
        streams.hear(tally, &seal, &voice.bye(Duration::from_secs(2), &seal));
        assert!(streams.ended());
        let figures = tally.figures().exchanges;
        let of = |what| figures.iter().find(|one| one.what == what).copied();
        let rtp = of(RTP).expect("media came");
        assert_eq!((rtp.begun, rtp.done), (100, 90));
    }
}
