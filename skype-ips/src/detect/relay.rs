//! Whether two flows of one host are the legs of a session that it carries for others: what comes in
//! by one goes out by the other, second by second.
//!
//! Suh et al. (INFOCOM 2006) match starts, ends, bytes and the correlation of rates. Two calls with
//! one codec match in all of these: both send a packet each 30 ms, of one size, and begin when the
//! host joins two people. So the seconds themselves are held against each other. A relay sends on
//! what it gets, message by message, so their payload bytes differ by a constant for each message
//! and by nothing else; two encoders' differ by their own noise. How often seconds agree by chance is
//! taken from the same two flows, shifted against each other: steady traffic, which agrees
//! however it is shifted, accuses nobody.

use skype_ips_common::layout::TCP;

/// What a flow carried in about a second, per direction: outbound, inbound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Second {
    /// Packets.
    pub packets: [u32; 2],
    /// Bytes of IP packets.
    pub bytes: [u32; 2],
}

/// One flow's newest seconds.
#[derive(Clone, Copy, Debug)]
pub struct Leg<'a> {
    /// [`TCP`] or UDP.
    pub protocol: u8,
    /// Whether it is IPv4.
    pub v4: bool,
    /// The seconds, the oldest first.
    pub seconds: &'a [Second],
}

impl Leg<'_> {
    fn newest(self, count: usize) -> Self {
        Self {
            seconds: &self.seconds[self.seconds.len() - count..],
            ..self
        }
    }
}

/// How two flows stand to each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likeness {
    /// From the first leg to the second, and back; `None` where nothing went.
    pub ways: [Option<Way>; 2],
    /// Odds that two flows that have nothing to do with each other are so much alike: 2^-bits.
    pub bits: u32,
}

/// Least seconds that are compared.
pub const LEAST_SECONDS: usize = 6;
/// Bits from which two flows are legs. A host with 64 flows makes 2^11 pairs, and each is looked at
/// for two minutes; so much is owed to chance, and as much again to what isn't chance.
pub const ENOUGH_BITS: u32 = 30;
/// What goes out for each hundred bytes that come in: what is policed or lost is less.
const RATIO: std::ops::RangeInclusive<u32> = 80..=125;
/// Least correlation of the rates, in hundredths.
const CORRELATION: i32 = 60;
/// Least share of the seconds that are in step, per cent: a second ends for the two flows a little
/// apart, which spoils it and the next one.
const IN_STEP: usize = 60;
/// A direction carries something if it has so many payload bytes a second.
const CARRIES: i64 = 20;
/// Bytes that TCP's timestamps take in each packet; whether a connection has them isn't known.
const TIMESTAMPS: i64 = 12;

impl Likeness {
    /// Whether they are the legs of one session.
    pub fn are_legs(&self) -> bool {
        self.bits >= ENOUGH_BITS && self.ways.iter().flatten().all(Way::fits)
    }

    /// The figures, in words.
    pub fn words(&self) -> String {
        let ways = self.ways.iter().zip(["on to the other leg", "back"]);
        let ways = ways.filter_map(|(way, name)| {
            let way = (*way)?;
            Some(format!(
                "{name}: {} of {} seconds in step, {} % of the bytes, correlation {}.{:02}",
                way.in_step,
                way.seconds,
                way.ratio,
                way.correlation / 100,
                way.correlation.abs() % 100
            ))
        });
        ways.collect::<Vec<_>>().join("; ")
    }
}

impl Way {
    fn fits(&self) -> bool {
        self.seconds >= LEAST_SECONDS
            && self.in_step * 100 >= self.seconds * IN_STEP
            && RATIO.contains(&self.ratio)
            && self.correlation >= CORRELATION
    }
}

/// Compares the newest seconds of two flows of one host, which ended together. `None` if there are
/// too few, or nothing went from one to the other.
pub fn compare(one: Leg<'_>, other: Leg<'_>) -> Option<Likeness> {
    let seconds = one.seconds.len().min(other.seconds.len());
    if seconds < LEAST_SECONDS {
        return None;
    }
    let (one, other) = (one.newest(seconds), other.newest(seconds));
    let ways = [way(one, other), way(other, one)];
    if ways.iter().all(Option::is_none) {
        return None;
    }
    let bits = ways.iter().flatten().map(|way| way.bits).sum();
    Some(Likeness { ways, bits })
}

/// What came in by one leg and went out by the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Seconds in which there was something.
    pub seconds: usize,
    /// In how many of them as much went out as came in.
    pub in_step: usize,
    /// Payload that went out for each hundred bytes that came in.
    pub ratio: u32,
    /// Correlation of the rates, in hundredths.
    pub correlation: i32,
    /// Odds that the seconds agree so often by chance: 2^-bits.
    pub bits: u32,
}

/// A direction of a leg: payload bytes and packets of each second.
struct Stream {
    bytes: Vec<i64>,
    packets: Vec<i64>,
}

