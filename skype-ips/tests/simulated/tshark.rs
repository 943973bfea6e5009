//! What another dissector makes of the scenarios' packets.

use std::collections::BTreeMap;
use std::process::Command;

use skype_ips::simulator::record::record;
use skype_ips::simulator::scenario;

use crate::played::for_each;

fn tshark() -> Option<()> {
    let found = Command::new("tshark").arg("--version").output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(());
    }
    println!("SKIPPED: tshark is not installed");
    None
}

#[test]
fn tshark_reads_every_packet_and_knows_what_was_meant() {
    if tshark().is_none() {
        return;
    }
    let complaints = for_each(|scenario, seed| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("made.pcapng");
        let mut built = scenario::build(scenario, seed);
        let schedule = std::mem::take(&mut built.schedule);
        let until = built.until;
        record(&mut built.world, schedule, until, &path, &mut |_| true).expect("written");
        let read = |filter: &str, fields: &[&str]| -> Vec<String> {
            let mut command = Command::new("tshark");
            // Checksums are validated; Skype's own dissector is off by default.
            command
                .args([
                    "-n",
                    "-o",
                    "udp.check_checksum:TRUE",
                    "-o",
                    "tcp.check_checksum:TRUE",
                ])
                .args([
                    "-o",
                    "ip.check_checksum:TRUE",
                    "--enable-heuristic",
                    "skype_udp",
                ])
                .arg("-r")
                .arg(&path)
                .args(["-Y", filter, "-T", "fields"]);
            for field in fields {
                command.args(["-e", field]);
            }
            let output = command.output().expect("tshark starts");
            assert!(
                output.status.success(),
                "{filter}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            text.lines().map(str::to_owned).collect()
        };
        let mut complaints = Vec::new();
        let wrong = "_ws.malformed or _ws.short or ip.checksum.status == 0 \
                     or udp.checksum.status == 0 or tcp.checksum.status == 0";
        let fields = ["frame.number", "frame.protocols", "frame.comment"];
        for line in read(wrong, &fields).into_iter().take(20) {
            complaints.push(format!("malformed: {line}"));
        }
        // What was meant, by the comment on a conversation's first packet, and what it is for
        // the dissector.
        let mut known: BTreeMap<String, BTreeMap<String, u32>> = BTreeMap::new();
        for line in read("frame.comment", &["frame.comment", "_ws.col.Protocol"]) {
            let (meant, protocol) = line.split_once('\t').expect("two fields");
            let protocols = known.entry(meant.to_owned()).or_default();
            *protocols.entry(protocol.to_owned()).or_default() += 1;
        }
        for (meant, expected) in [("other: DNS", "DNS"), ("other: STUN", "STUN")] {
            let Some(protocols) = known.get(meant) else {
                continue;
            };
            for (protocol, count) in protocols {
                if protocol != expected {
                    complaints.push(format!("{count} of {meant} are {protocol}"));
                }
            }
        }
        complaints
    });
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
