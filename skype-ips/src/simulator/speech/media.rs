//! How media look from outside: when packets come and how long they are. What is in them is all
//! ciphertext.
//!
//! Intervals, rates and the size model are Bonfiglio's, `(rate * interval + 8) * redundancy + 4`
//! bytes, give or take 1 (constant rate) or 7.5 (variable); there is no silence suppression
//! (Baset). Video comes in packets of 400 to 490 or 800 to 980 bytes (Tstat), files in packets
//! near the path's MTU with small reports the other way (Adami et al., 2009).

const SECOND: u64 = 1_000_000_000;
const MS: u64 = 1_000_000;

/// A voice codec at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voice {
    /// Between packets, milliseconds: 20, 30 or 60.
    pub interval: u64,
    /// Bits a second: 6,000 (SILK narrow band) to 80,000 (iPCM-wb).
    pub rate: u64,
    /// How often each frame is sent, 1 to 4.
    pub redundancy: u64,
    /// Whether the rate varies.
    pub variable: bool,
}

impl Voice {
    /// Mean payload bytes.
    pub const fn mean(&self) -> u64 {
        (self.rate * self.interval / 8000 + 8) * self.redundancy + 4
    }

    /// One of the documented codecs, with a mean of at most 250 bytes.
    pub fn some(rng: &mut fastrand::Rng) -> Self {
        loop {
            let voice = Self {
                interval: [20, 30, 60][rng.usize(0..3)],
                rate: rng.u64(6_000..=80_000),
                redundancy: rng.u64(1..=4),
                variable: rng.bool(),
            };
            if voice.mean() <= 250 {
                return voice;
            }
        }
    }
}

/// What a host does in a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// A call: the same codec both ways.
    Call(Voice),
    /// A call with video from one end or both, at so many bits a second each, 40,000 or more.
    Video {
        /// The voice beside it.
        voice: Voice,
        /// The rate of the video.
        rate: u64,
        /// Whether the inside host sends video, and whether the other does.
        from: [bool; 2],
    },
    /// A file at so many bytes a second, one report for each two packets.
    File {
        /// Whether the inside host sends it.
        outbound: bool,
        /// Bytes a second.
        rate: u64,
        /// Payload bytes of its packets, 1000 to 1400.
        size: u64,
    },
    /// Three keep-alives a second each way: a call on hold.
    Hold,
    /// A few words now and then, and a keep-alive between them.
    Chat,
}

/// A packet of media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// When, nanoseconds from the start.
    pub at: u64,
    /// Whether the inside host sends it.
    pub outbound: bool,
    /// Payload bytes, with the message's head of three.
    pub len: usize,
}

impl Media {
    /// The packets of so many seconds, in the order in which they are sent.
    pub fn beats(self, rng: &mut fastrand::Rng, seconds: u64) -> Vec<Beat> {
        let mut beats = Vec::new();
        let until = seconds * SECOND;
        for outbound in [true, false] {
            match self {
                Self::Call(voice) => speak(rng, voice, outbound, until, &mut beats),
                Self::Video { voice, rate, from } => {
                    speak(rng, voice, outbound, until, &mut beats);
                    if from[usize::from(!outbound)] {
                        show(rng, rate, outbound, until, &mut beats);
                    }
                }
                Self::File {
                    outbound: sends,
                    rate,
                    size,
                } => {
                    let gap = SECOND * size / rate.max(1);
                    let (gap, sizes) = if sends == outbound {
                        (gap, size..=size)
                    } else {
                        (2 * gap, 11..=30)
                    };
                    let mut at = rng.u64(0..gap);
                    while at < until {
                        let len = rng.u64(sizes.clone()) as usize;
                        beats.push(Beat { at, outbound, len });
                        at += gap;
                    }
                }
                Self::Hold => {
                    let times = (0..3 * seconds).map(|index| index * SECOND / 3);
                    beats.extend(times.map(|at| Beat {
                        at,
                        outbound,
                        len: 3,
                    }));
                }
                Self::Chat => {
                    let mut at = rng.u64(0..10) * SECOND;
                    while at < until {
                        let len = if rng.bool() { 3 } else { rng.usize(20..200) };
                        beats.push(Beat { at, outbound, len });
                        at += rng.u64(1500..20_000) * MS;
                    }
                }
            }
        }
        beats.sort_by_key(|beat| beat.at);
        beats
    }
}

/// One direction of a call.
fn speak(rng: &mut fastrand::Rng, voice: Voice, outbound: bool, until: u64, beats: &mut Vec<Beat>) {
    let interval = voice.interval * MS;
    let spread = if voice.variable { 7.5 } else { 1.0 };
    let mut at = rng.u64(0..interval);
    while at < until {
        // Twelve uniform numbers make nearly a normal one.
        let normal = (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0;
        let len = (voice.mean() as f64 + spread * normal).round().max(5.0) as usize;
        beats.push(Beat { at, outbound, len });
        at += interval;
    }
}

/// One direction of video: each frame in as many packets as it takes, one behind the other.
fn show(rng: &mut fastrand::Rng, rate: u64, outbound: bool, until: u64, beats: &mut Vec<Beat>) {
    let frames = if rate < 100_000 { 5 } else { 15 };
    let frame = rate / 8 / frames;
    let sizes = if frame < 3 * 800 {
        400..=490
    } else {
        800..=980
    };
    let mut at = rng.u64(0..SECOND / frames);
    while at < until {
        let mut left = frame;
        let mut sent = at;
        while left > 0 {
            let len = rng.u64(sizes.clone());
            let len = len as usize;
            beats.push(Beat {
                at: sent,
                outbound,
                len,
            });
            left = left.saturating_sub(len as u64);
            sent += MS;
        }
        at += SECOND / frames;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_keeps_its_interval_and_size() {
        let mut rng = fastrand::Rng::with_seed(1);
        let voice = Voice {
            interval: 30,
            rate: 16_000,
            redundancy: 1,
            variable: false,
        };
        assert_eq!(voice.mean(), 72);
        let beats = Media::Call(voice).beats(&mut rng, 30);
        let sent: Vec<_> = beats.iter().filter(|beat| beat.outbound).collect();
        assert_eq!((beats.len(), sent.len()), (2000, 1000));
        assert!(
            sent.windows(2)
                .all(|pair| pair[1].at - pair[0].at == 30 * MS)
        );
        assert!(sent.iter().all(|beat| (66..=78).contains(&beat.len)));
    }

    #[test]
    fn a_file_goes_one_way() {
        let mut rng = fastrand::Rng::with_seed(2);
        let file = Media::File {
            outbound: false,
            rate: 130_000,
            size: 1300,
        };
        let beats = file.beats(&mut rng, 10);
        let bytes = |outbound| -> usize {
            let some = beats.iter().filter(|beat| beat.outbound == outbound);
            some.map(|beat| beat.len).sum()
        };
        assert!((1_290_000..=1_300_000).contains(&bytes(false)));
        assert!(bytes(true) < 16_000);
    }

    #[test]
    fn video_has_the_rate_that_was_asked_for() {
        let mut rng = fastrand::Rng::with_seed(3);
        for rate in [40_000, 300_000, 1_000_000] {
            let mut beats = Vec::new();
            show(&mut rng, rate, true, 10 * SECOND, &mut beats);
            let bytes: usize = beats.iter().map(|beat| beat.len).sum();
            let asked = rate as usize / 8 * 10;
            assert!((asked..2 * asked).contains(&bytes), "{rate}: {bytes}");
        }
    }
}