impl Stream {
    fn of(leg: Leg<'_>, direction: usize, options: i64) -> Self {
        let ip = if leg.v4 { 20 } else { 40 };
        let headers = ip + if leg.protocol == TCP { 20 + options } else { 8 };
        let packets: Vec<i64> = leg
            .seconds
            .iter()
            .map(|second| second.packets[direction].into())
            .collect();
        let bytes = leg.seconds.iter().zip(&packets);
        let bytes =
            bytes.map(|(second, packets)| i64::from(second.bytes[direction]) - packets * headers);
        Self {
            bytes: bytes.collect(),
            packets,
        }
    }

    fn total(&self) -> i64 {
        self.bytes.iter().sum()
    }
}

/// What goes from one leg in to the other out; `None` if nothing does.
fn way(from: Leg<'_>, to: Leg<'_>) -> Option<Way> {
    let options = |leg: Leg<'_>| match leg.protocol {
        TCP => &[0, TIMESTAMPS][..],
        _ => &[0],
    };
    let headers = options(from)
        .iter()
        .flat_map(|come| options(to).iter().map(move |go| (*come, *go)));
    headers
        .filter_map(|(come, go)| {
            let (arrived, sent) = (Stream::of(from, 1, come), Stream::of(to, 0, go));
            // Datagrams are messages; a connection's can't be counted, but two frame theirs alike.
            let counted = match (from.protocol, to.protocol) {
                (TCP, TCP) => None,
                (TCP, _) => Some(&sent),
                _ => Some(&arrived),
            };
            agreement(&arrived, &sent, counted)
        })
        .max_by_key(|way| way.bits)
}

fn agreement(arrived: &Stream, sent: &Stream, counted: Option<&Stream>) -> Option<Way> {
    let all = arrived.bytes.len();
    let (came, went) = (arrived.total(), sent.total());
    if came.max(went) < CARRIES * all as i64 {
        return None;
    }
    let something = |at: usize, then: usize| arrived.bytes[at].max(sent.bytes[then]) > 0;
    let by_message = counted.map_or(0, |counted| overhead(arrived, sent, counted));
    let agree = |at: usize, then: usize| {
        let messages = counted.map_or(0, |counted| {
            let of = if std::ptr::eq(counted, sent) {
                then
            } else {
                at
            };
            counted.packets[of]
        });
        something(at, then) && arrived.bytes[at] + by_message * messages == sent.bytes[then]
    };
    let seconds = (0..all).filter(|at| something(*at, *at)).count();
    let in_step = (0..all).filter(|at| agree(*at, *at)).count();
    let shifted = (1..all).flat_map(|by| (0..all).map(move |at| (at, (at + by) % all)));
    let shifted: Vec<_> = shifted.filter(|(at, then)| something(*at, *then)).collect();
    let by_chance = shifted
        .iter()
        .filter(|(at, then)| agree(*at, *then))
        .count();
    let chance = (by_chance + 1) as f64 / (shifted.len() + 2) as f64;
    Some(Way {
        seconds,
        in_step,
        ratio: u32::try_from(went.max(0) * 100 / came.max(1)).unwrap_or(u32::MAX),
        correlation: correlation(&arrived.bytes, &sent.bytes),
        bits: surprise(in_step, seconds, chance),
    })
}

/// Bytes by which a message that goes out is longer than the one that came: what most seconds say.
fn overhead(arrived: &Stream, sent: &Stream, counted: &Stream) -> i64 {
    let seconds = arrived.bytes.iter().zip(&sent.bytes).zip(&counted.packets);
    let mut said: Vec<i64> = seconds
        .filter(|(_, messages)| **messages > 0)
        .map(|((came, went), messages)| (went - came).div_euclid(*messages))
        .collect();
    said.sort_unstable();
    said.get(said.len() / 2).copied().unwrap_or(0)
}

/// Pearson's correlation in hundredths; 0 where one of the two never changes.
fn correlation(one: &[i64], other: &[i64]) -> i32 {
    let mean = |some: &[i64]| some.iter().sum::<i64>() as f64 / some.len() as f64;
    let means = (mean(one), mean(other));
    let (mut together, mut ones, mut others) = (0.0, 0.0, 0.0);
    for (one, other) in one.iter().zip(other) {
        let (one, other) = (*one as f64 - means.0, *other as f64 - means.1);
        together += one * other;
        ones += one * one;
        others += other * other;
    }
    if ones == 0.0 || others == 0.0 {
        return 0;
    }
    (100.0 * together / (ones * others).sqrt()) as i32
}

/// Bits of so many hits among so many where each has this chance: Chernoff's bound.
fn surprise(hits: usize, of: usize, chance: f64) -> u32 {
    let share = hits as f64 / of.max(1) as f64;
    if share <= chance {
        return 0;
    }
    let part = |share: f64, chance: f64| match share {
        0.0 => 0.0,
        share => share * (share / chance).log2(),
    };
    (of as f64 * (part(share, chance) + part(1.0 - share, 1.0 - chance))) as u32
}

#[cfg(test)]
mod tests;
