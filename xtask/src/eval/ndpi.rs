//! The same captures through nDPI's `ndpiReader`.

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::ends::Ends;
use crate::{machine, process};

/// nDPI on this machine.
#[derive(Debug)]
pub(super) struct Ndpi {
    program: PathBuf,
    pub(super) version: String,
    /// Where its answers are put.
    answer: PathBuf,
}

/// A way to run it.
#[derive(Debug)]
pub(super) struct Variant {
    /// What it is called in tables and records.
    pub(super) name: &'static str,
    pub(super) what: &'static str,
    arguments: &'static [&'static str],
}

/// It guesses by port and address what it can't tell by content, unless told not to.
pub(super) const VARIANTS: [Variant; 2] = [
    Variant {
        name: "ndpi",
        what: "guesses by address and port included",
        arguments: &[],
    },
    Variant {
        name: "ndpi-d",
        what: "-d: by content only",
        arguments: &["-d"],
    },
];

/// What it says of a flow that it doesn't call something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// Its word for the protocol and application, such as `TLS.Skype_Teams`.
    pub(super) protocol: String,
    /// Only a word for Skype and Teams together.
    pub(super) lumped: bool,
}

impl Call {
    /// `None` if Skype is no part of it.
    fn read(protocol: &str) -> Option<Self> {
        let mut skype = protocol.split('.').filter(|part| part.contains("Skype"));
        let first = skype.next()?;
        let lumps = |part: &str| part.contains("Teams");
        Some(Self {
            protocol: protocol.to_owned(),
            lumped: lumps(first) && skype.all(lumps),
        })
    }
}

/// The flows of a capture that it calls Skype.
pub(super) type Calls = HashMap<Ends, Call>;

impl Ndpi {
    /// nDPI, if it is installed; `folder` is for its answers.
    pub(super) fn find(folder: &Path) -> Option<Self> {
        let program = machine::find("ndpiReader")?;
        let help = Command::new(&program).arg("-h").output().ok()?;
        let help = String::from_utf8_lossy(&help.stdout).into_owned();
        let version = help.split_whitespace().skip_while(|word| *word != "nDPI");
        let version = version.skip(1).find(|word| word.contains('.'));
        fs::create_dir_all(folder).ok()?;
        Some(Self {
            program,
            version: version.unwrap_or("of unknown version").to_owned(),
            answer: folder.join("ndpi.csv"),
        })
    }

    /// Runs it on a capture; `None` if it can't read that.
    pub(super) fn run(&self, variant: &Variant, capture: &Path) -> Option<Calls> {
        // An answer left from another capture would be taken for this one's.
        let _ = fs::remove_file(&self.answer);
        let mut command = Command::new(&self.program);
        command.args(variant.arguments).arg("-q").arg("-i");
        command.arg(capture).arg("-C").arg(&self.answer);
        let output = command.stdin(Stdio::null()).output();
        let ran = output.is_ok_and(|output| output.status.success() && !refuses(&output));
        let calls = fs::read(&self.answer).ok().filter(|_| ran);
        let calls = calls.and_then(|text| calls_in(&String::from_utf8_lossy(&text)));
        if calls.is_none() {
            eprintln!("nDPI can't read it: `{}`", process::shown(&command));
        }
        calls
    }
}

/// Whether it says that it can't read a file; its exit status doesn't.
fn refuses(output: &Output) -> bool {
    let refusal = b"could not open";
    let refuses = |text: &[u8]| text.windows(refusal.len()).any(|part| part == refusal);
    refuses(&output.stdout) || refuses(&output.stderr)
}

/// Reads its table, which has a line per flow. Later versions separate columns by bars.
fn calls_in(text: &str) -> Option<Calls> {
    let mut lines = text.lines();
    let header = lines.next()?;
    let separator = if header.contains('|') { '|' } else { ',' };
    let names: Vec<_> = header.split(separator).collect();
    let column = |name| names.iter().position(|field| *field == name);
    let (proto, protocol) = (column("protocol")?, column("ndpi_proto")?);
    let source = (column("src_ip")?, column("src_port")?);
    let destination = (column("dst_ip")?, column("dst_port")?);
    let mut calls = Calls::new();
    for line in lines {
        let fields: Vec<_> = line.split(separator).collect();
        let field = |at: usize| fields.get(at).copied().unwrap_or_default();
        let end = |(ip, port)| {
            let ip: IpAddr = field(ip).parse().ok()?;
            Some(SocketAddr::new(ip, field(port).parse().ok()?))
        };
        let proto = match field(proto) {
            "6" => "TCP",
            "17" => "UDP",
            _ => continue,
        };
        let (Some(source), Some(destination)) = (end(source), end(destination)) else {
            continue;
        };
        if let Some(call) = Call::read(field(protocol)) {
            let known = calls.entry(Ends::new(proto, source, destination));
            let known = known.or_insert_with(|| call.clone());
            if known.lumped && !call.lumped {
                *known = call;
            }
        }
    }
    Some(calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
#flow_id,protocol,first_seen,last_seen,duration,src_ip,src_port,dst_ip,dst_port,ndpi_proto_num,ndpi_proto,server_name_sni
1,17,1.0,2.0,1.0,192.168.1.34,13021,64.4.23.166,40022,125.38,Skype_Teams.SkypeCall,
2,6,1.0,2.0,1.0,192.168.1.34,50028,157.56.126.211,443,91.125,TLS.Skype_Teams,a,b
3,6,1.0,2.0,1.0,192.168.1.34,50029,17.0.0.1,443,91,TLS,
4,1,1.0,2.0,1.0,192.168.1.34,0,192.168.1.1,0,81,ICMP,
5,6,1.0,2.0,1.0,fe80::1::2,1,::1,2,125,Skype_Teams,
";

    fn check(text: &str) {
        let calls = calls_in(text).expect("a table");
        assert_eq!(calls.len(), 2);
        let ends = |proto, one: &str, other: &str| {
            let end = |text: &str| text.parse().expect("an end");
            Ends::new(proto, end(one), end(other))
        };
        let call = &calls[&ends("UDP", "64.4.23.166:40022", "192.168.1.34:13021")];
        assert!(!call.lumped, "{call:?}");
        let call = &calls[&ends("TCP", "192.168.1.34:50028", "157.56.126.211:443")];
        assert!(call.lumped, "{call:?}");
    }

    #[test]
    fn its_table_is_read_with_either_separator() {
        check(TABLE);
        check(&TABLE.replace(',', "|"));
        assert_eq!(calls_in("no,such,table\n"), None);
        assert_eq!(calls_in(""), None);
    }

    #[test]
    fn its_words_for_skype_and_teams_together_are_told_apart() {
        let lumped = |word| Call::read(word).map(|call| call.lumped);
        assert_eq!(lumped("STUN.Skype_TeamsCall"), Some(true));
        assert_eq!(lumped("DNS.Skype_Teams"), Some(true));
        assert_eq!(lumped("Skype_Teams.SkypeCall"), Some(false));
        assert_eq!(lumped("Skype"), Some(false));
        assert_eq!(lumped("TLS.Teams"), None);
    }
}
