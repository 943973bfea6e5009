//! Whether two flows of one host are the legs of a session that it carries for others: what comes in
//! by one goes out by the other, look by look.
//!
//! Suh et al. (INFOCOM 2006) match starts, ends, bytes and the correlation of rates. Two calls with
//! one codec match in all of these: both send a packet each 30 ms, of one size, and begin when the
//! host joins two people. So what goes in each half second is held against each other. A relay sends on
//! what it gets, message by message, so their payload bytes differ by a constant for each message
//! and by nothing else (but for what is under way at a look, which is made up for by the next); two encoders' differ by their own noise. How often looks agree by chance is
//! taken from the same two flows, shifted against each other: steady traffic, which agrees
//! however it is shifted, accuses nobody.

use skype_ips_common::layout::TCP;

use super::media::Counters;

/// What a flow carried between two looks at its counters, half a second, per direction: outbound,
/// inbound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Packets.
    pub packets: [u32; 2],
    /// Bytes of IP packets.
    pub bytes: [u32; 2],
}

/// One flow's newest looks.
#[derive(Clone, Copy, Debug)]
pub struct Leg<'a> {
    /// [`TCP`] or UDP.
    pub protocol: u8,
    /// Whether it is IPv4.
    pub v4: bool,
    /// The looks, the oldest first.
    pub looks: &'a [Look],
}

