//! What `skype-ips replay` says of a capture.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use super::ends::Ends;
use crate::process;

/// A conversation's record, as far as it is measured.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Flow {
    src_ip: IpAddr,
    src_port: u16,
    dest_ip: IpAddr,
    dest_port: u16,
    proto: String,
    pub(super) flow: Counters,
    pub(super) skype: Finding,
    #[serde(default)]
    pub(super) payload: Payload,
}

/// How much.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Counters {
    pkts_toserver: u64,
    pkts_toclient: u64,
    /// Packets that went to user space.
    #[serde(default)]
    pub(super) queued_pkts: u64,
}

impl Counters {
    /// Packets of both directions.
    pub(super) const fn packets(&self) -> u64 {
        self.pkts_toserver + self.pkts_toclient
    }
}

/// What it was found to be.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Finding {
    pub(super) detected: bool,
    /// Not detected, and only a policy can say what it is.
    #[serde(default)]
    pub(super) ambiguous: bool,
    pub(super) class: Option<String>,
    pub(super) confidence: Option<String>,
    pub(super) decided_at_packet: Option<u64>,
    #[serde(default)]
    pub(super) retrospective: bool,
    #[serde(default)]
    pub(super) passed_pkts: u64,
    #[serde(default)]
    pub(super) passed_bytes: u64,
    pub(super) passed_server_payloads: Option<u64>,
    pub(super) endpoint: Option<Endpoint>,
}

/// The inside endpoint whose proof decided it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Endpoint {
    pub(super) ip: IpAddr,
    pub(super) port: u16,
    /// Datagrams of type 2 that it had sent when it was proved.
    pub(super) sent: u64,
    /// The same that it had received.
    pub(super) received: u64,
}

/// How its payload begins.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Payload {
    pub(super) bytes_toserver: u64,
    pub(super) bytes_toclient: u64,
    pub(super) head_toserver: String,
    pub(super) head_toclient: String,
    /// TCP: whether its opening is in the capture.
    pub(super) opening_seen: Option<bool>,
}

impl Flow {
    /// Its protocol and ends.
    pub(super) fn ends(&self) -> Ends {
        Ends::new(&self.proto, self.source(), self.destination())
    }

    /// The end that sent the first packet.
    pub(super) const fn source(&self) -> SocketAddr {
        SocketAddr::new(self.src_ip, self.src_port)
    }

    /// The other end.
    pub(super) const fn destination(&self) -> SocketAddr {
        SocketAddr::new(self.dest_ip, self.dest_port)
    }

    /// The same over another protocol.
    #[cfg(test)]
    pub(super) fn over(self, proto: &str) -> Self {
        Self {
            proto: proto.to_owned(),
            ..self
        }
    }

    /// A TCP conversation of one packet in which nothing was found.
    #[cfg(test)]
    pub(super) fn plain(source: &str, destination: &str) -> Self {
        let end = |text: &str| text.parse::<SocketAddr>().expect("an end");
        let (source, destination) = (end(source), end(destination));
        Self {
            src_ip: source.ip(),
            src_port: source.port(),
            dest_ip: destination.ip(),
            dest_port: destination.port(),
            proto: "TCP".to_owned(),
            flow: Counters {
                pkts_toserver: 1,
                ..Counters::default()
            },
            skype: Finding::default(),
            payload: Payload::default(),
        }
    }
}

/// What replay says of a capture.
#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) flows: Vec<Flow>,
    /// Packets read, of whatever protocol.
    pub(super) packets: u64,
    /// What kept it from reading the capture to its end.
    pub(super) complaint: Option<String>,
}

/// Replays a capture with the program, which may change nothing: only judge.
pub(super) fn run(program: &Path, inside: &[String], capture: &Path) -> Result<Replayed> {
    let mut command = Command::new(program);
    command.args(["replay", "--json", "--payload-heads", "--mode", "monitor"]);
    for network in inside {
        command.args(["--inside", network]);
    }
    let output = command
        .arg("--")
        .arg(capture)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let text = String::from_utf8_lossy(&output.stdout);
    let complaint = match output.status.code() {
        Some(0) => None,
        // Status 1 with totals: the capture was read as far as it goes.
        Some(1) if !text.is_empty() => said.lines().next().map(str::to_owned),
        _ => bail!(
            "`{}` failed: {}\n{said}",
            process::shown(&command),
            output.status
        ),
    };
    let (flows, packets) = records(&text).context("what replay printed")?;
    Ok(Replayed {
        flows,
        packets,
        complaint,
    })
}

/// The flow records, and the number of packets in the last record.
fn records(text: &str) -> Result<(Vec<Flow>, u64)> {
    let mut flows = Vec::new();
    let mut packets = None;
    for line in text.lines() {
        let record: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        if record["event_type"] == "flow" {
            flows.push(serde_json::from_value(record).with_context(|| line.to_owned())?);
        } else if record["event_type"] == "stats" {
            packets = record["stats"]["packets"].as_u64();
        }
    }
    Ok((flows, packets.context("no record of the totals")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOW: &str = r#"{"event_type":"flow","src_ip":"192.168.1.34","src_port":13021,
        "dest_ip":"64.4.23.166","dest_port":40022,"proto":"UDP",
        "flow":{"pkts_toserver":1,"pkts_toclient":0,"queued_pkts":1},
        "skype":{"detected":true,"class":"signaling","confidence":"exact","decided_at_packet":null,
            "retrospective":true,"passed_pkts":1,"passed_bytes":62,
            "endpoint":{"ip":"192.168.1.34","port":13021,"sent":2,"received":0}}}"#;

    #[test]
    fn records_are_read_with_and_without_what_is_optional() {
        let flow = FLOW.replace('\n', "");
        let plain = r#"{"event_type":"flow","src_ip":"::1","src_port":1,"dest_ip":"::2",
            "dest_port":2,"proto":"TCP","flow":{"pkts_toserver":3,"pkts_toclient":4},
            "skype":{"detected":false,"ambiguous":true}}"#
            .replace('\n', "");
        let stats = r#"{"event_type":"stats","stats":{"packets":12}}"#;
        let text = format!("{flow}\n{plain}\n{stats}\n");
        let (flows, packets) = records(&text).expect("whole records");
        assert_eq!((flows.len(), packets), (2, 12));
        let endpoint = flows[0].skype.endpoint.as_ref().expect("there is one");
        assert_eq!((endpoint.sent, flows[0].skype.passed_bytes), (2, 62));
        assert!(flows[1].skype.ambiguous && !flows[1].skype.detected);
        assert_eq!(flows[1].flow.packets(), 7);
        assert!(records(&flow).is_err(), "the totals are missing");
    }
}
