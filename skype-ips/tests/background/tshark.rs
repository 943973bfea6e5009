//! What another dissector makes of it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use skype_ips::simulator::party::background::{Kind, LookAlike};
use skype_ips::simulator::record::record;

use crate::world::{Ready, Subject, world};

fn tshark() -> Option<()> {
    let found = Command::new("tshark").arg("--version").output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(());
    }
    println!("SKIPPED: tshark is not installed");
    None
}

/// Lines of these fields of the packets that the filter lets through.
fn read(path: &Path, filter: &str, fields: &[&str]) -> Vec<String> {
    let mut command = Command::new("tshark");
    // Heuristics that are off by default, and not told by a port either.
    for heuristic in ["bt_dht_udp", "bt_utp_udp", "rtp_udp"] {
        command.args(["--enable-heuristic", heuristic]);
    }
    command
        .args(["-n", "-2", "-o", "tcp.check_checksum:TRUE"])
        .args(["-o", "udp.check_checksum:TRUE"])
        .arg("-r")
        .arg(path)
        .args(["-Y", filter, "-T", "fields"]);
    for field in fields {
        command.args(["-e", field]);
    }
    let output = command.output().expect("tshark starts");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{filter}: {complaint}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(str::to_owned).collect()
}

/// What must be found in a subject's packets.
fn expected(subject: Subject) -> &'static [&'static str] {
    match subject {
        Subject::Client(kind) => match kind {
            Kind::Dns => &["dns.a"],
            Kind::Http => &["http.request.uri", "http.response.code == 200"],
            Kind::Https => &[
                "tls.handshake.extensions_server_name contains \"www.example\"",
                "tls.app_data",
            ],
            Kind::Ssh => &["ssh.protocol", "ssh.kex_algorithms"],
            Kind::BitTorrent => &["bt-dht", "bt-utp.type == 4", "bittorrent.msg.type == 7"],
            Kind::WebRtc => &[
                "stun.att.priority && stun.att.crc32.status == 1",
                "dtls.handshake.type == 11",
                "rtp.p_type == 111",
                "rtcp.pt == 200",
            ],
            Kind::Quic => &[
                "tls.handshake.extensions_server_name contains \"www.example\"",
                "tls.handshake.type == 2",
                "quic.short",
            ],
            Kind::Game => &["quake3.direction"],
            Kind::Turn => &["stun.att.lifetime", "stun.channel"],
        },
        Subject::LookAlike(which) => match which {
            LookAlike::ConferenceHost | LookAlike::TwoCalls => &["rtp.p_type == 111"],
            LookAlike::TurnServer => &["stun.channel", "dtls.handshake.type == 11"],
            LookAlike::SshJumpHost => &["ssh.protocol"],
            LookAlike::ReverseProxy => &["http.x_forwarded_for"],
            LookAlike::Seeder => &["bt-dht", "bittorrent.msg.type == 7"],
        },
    }
}

#[test]
fn tshark_reads_it_as_meant() {
    if tshark().is_none() {
        return;
    }
    let mut complaints = BTreeSet::new();
    for subject in Subject::all() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("made.pcapng");
        let Ready {
            mut world,
            schedule,
            until,
        } = world(subject, 1);
        record(&mut world, schedule, until, &path, &mut |_| true).expect("written");
        let wrong = "_ws.malformed or _ws.short or udp.checksum.status == 0 \
                     or tcp.checksum.status == 0";
        let fields = ["frame.protocols", "_ws.col.Info"];
        for line in read(&path, wrong, &fields) {
            complaints.insert(format!("{subject:?}: malformed: {line}"));
        }
        for filter in expected(subject) {
            if read(&path, filter, &["frame.number"]).is_empty() {
                complaints.insert(format!("{subject:?}: no {filter}"));
            }
        }
    }
    let complaints: Vec<_> = complaints.into_iter().collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
