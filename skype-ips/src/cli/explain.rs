//! `skype-ips explain`: what a host or a flow is, why, and what the policies say of it.

use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

use super::Failure;
use super::ask::{Output, items, number, word};
use super::hosts::{budget, done, evidence};
use crate::detect::path::MediaPath;

/// Explain a host or a flow: what it is, why, which policy key decides, and the state of its budgets
#[derive(clap::Args, Debug)]
pub struct Args {
    /// A host's address; or a flow: tcp or udp, and its two ends, such as 10.0.0.1:13021
    #[arg(value_name = "HOST | PROTO END END", num_args = 1..=3, required = true)]
    what: Vec<String>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    instance: super::Instance,
}

/// Asks the daemon.
///
/// # Errors
/// Status 2 if it is neither a host nor a flow, 1 if no daemon answers or if nothing is known of it.
pub fn run(args: &Args) -> Result<(), Failure> {
    let query = query(&args.what).map_err(Failure::usage)?;
    let answer = args.instance.get(&format!("/v1/explain?{query}"))?;
    args.output
        .print(&answer, |answer| match answer.get("host") {
            Some(_) => host(answer),
            None => flow(answer),
        })
}

fn query(what: &[String]) -> Result<String, String> {
    let end = |text: &String| -> Result<String, String> {
        let end: SocketAddr = text.parse().map_err(|_| {
            format!("{text:?} is no end of a flow: write ADDRESS:PORT, or [ADDRESS]:PORT for IPv6")
        })?;
        Ok(end.to_string())
    };
    match what {
        [host] => {
            let host: IpAddr = host.parse().map_err(|_| {
                format!("{host:?} is no address; a flow is written as: udp 10.0.0.1:13021 192.0.2.1:40000")
            })?;
            Ok(format!("host={host}"))
        }
        [proto, a, b] if ["tcp", "udp"].contains(&proto.to_ascii_lowercase().as_str()) => {
            Ok(format!("proto={proto}&a={}&b={}", end(a)?, end(b)?))
        }
        _ => Err("write a host's address, or tcp or udp and the two ends of a flow".to_owned()),
    }
}

fn host(answer: &Value) -> String {
    let mut text = String::new();
    for known in items(&answer["known"]) {
        for role in items(&known["roles"]) {
            text += &format!("{} since {}\n", word(&role["role"]), word(&role["since"]));
            for why in items(&role["evidence"]).map(evidence) {
                text += &format!("  {why}\n");
            }
        }
        for endpoint in items(&known["endpoints"]) {
            text += &format!(
                "UDP port {} is Skype's ({})\n",
                number(&endpoint["port"]),
                word(&endpoint["confidence"])
            );
        }
        for port in items(&known["listening"]) {
            text += &format!("Skype listens on TCP port {}\n", number(&port["port"]));
        }
        text += &items(&known["flows"]).map(calls).collect::<String>();
        for bucket in items(&known["budgets"]) {
            text += &format!("budget {}\n", budget(bucket));
        }
    }
    if text.is_empty() {
        text += "nothing is known of this host\n";
    }
    text + &exempted(answer) + &word(&answer["in_words"]) + "\n"
}

/// How calls and files of a kind came about, where that is known of any.
fn calls(flows: &Value) -> String {
    let paths = flows["paths"].as_object().into_iter().flatten();
    let paths: Vec<_> = paths
        .map(|(path, count)| format!("{} {path}", number(count)))
        .collect();
    if paths.is_empty() {
        return String::new();
    }
    let (class, count) = (word(&flows["class"]), number(&flows["count"]));
    format!("{class}, {count} flows: {}\n", paths.join(", "))
}

fn exempted(answer: &Value) -> String {
    match answer["exempted"]["until"].as_str() {
        Some(until) => format!("exempt until {until}: no policy is for it\n"),
        None => String::new(),
    }
}

fn flow(answer: &Value) -> String {
    let mut text = format!(
        "{} {} -> {}\n",
        word(&answer["proto"]),
        word(&answer["inside"]),
        word(&answer["outside"])
    );
    let verdict = &answer["verdict"];
    text += &match verdict["is"].as_str() {
        Some("skype") => format!(
            "Skype: {} {}, {}, known of the {}\n",
            word(&verdict["role"]),
            word(&verdict["class"]),
            word(&verdict["confidence"]),
            word(&verdict["scope"])
        ),
        Some("ambiguous") => "Skype's or Teams', which nothing tells\n".to_owned(),
        Some("other") => "not Skype\n".to_owned(),
        _ => "undecided\n".to_owned(),
    };
    let path = word(&answer["known"]["path"]);
    if let Some(known) = MediaPath::ALL.iter().find(|known| known.word() == path) {
        text += &format!("media {path}: {}\n", known.meaning());
    }
    text += &exempted(answer);
    if answer["policy"].is_string() {
        text += &format!("policy {}: {}\n", word(&answer["policy"]), done(answer));
    }
    for rule in items(&answer["said_by"]) {
        for said in items(&rule["said_by"]) {
            let place = &said["place"];
            text += &format!(
                "  {} says {} ({}:{})\n",
                word(&said["key"]),
                word(&rule["action"]),
                word(&place["file"]),
                number(&place["line"])
            );
        }
    }
    for bucket in items(&answer["budgets"]) {
        text += &format!("budget {}\n", budget(bucket));
    }
    let gate = &answer["gate"];
    if gate.is_object() {
        text += &format!(
            "{}/{} packets, {}/{} bytes out/in, last {}\n",
            number(&gate["packets"][0]),
            number(&gate["packets"][1]),
            number(&gate["bytes"][0]),
            number(&gate["bytes"][1]),
            word(&gate["seen"])
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_a_flow_are_told_from_nonsense() {
        let ask = |words: &[&str]| {
            query(
                &words
                    .iter()
                    .map(|one| (*one).to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(ask(&["10.0.0.1"]), Ok("host=10.0.0.1".to_owned()));
        assert_eq!(
            ask(&["udp", "10.0.0.1:1", "[2001:db8::1]:2"]),
            Ok("proto=udp&a=10.0.0.1:1&b=[2001:db8::1]:2".to_owned())
        );
        for wrong in [
            &["10.0.0.1:1"][..],
            &["udp", "10.0.0.1:1"],
            &["icmp", "10.0.0.1:1", "10.0.0.2:2"],
            &["udp", "10.0.0.1", "10.0.0.2:2"],
        ] {
            assert!(ask(wrong).is_err(), "{wrong:?}");
        }
    }
}
