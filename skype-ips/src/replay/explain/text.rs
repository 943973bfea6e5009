//! The explanation in words.

use std::fmt;

use super::{CitationTold, EvidenceTold, ExplanationRecord, Frames, LookedAt, ProofTold};
use crate::policy::{Action, Confidence, Mode};
use crate::telemetry::FlowRecord;

/// Bytes in a line.
const LINE: usize = 16;
/// Numbers of packets in a line.
const NUMBERS: usize = 12;

/// Odds of one in 2^`bits`, in words: `one in 4 billion`.
pub fn odds(bits: u32) -> String {
    const WORDS: [&str; 7] = [
        "",
        " thousand",
        " million",
        " billion",
        " trillion",
        " quadrillion",
        " quintillion",
    ];
    let mut value = 2_f64.powi(i32::try_from(bits).unwrap_or(i32::MAX));
    let mut word = 0;
    while value >= 999.5 && word + 1 < WORDS.len() {
        value /= 1000.0;
        word += 1;
    }
    if value < 999.5 {
        format!("one in {value:.0}{}", WORDS[word])
    } else {
        let zeros = f64::from(bits) * std::f64::consts::LOG10_2;
        format!("one in 10^{zeros:.0}")
    }
}

/// The same with its figure; evidence of no bits only describes.
pub fn chance(bits: u32) -> String {
    match bits {
        0 => "it proves nothing by itself (0 bits)".to_owned(),
        _ => format!("odds of chance: {} (2^-{bits})", odds(bits)),
    }
}

/// Where cited bytes stand, behind the packet's number; nothing if the packet as a whole is meant.
pub fn place(offset: u32, length: u32) -> String {
    match length {
        0 => String::new(),
        1 => format!(", payload byte {offset}"),
        _ => format!(", payload bytes {offset} to {}", offset + (length - 1)),
    }
}

impl fmt::Display for ExplanationRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (flow, told) = (&self.flow, &self.explanation);
        heading(f, flow)?;
        writeln!(
            f,
            "  frames {} to {}, {:.6} s to {:.6} s after the capture's start: {} from {}, {} from {}",
            told.first_frame,
            told.last_frame,
            told.first_time,
            told.last_time,
            packets(flow.flow.pkts_toserver),
            end(flow.src_ip, flow.src_port),
            flow.flow.pkts_toclient,
            end(flow.dest_ip, flow.dest_port)
        )?;
        match (&flow.skype.detail, &told.proof) {
            (Some(found), Some(proof)) => {
                writeln!(
                    f,
                    "\nIt is Skype: {}, {}, {}.",
                    found.class, found.role, found.confidence
                )?;
                decided(f, self, proof)?;
                evidence(f, &proof.evidence)?;
                added_up(f, proof, &found.confidence)?;
                if let Some(basis) = &proof.follows {
                    writeln!(
                        f,
                        "\nIt counts because of an earlier proof, by frame {}{}, odds of chance \
                         {} (2^-{}):",
                        basis.frame,
                        of_conversation(basis),
                        basis.odds,
                        basis.bits
                    )?;
                    evidence(f, &basis.evidence)?;
                }
            }
            _ if !told.ambiguous.is_empty() => {
                writeln!(
                    f,
                    "\nIt may be Skype's or Teams': it speaks as both do, and of names that its host \
                     asked for in the ten minutes before none tells which. It is not counted as \
                     Skype; only the policy's `ambiguous` is for it."
                )?;
                evidence(f, &told.ambiguous)?;
            }
            _ => nothing(f, flow, &told.looked_at)?,
        }
        for proof in &told.besides {
            writeln!(
                f,
                "\nIts own packets say more, by frame {}: {}, {}, {}.",
                proof.frame, proof.class, proof.role, proof.confidence
            )?;
            evidence(f, &proof.evidence)?;
        }
        policy(f, self)
    }
}

fn heading(f: &mut fmt::Formatter<'_>, flow: &FlowRecord) -> fmt::Result {
    writeln!(
        f,
        "{} {} {} of {}",
        flow.proto.to_ascii_lowercase(),
        end(flow.src_ip, flow.src_port),
        end(flow.dest_ip, flow.dest_port),
        flow.capture.as_deref().unwrap_or_default().escape_debug()
    )?;
    writeln!(
        f,
        "  community_id {}, flow_id {}",
        flow.community_id, flow.flow_id
    )?;
    match &flow.tunnel {
        Some(tunnel) => writeln!(
            f,
            "  in a tunnel ({}, depth {}) from {} to {}; payload offsets are those of the inner \
             packet",
            tunnel.kind, tunnel.depth, tunnel.src_ip, tunnel.dest_ip
        ),
        None => Ok(()),
    }
}

