//! Labels of conversations, and how a replay did against them.
//!
//! A file of tab-separated values with a header line: `capture`, `proto`, `src_ip`, `src_port`,
//! `dest_ip`, `dest_port`, and `label` among other columns. `skype` has to be found; `unsure` and
//! `skype-no-payload` are not scored; everything else, and what has no line, must not be found.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use rustc_hash::{FxHashMap, FxHashSet};
use thiserror::Error;

use super::conversations::Conversations;
use crate::telemetry::eve::protocol_name;

/// What is wrong with a file of labels.
#[derive(Debug, Error)]
pub enum LabelError {
    /// A column is missing.
    #[error("line 1: no column `{0}` (separate columns by tabs)")]
    Column(&'static str),
    /// A field can't be read.
    #[error("line {line}: `{text}` is no {what}")]
    Field {
        /// From 1.
        line: usize,
        /// What it should be.
        what: &'static str,
        /// What it is.
        text: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Ends {
    capture: String,
    proto: String,
    low: SocketAddr,
    high: SocketAddr,
}

impl Ends {
    fn new(capture: &str, proto: &str, one: SocketAddr, other: SocketAddr) -> Self {
        Self {
            capture: capture.to_owned(),
            proto: proto.to_owned(),
            low: one.min(other),
            high: one.max(other),
        }
    }
}

impl fmt::Display for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            capture,
            proto,
            low,
            high,
        } = self;
        write!(f, "{capture}: {proto} {low} - {high}")
    }
}

/// A conversation that was not found as its label says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// Labelled Skype and not found.
    Missed(String),
    /// Found, and not labelled Skype.
    Accused(String),
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missed(which) => write!(f, "missed   {which}"),
            Self::Accused(which) => write!(f, "accused  {which}"),
        }
    }
}

/// How a replay did.
#[derive(Clone, Debug, Default)]
pub struct Score {
    /// Conversations labelled Skype that were found.
    pub found: u64,
    /// Conversations that were rightly let alone.
    pub let_alone: u64,
    /// Conversations that are not scored.
    pub unscored: u64,
    /// The rest.
    pub mismatches: Vec<Mismatch>,
}

/// Labels of conversations.
#[derive(Clone, Debug, Default)]
pub struct Expectations {
    labels: FxHashMap<Ends, String>,
}

impl Expectations {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// A column is missing, or a field can't be read.
    pub fn parse(text: &str) -> Result<Self, LabelError> {
        let mut lines = text
            .lines()
            .map(|line| line.split('\t').collect::<Vec<_>>());
        let header = lines.next().unwrap_or_default();
        let column = |name| {
            let place = header.iter().position(|field| *field == name);
            place.ok_or(LabelError::Column(name))
        };
        let (capture, proto, label) = (column("capture")?, column("proto")?, column("label")?);
        let (src_ip, src_port) = (column("src_ip")?, column("src_port")?);
        let (dest_ip, dest_port) = (column("dest_ip")?, column("dest_port")?);
        let mut labels = FxHashMap::default();
        for (index, fields) in lines.enumerate() {
            if fields == [""] {
                continue;
            }
            let line = index + 2;
            let field = |at: usize| fields.get(at).copied().unwrap_or_default();
            let bad = |what, at| LabelError::Field {
                line,
                what,
                text: field(at).to_owned(),
            };
            let end = |ip_at, port_at| {
                let ip: IpAddr = field(ip_at).parse().map_err(|_| bad("address", ip_at))?;
                let port = field(port_at).parse().map_err(|_| bad("port", port_at))?;
                Ok(SocketAddr::new(ip, port))
            };
            if field(label).is_empty() {
                return Err(bad("label", label));
            }
            let ends = Ends::new(
                field(capture),
                field(proto),
                end(src_ip, src_port)?,
                end(dest_ip, dest_port)?,
            );
            labels.insert(ends, field(label).to_owned());
        }
        Ok(Self { labels })
    }

    /// Compares what was found in a capture (the name of its file, without folders).
    pub fn score(&self, capture: &str, conversations: &Conversations) -> Score {
        let mut score = Score::default();
        let mut missed: FxHashSet<&Ends> = self
            .labels
            .iter()
            .filter(|(ends, label)| ends.capture == capture && *label == "skype")
            .map(|(ends, _)| ends)
            .collect();
        for conversation in conversations.iter() {
            let proto = protocol_name(conversation.protocol);
            let ends = Ends::new(capture, proto, conversation.src, conversation.dest);
            let label = self.labels.get(&ends).map_or("other", String::as_str);
            match (label, conversation.detection.is_some()) {
                ("unsure" | "skype-no-payload", _) => score.unscored += 1,
                ("skype", true) => {
                    missed.remove(&ends);
                    score.found += 1;
                }
                ("skype", false) => {}
                (_, true) => score.mismatches.push(Mismatch::Accused(ends.to_string())),
                (_, false) => score.let_alone += 1,
            }
        }
        let mut missed: Vec<_> = missed.into_iter().collect();
        missed.sort();
        let missed = missed.into_iter();
        score
            .mismatches
            .extend(missed.map(|ends| Mismatch::Missed(ends.to_string())));
        score
    }
}