impl Leg<'_> {
    fn newest(self, count: usize) -> Self {
        Self {
            looks: &self.looks[self.looks.len() - count..],
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

/// Least looks that are compared.
pub const LEAST_LOOKS: usize = 6;
/// Bits from which two flows are legs. Those of two calls are compared some hundred times, in windows
/// that overlap: that is wrong once in a hundred thousand of them.
pub const ENOUGH_BITS: u32 = 24;
/// What it counts that two files, one in and one out, begin in the same second and have carried as much
/// since, but for `APART`. A relay holds a file back to 3 KB/s, a packet each half second: that goes
/// on so steadily that its looks say little.
pub const SAME_FILE: u32 = 12;
/// Packets by which they may differ.
const APART: u64 = 2;
/// What goes out for each hundred bytes that come in, framing aside: what is policed or lost is less.
const RATIO: std::ops::RangeInclusive<u32> = 80..=125;
/// Bytes by which framing alone may make a message longer or shorter: a relay's own head, or a record's.
/// Where messages are short that is more than `RATIO`.
const FRAMING: i64 = 32;
/// Least share of the looks that are in step, per cent: something may be under way when one ends,
/// or was held back.
const IN_STEP: usize = 40;
/// A direction carries something if it has so many payload bytes a look.
const CARRIES: i64 = 10;
/// Bytes that TCP's timestamps take in each packet; whether a connection has them isn't known.
const TIMESTAMPS: i64 = 12;

impl Likeness {
    /// Whether they are the legs of one session; `besides` is what else speaks for it, as bits.
    pub fn are_legs(&self, besides: u32) -> bool {
        self.bits + besides >= ENOUGH_BITS && self.fits()
    }

    fn fits(&self) -> bool {
        self.ways.iter().flatten().all(Way::fits)
    }

    /// The figures, in words.
    pub fn words(&self) -> String {
        let ways = self.ways.iter().zip(["on to the other leg", "back"]);
        let ways = ways.filter_map(|(way, name)| {
            let way = (*way)?;
            Some(format!(
                "{name}: {} of {} looks in step, {} % of the bytes, correlation {}.{:02}",
                way.in_step,
                way.looks,
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
        self.looks >= LEAST_LOOKS
            && self.in_step * 100 >= self.looks * IN_STEP
            && RATIO.contains(&self.ratio)
    }
}

/// How many of the newest looks are compared: the more, the surer; the fewer, the less of what came
/// before the session.
const WINDOWS: [usize; 7] = [6, 8, 10, 12, 16, 20, 24];

/// Whether what two flows have carried since they began is the same file: as many packets and bytes in
/// by one as out by the other, but for `APART`. `one` and `other` are packets and IP bytes, outbound
/// and inbound.
pub fn same_amount(one: &Counters, other: &Counters) -> bool {
    let way = |from: &Counters, to: &Counters| {
        let packet = from.bytes[1].max(to.bytes[0]) / from.packets[1].max(to.packets[0]).max(1);
        from.packets[1].abs_diff(to.packets[0]) <= APART
            && from.bytes[1].abs_diff(to.bytes[0]) <= APART * packet
    };
    way(one, other) && way(other, one)
}

/// Compares the newest looks at two flows of one host, which ended together, and gives what speaks most
/// for their being legs. `None` if there are too few, or nothing went from one to the other.
pub fn compare(one: Leg<'_>, other: Leg<'_>) -> Option<Likeness> {
    let all = one.looks.len().min(other.looks.len());
    let windows = WINDOWS.into_iter().filter(|looks| *looks <= all);
    let likenesses = windows.filter_map(|looks| {
        let (one, other) = (one.newest(looks), other.newest(looks));
        let ways = [way(one, other), way(other, one)];
        let bits = ways.iter().flatten().map(|way| way.bits).sum();
        let some = ways.iter().any(Option::is_some);
        some.then_some(Likeness { ways, bits })
    });
    likenesses.max_by_key(|likeness| (likeness.fits(), likeness.bits))
}

/// What came in by one leg and went out by the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Looks in which there was something.
    pub looks: usize,
    /// In how many of them as much went out as came in.
    pub in_step: usize,
    /// Payload that went out for each hundred bytes that came in, framing aside.
    pub ratio: u32,
    /// Correlation of the rates, in hundredths.
    pub correlation: i32,
    /// Odds that the looks agree so often by chance: 2^-bits.
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
            .looks
            .iter()
            .map(|second| second.packets[direction].into())
            .collect();
        let bytes = leg.looks.iter().zip(&packets);
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
    let by_message = counted.map_or(0, |counted| overhead(arrived, sent, counted));
    let messages = counted.map_or(0, |counted| counted.packets.iter().sum());
    let framing = messages * by_message.clamp(-FRAMING, FRAMING);
    // Of both, shifted by so many looks: in how many there was something, and how many agree.
    let shifted = |by: usize| {
        // What has gone out beyond what had come in, at the end of each second.
        let (mut beyond, mut looks, mut agree) = (vec![0], 0, 0);
        for then in 0..all {
            let at = (then + by) % all;
            let (came, went) = (arrived.bytes[at], sent.bytes[then]);
            let messages = counted.map_or(0, |counted| {
                counted.packets[if std::ptr::eq(counted, sent) {
                    then
                } else {
                    at
                }]
            });
            let now = beyond[then] + went - came - by_message * messages;
            // What was under way at the end of the last second is no more at the end of this one.
            let again = now == beyond[then] || (then > 0 && now == beyond[then - 1]);
            let something = came.max(went) > 0;
            looks += usize::from(something);
            agree += usize::from(something && again);
            beyond.push(now);
        }
        (looks, agree)
    };
    let (looks, in_step) = shifted(0);
    let by_chance = (1..all).map(shifted);
    let by_chance = by_chance.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let chance = (by_chance.1 + 1) as f64 / (by_chance.0 + 2) as f64;
    Some(Way {
        looks,
        in_step,
        ratio: u32::try_from((went - framing).max(0) * 100 / came.max(1)).unwrap_or(u32::MAX),
        correlation: correlation(&arrived.bytes, &sent.bytes),
        bits: surprise(in_step, looks, chance),
    })
}

/// Bytes by which a message that goes out is longer than the one that came: what most looks say, of
/// those that can be divided by their messages.
fn overhead(arrived: &Stream, sent: &Stream, counted: &Stream) -> i64 {
    let looks = arrived.bytes.iter().zip(&sent.bytes).zip(&counted.packets);
    let mut said: Vec<i64> = looks
        .map(|((came, went), messages)| (went - came, *messages))
        .filter(|(more, messages)| *messages > 0 && more % messages == 0)
        .map(|(more, messages)| more / messages)
        .collect();
    said.sort_unstable();
    let most = said.chunk_by(|one, other| one == other);
    most.max_by_key(|same| same.len()).map_or(0, |same| same[0])
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