fn packets(count: u64) -> String {
    match count {
        1 => "1 packet".to_owned(),
        _ => format!("{count} packets"),
    }
}

fn end(ip: std::net::IpAddr, port: u16) -> String {
    std::net::SocketAddr::new(ip, port).to_string()
}

fn of_conversation(proof: &ProofTold) -> String {
    match &proof.by {
        Some(by) => format!(
            " of another conversation, {} (flow_id {})",
            by.ends, by.flow_id
        ),
        None => String::new(),
    }
}

fn evidence(f: &mut fmt::Formatter<'_>, evidence: &[EvidenceTold]) -> fmt::Result {
    let mut evidence = evidence.iter();
    evidence.try_for_each(|evidence| writeln!(f, "\n{evidence}"))
}

/// When it was decided, and by what.
fn decided(
    f: &mut fmt::Formatter<'_>,
    record: &ExplanationRecord,
    proof: &ProofTold,
) -> fmt::Result {
    let found = record.flow.skype.detail.as_ref();
    let at = found.and_then(|found| found.decided_at_packet);
    match (at, record.explanation.decided_at_frame) {
        (Some(packet), Some(frame)) => writeln!(
            f,
            "Decided at frame {frame}, packet {packet} of the conversation."
        )?,
        _ => writeln!(
            f,
            "Decided in retrospect: the proof came after its last packet."
        )?,
    }
    let Some(endpoint) = &proof.endpoint else {
        return Ok(());
    };
    let endpoint = end(endpoint.ip, endpoint.port);
    match &proof.by {
        Some(_) => writeln!(
            f,
            "What decided it is its endpoint: {endpoint} was proved by frame {}{}.",
            proof.frame,
            of_conversation(proof)
        )?,
        None => writeln!(f, "The same packet proved the endpoint {endpoint}.")?,
    }
    writeln!(
        f,
        "All UDP of that address and port is Skype, and so are connections opened to that port, \
         until nothing there passed a test for 20 minutes."
    )
}

impl fmt::Display for EvidenceTold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.meaning)?;
        write!(f, "\n  {}", chance(self.bits))?;
        self.citations
            .iter()
            .try_for_each(|citation| write!(f, "\n{citation}"))
    }
}

impl fmt::Display for CitationTold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            frame,
            offset,
            length,
            says,
            ..
        } = self;
        write!(f, "  frame {frame}")?;
        if let Some(seen) = &self.seen {
            let (source, destination) = (
                end(seen.src_ip, seen.src_port),
                end(seen.dest_ip, seen.dest_port),
            );
            write!(f, ", {:.6} s, {source} -> {destination}", seen.time)?;
        }
        write!(f, "{}: {says}", place(*offset, *length))?;
        let Some(seen) = &self.seen else {
            return Ok(());
        };
        let pairs: Vec<_> = seen
            .bytes
            .as_bytes()
            .chunks(2)
            .map(String::from_utf8_lossy)
            .collect();
        let bytes: Vec<_> = pairs
            .iter()
            .map(|pair| u8::from_str_radix(pair, 16).unwrap_or(0))
            .collect();
        let is_text = bytes.iter().all(|byte| matches!(byte, b' '..=b'~'));
        for (line, bytes) in pairs.chunks(LINE).zip(bytes.chunks(LINE)) {
            let (line, width) = (line.join(" "), 3 * LINE - 1);
            match is_text {
                true => write!(
                    f,
                    "\n      {line:width$}  {}",
                    String::from_utf8_lossy(bytes)
                )?,
                false => write!(f, "\n      {line}")?,
            }
        }
        if pairs.len() < *length as usize {
            write!(
                f,
                "\n      (the capture cuts off {} of {length} bytes)",
                *length as usize - pairs.len()
            )?;
        }
        Ok(())
    }
}

fn added_up(
    f: &mut fmt::Formatter<'_>,
    proof: &ProofTold,
    confidence: &impl fmt::Display,
) -> fmt::Result {
    let terms: Vec<_> = proof
        .evidence
        .iter()
        .map(|evidence| evidence.bits.to_string())
        .collect();
    let sum = match terms.len() {
        1 => format!("{} bits", proof.bits),
        _ => format!("{} = {} bits", terms.join(" + "), proof.bits),
    };
    let limits = &proof.thresholds;
    writeln!(
        f,
        "\nHow it adds up: {sum}, odds of chance {}. From {} bits on it is exact, from {} strong, from {} \
         heuristic, below nothing: {confidence}.",
        proof.odds, limits.exact, limits.strong, limits.heuristic
    )?;
    if proof.bits >= limits.exact && proof.confidence < Confidence::Exact {
        writeln!(
            f,
            "What only a host's habits lift so far is strong at most."
        )?;
    }
    Ok(())
}

