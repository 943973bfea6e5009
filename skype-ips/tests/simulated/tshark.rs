//! What another dissector makes of the scenarios' packets.

use std::collections::{BTreeMap, HashSet};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use skype_ips::simulator::labels::Labels;
use skype_ips::simulator::net::Protocol;
use skype_ips::simulator::record::record;
use skype_ips::simulator::scenario;
use skype_ips::simulator::speech::udp::{self, Parsed};

use crate::played::complaints;

fn tshark() -> Option<()> {
    let found = Command::new("tshark").arg("--version").output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(());
    }
    println!("SKIPPED: tshark is not installed");
    None
}

/// The fields of the packets that a filter lets through.
fn read(path: &Path, more: &[&str], filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
    let mut command = Command::new("tshark");
    command.arg("-n").args(more).arg("-r").arg(path);
    command.args(["-Y", filter, "-T", "fields"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().expect("tshark starts");
    assert!(
        output.status.success(),
        "{filter}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .map(|line| line.split('\t').map(str::to_owned).collect())
        .collect()
}

/// Checksums are validated.
const STRICT: [&str; 8] = [
    "-o",
    "tcp.reassemble_out_of_order:TRUE",
    "-o",
    "ip.check_checksum:TRUE",
    "-o",
    "udp.check_checksum:TRUE",
    "-o",
    "tcp.check_checksum:TRUE",
];

/// What the parties speak, as tshark calls it. Where it names anything else, its heuristics have
/// taken encrypted bytes for something that they aren't.
const SPOKEN: [&str; 16] = [
    "ip",
    "udp",
    "tcp",
    "dns",
    "http",
    "tls",
    "ssh",
    "stun",
    "dtls",
    "rtp",
    "quic",
    "bt-dht",
    "bt-utp",
    "bittorrent",
    "quake3",
    "data",
];

#[test]
fn tshark_reads_every_packet_and_knows_what_was_meant() {
    if tshark().is_none() {
        return;
    }
    let complaints = complaints(|scenario, seed| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("made.pcapng");
        let mut built = scenario::build(scenario, seed);
        let schedule = std::mem::take(&mut built.schedule);
        let until = built.until;
        let recorded =
            record(&mut built.world, schedule, until, &path, &mut |_| true).expect("written");
        let mut complaints = malformed(&path);
        complaints.extend(meant(&path));
        complaints.extend(headers(&path, &recorded.labels));
        complaints
    });
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Packets that tshark can't make sense of, but for two kinds. The login's empty records are
/// malformed in captures of the real Skype too (nDPI's skype.pcap, packet 1363). Of SSH it takes
/// the end of a long packet, alone in a short segment, for a packet.
fn malformed(path: &Path) -> Vec<String> {
    let wrong = "((_ws.malformed or _ws.short) \
                 and not tcp.payload == 16:03:01:00:00 and not tcp.payload == 17:03:01:00:00 \
                 and not (ssh and tcp.len < 20)) or ip.checksum.status == 0 \
                 or udp.checksum.status == 0 or tcp.checksum.status == 0";
    read(path, &STRICT, wrong, &["frame.number", "frame.protocols"])
        .into_iter()
        .filter(|fields| {
            let mut layers = fields[1].split(':').skip(2);
            layers.all(|layer| SPOKEN.contains(&layer))
        })
        .take(20)
        .map(|fields| format!("malformed: {}", fields.join(" ")))
        .collect()
}

/// What was meant, by the comment on each conversation's first packet, and what it is for tshark.
fn meant(path: &Path) -> Vec<String> {
    let mut known: BTreeMap<[String; 2], u32> = BTreeMap::new();
    for fields in read(
        path,
        &[],
        "udp and frame.comment",
        &["frame.comment", "_ws.col.Protocol"],
    ) {
        let [meant, protocol] = fields.try_into().expect("two fields");
        *known.entry([meant, protocol]).or_default() += 1;
    }
    let mut complaints = Vec::new();
    for ([meant, protocol], count) in known {
        for (expected, name) in [
            ("other: DNS", "DNS"),
            ("other: STUN", "STUN"),
            ("other: QUIC", "QUIC"),
        ] {
            if meant == expected && protocol != name {
                complaints.push(format!("{count} of {meant} are {protocol}"));
            }
        }
    }
    let texts = |filter, field| read(path, &[], filter, &[field]).into_iter().flatten();
    for uri in texts("http.host == \"ui.skype.com\"", "http.request.uri") {
        if !(uri.contains("/ui/") && uri.contains("getlatestversion?ver=")) {
            complaints.push(format!("a version check asks for {uri}"));
        }
    }
    let hello = "tcp.payload[0:4] == 80:46:01:03 and not tcp.analysis.retransmission";
    for info in texts(hello, "_ws.col.Info") {
        if !info.contains("Client Hello") {
            complaints.push(format!("a fake hello is {info}"));
        }
    }
    complaints
}

/// Fields of Skype's own dissector, which is off by default, against what was sent.
fn headers(path: &Path, labels: &Labels) -> Vec<String> {
    const FIELDS: [&str; 10] = [
        "ip.src",
        "udp.srcport",
        "ip.dst",
        "udp.dstport",
        "udp.payload",
        "skype.som.id",
        "skype.payload.iv",
        "skype.payload.crc",
        "skype.natinfo.srcip",
        "skype.natrequest.srcip",
    ];
    let skype = labels
        .conversations()
        .iter()
        .filter(|label| label.protocol == Protocol::Udp && label.ground.skype);
    let ends: HashSet<[String; 4]> = skype
        .flat_map(|label| [(label.client, label.server), (label.server, label.client)])
        .map(|(from, to)| {
            [
                from.ip().to_string(),
                from.port().to_string(),
                to.ip().to_string(),
                to.port().to_string(),
            ]
        })
        .collect();
    let mut complaints = Vec::new();
    let mut compared = 0;
    for fields in read(path, &["--enable-heuristic", "skype_udp"], "skype", &FIELDS) {
        let of = |name: &str| -> &str {
            let at = FIELDS.iter().position(|field| *field == name);
            &fields[at.expect("one of the fields")]
        };
        if !ends.contains(&fields[..4]) {
            continue;
        }
        let payload = bytes(of("udp.payload"));
        let word = |name: &str| {
            let text = of(name).trim_start_matches("0x");
            u32::from_str_radix(text, 16).unwrap_or(u32::MAX)
        };
        let address = |name: &str| of(name).parse::<Ipv4Addr>().ok();
        let id = word("skype.som.id");
        let agrees = match udp::parse(&payload) {
            Some(Parsed::Message {
                id: sent,
                iv,
                check,
                ..
            }) => {
                id == u32::from(sent)
                    && word("skype.payload.iv") == iv
                    && word("skype.payload.crc") == check
            }
            Some(Parsed::Nack {
                id: sent, named, ..
            }) => id == u32::from(sent) && address("skype.natrequest.srcip") == Some(named),
            Some(Parsed::Ack { id: sent, named }) => {
                id == u32::from(sent) && address("skype.natinfo.srcip") == Some(named)
            }
            Some(Parsed::Resend { id: sent, .. }) => id == u32::from(sent),
            // The request's ID, which tshark takes for nothing, pushes the rest on.
            Some(Parsed::Fragment { part, .. }) => id == u32::from(part.id),
            Some(Parsed::Data { id: sent, .. }) => id == u32::from(sent),
            None => true,
        };
        compared += 1;
        if !agrees {
            complaints.push(format!("tshark reads otherwise: {fields:?}"));
        }
    }
    if compared == 0 && !ends.is_empty() {
        complaints.push("tshark knows none of Skype's datagrams".to_owned());
    }
    complaints.truncate(10);
    complaints
}

fn bytes(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hexadecimal"))
        .collect()
}
