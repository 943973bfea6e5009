//! What conversations really are, as somebody has found out.
//!
//! A file of tab-separated values with a header line: `capture`, `proto`, `src_ip`, `src_port`,
//! `dest_ip`, `dest_port`, `label`, and perhaps `ground` (what the label rests on), among other
//! columns. `skype-ips replay --expect` reads the same file and scores alike.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::ends::Ends;

/// What a conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    /// Has to be found.
    Skype,
    /// Microsoft Teams: must not be found.
    Teams,
    /// Must not be found.
    Other,
    /// Nobody is sure, or it is an attempt without a byte: not scored.
    Unscored,
    /// Nobody has looked: not scored.
    Unlabelled,
}

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) truth: Truth,
    /// What the label rests on; empty if the file doesn't say.
    pub(super) ground: String,
}

/// The labels of one capture.
pub(super) type OfCapture = BTreeMap<Ends, Label>;

/// A whole file.
#[derive(Debug, Default)]
pub(super) struct Labels {
    captures: BTreeMap<String, OfCapture>,
    /// Labels that this program doesn't know, with their first line.
    pub(super) unknown: BTreeMap<String, usize>,
}

/// What is wrong with a file of labels.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LabelError {
    /// From 1.
    line: usize,
    problem: String,
}

impl fmt::Display for LabelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

/// Where in a line the fields are.
struct Columns {
    capture: usize,
    proto: usize,
    src: (usize, usize),
    dest: (usize, usize),
    label: usize,
    ground: Option<usize>,
}

impl Columns {
    fn read(header: &str) -> Result<Self, LabelError> {
        let names: Vec<_> = header.split('\t').collect();
        let find = |name: &str| names.iter().position(|field| *field == name);
        let column = |name| {
            find(name).ok_or_else(|| LabelError {
                line: 1,
                problem: format!("no column `{name}` (separate columns by tabs)"),
            })
        };
        Ok(Self {
            capture: column("capture")?,
            proto: column("proto")?,
            src: (column("src_ip")?, column("src_port")?),
            dest: (column("dest_ip")?, column("dest_port")?),
            label: column("label")?,
            ground: find("ground"),
        })
    }
}

impl Labels {
    /// Reads the text of a file.
    pub(super) fn parse(text: &str) -> Result<Self, LabelError> {
        let mut lines = text.lines().zip(1..);
        let (header, _) = lines.next().unwrap_or_default();
        let columns = Columns::read(header)?;
        let mut labels = Self::default();
        for (text, line) in lines.filter(|(text, _)| !text.is_empty()) {
            labels
                .add(&columns, text, line)
                .map_err(|problem| LabelError { line, problem })?;
        }
        Ok(labels)
    }

    fn add(&mut self, columns: &Columns, text: &str, line: usize) -> Result<(), String> {
        let fields: Vec<_> = text.split('\t').collect();
        let field = |at: usize| fields.get(at).copied().unwrap_or_default();
        let end = |(ip_at, port_at)| {
            let bad = |what, at| format!("`{}` is no {what}", field(at));
            let ip: IpAddr = field(ip_at).parse().map_err(|_| bad("address", ip_at))?;
            let port = field(port_at).parse().map_err(|_| bad("port", port_at))?;
            Ok::<_, String>(SocketAddr::new(ip, port))
        };
        let word = field(columns.label);
        let truth = match word {
            "" => return Err("no label".to_owned()),
            "skype" => Truth::Skype,
            "unsure" | "skype-no-payload" => Truth::Unscored,
            "teams" => Truth::Teams,
            "other" => Truth::Other,
            _ => {
                self.unknown.entry(word.to_owned()).or_insert(line);
                Truth::Other
            }
        };
        let ground = columns.ground.map_or("", field).to_owned();
        let ends = Ends::new(field(columns.proto), end(columns.src)?, end(columns.dest)?);
        let capture = field(columns.capture).to_owned();
        let of_capture = self.captures.entry(capture).or_default();
        of_capture.insert(ends, Label { truth, ground });
        Ok(())
    }

    /// The labels of a capture, by its file's name; `None` if not one line names it.
    pub(super) fn of(&self, capture: &str) -> Option<&OfCapture> {
        self.captures.get(capture)
    }

    /// The captures that are named.
    pub(super) fn captures(&self) -> impl Iterator<Item = &str> {
        self.captures.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "capture\tproto\tsrc_ip\tsrc_port\tdest_ip\tdest_port\tlabel\tground\n";

    fn parse(lines: &str) -> Result<Labels, LabelError> {
        Labels::parse(&format!("{HEADER}{lines}"))
    }

    fn message(lines: &str) -> String {
        parse(lines).expect_err("it is wrong").to_string()
    }

    #[test]
    fn a_line_is_found_from_either_end() {
        let labels = parse("a.pcap\tUDP\t10.0.0.1\t5\t192.0.2.1\t6\tskype\tname\n").expect("fine");
        let (one, other) = ("192.0.2.1:6".parse(), "10.0.0.1:5".parse());
        let ends = Ends::new("UDP", one.expect("an end"), other.expect("an end"));
        let label = &labels.of("a.pcap").expect("named")[&ends];
        assert_eq!((label.truth, label.ground.as_str()), (Truth::Skype, "name"));
        assert!(labels.of("b.pcap").is_none());
    }

    #[test]
    fn a_missing_column_is_named() {
        let error = Labels::parse("capture\tproto\tsrc_ip\n").expect_err("columns lack");
        assert!(
            error
                .to_string()
                .starts_with("line 1: no column `src_port`")
        );
        assert!(Labels::parse("").is_err());
    }

    #[test]
    fn a_field_that_cannot_be_read_is_named_with_its_line() {
        let good = "a\tTCP\t10.0.0.1\t5\t192.0.2.1\t6\tother\t-\n";
        let address = message(&format!(
            "{good}\na\tTCP\t10.0.0\t5\t192.0.2.1\t6\tother\t-\n"
        ));
        assert_eq!(address, "line 4: `10.0.0` is no address");
        let port = message("a\tTCP\t10.0.0.1\t5\t192.0.2.1\t66000\tother\t-\n");
        assert_eq!(port, "line 2: `66000` is no port");
        assert_eq!(message("a\tTCP\t10.0.0.1\t5\t::1\t6\n"), "line 2: no label");
    }

    #[test]
    fn labels_nobody_knows_count_as_other_and_are_told() {
        let labels = parse("a\tTCP\t10.0.0.1\t5\t::1\t6\tskpye\t-\n").expect("fine");
        let truths = labels.of("a").expect("named").values();
        assert!(truths.map(|label| label.truth).eq([Truth::Other]));
        assert_eq!(labels.unknown.get("skpye"), Some(&2));
    }
}