fn nothing(f: &mut fmt::Formatter<'_>, flow: &FlowRecord, looked_at: &LookedAt) -> fmt::Result {
    writeln!(
        f,
        "\nNothing was found: no test on this conversation was passed, and neither end was proved to \
         be Skype's by other packets, then or in the 20 minutes after."
    )?;
    let LookedAt {
        payloads,
        queued,
        cut_off,
        later_fragments,
        opening_seen,
        ..
    } = looked_at;
    writeln!(
        f,
        "  {}, {payloads} of them with payload; the gate sent up {queued} that look like what some \
         test is about, and judged the others by their looks alone",
        packets(looked_at.packets)
    )?;
    match opening_seen {
        Some(true) => writeln!(f, "  the connection's opening (SYN) is in the capture")?,
        Some(false) => writeln!(
            f,
            "  the connection's opening (SYN) is not in the capture: nothing is taken from the \
             middle of a stream, so it could be anything"
        )?,
        None => {}
    }
    if *payloads == 0 {
        writeln!(f, "  without payload there is nothing to judge")?;
    }
    if *cut_off > 0 {
        writeln!(
            f,
            "  the capture cuts off the payload of {}: a test that needs what is missing can't be \
             passed",
            packets(*cut_off)
        )?;
    }
    if *later_fragments > 0 {
        writeln!(
            f,
            "  {} in later parts of fragmented ones, which no test looks into",
            packets(*later_fragments)
        )?;
    }
    if flow.proto == "UDP" {
        writeln!(
            f,
            "  this doesn't prove that it isn't Skype: media and file transfer are ciphertext, \
             found by what their endpoint sends besides"
        )?;
    }
    Ok(())
}

fn policy(f: &mut fmt::Formatter<'_>, record: &ExplanationRecord) -> fmt::Result {
    let (policy, told) = (&record.flow.policy, &record.explanation.policy);
    let Some(name) = &policy.name else {
        return writeln!(f, "\nPolicy: none covers its hosts; nothing is done.");
    };
    let mode = told.mode;
    write!(f, "\nPolicy: {name}, mode {mode}: {}.", policy.action)?;
    match (told.enforced, told.confidence) {
        (Some(enforced), _) if mode == Mode::Monitor && enforced > policy.action => {
            write!(f, " In mode enforce it would be {enforced}.")?;
        }
        (Some(_), Some(needed))
            if record
                .flow
                .skype
                .detail
                .as_ref()
                .is_some_and(|found| found.confidence < needed) =>
        {
            write!(f, " It does more than alert only from {needed} on.")?;
        }
        _ => {}
    }
    writeln!(f)?;
    if record.flow.tunnel.is_some() {
        writeln!(
            f,
            "  so would a gateway at the tunnel's end; one that forwards the tunnel doesn't look into it"
        )?;
    }
    for (frames, word) in [
        (&told.dropped, Action::Drop),
        (&told.alerted, Action::Alert),
    ] {
        if frames.packets > 0 {
            let word = match word {
                Action::Drop => "dropped",
                _ => "passed, and alerted about",
            };
            writeln!(f, "  {word}: {}, {frames}", packets(frames.packets))?;
        }
    }
    Ok(())
}

impl fmt::Display for Frames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = self.frames.iter().take(NUMBERS);
        let numbers: Vec<_> = told.map(u64::to_string).collect();
        let ending = if self.packets == 1 { "" } else { "s" };
        write!(f, "frame{ending} {}", numbers.join(", "))?;
        match self.packets - numbers.len() as u64 {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_figures_of_nothing_are_not_told() {
        let places = [place(3, 4), place(3, 1), place(3, 0)];
        let words = [", payload bytes 3 to 6", ", payload byte 3", ""];
        assert_eq!(places, words);
        assert!(chance(0).contains("nothing by itself") && chance(1).contains("one in 2 (2^-1)"));
    }

    #[test]
    fn odds_read_as_people_say_them() {
        for (bits, words) in [
            (0, "one in 1"),
            (9, "one in 512"),
            (10, "one in 1 thousand"),
            (20, "one in 1 million"),
            (32, "one in 4 billion"),
            (48, "one in 281 trillion"),
            (64, "one in 18 quintillion"),
            (120, "one in 10^36"),
            (632, "one in 10^190"),
            (u32::MAX, "one in 10^1292913986"),
        ] {
            assert_eq!(odds(bits), words);
        }
    }
}
