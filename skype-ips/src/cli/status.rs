//! `skype-ips status`: what is really in force.

use std::fmt::Write as _;

use serde_json::Value;

use super::Failure;
use super::ask::{Output, items, number, problem, word};

/// Show what is really in force, read back from the kernel
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    instance: super::Instance,
    #[command(flatten)]
    output: Output,
}

/// Asks the daemon.
///
/// # Errors
/// Status 1 if none answers.
pub fn run(args: &Args) -> Result<(), Failure> {
    let status = args.instance.get("/v1/status")?;
    args.output.print(&status, text)
}

fn text(status: &Value) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: String| {
        writeln!(text, "{label:<10} {value}").expect("writing to a string never fails");
    };
    line("instance", word(&status["instance"]));
    line("mode", word(&status["mode"]));
    if status["bypass"]["on"] == true {
        let until = status["bypass"]["until"]
            .as_str()
            .map_or("until told otherwise".to_owned(), |until| {
                format!("until {until}")
            });
        line("BYPASS", format!("on, {until}: everything passes"));
    }
    let policies: Vec<String> = items(&status["policy"]["policies"]).map(word).collect();
    let version: String = word(&status["policy"]["version"])
        .chars()
        .take(12)
        .collect();
    line(
        "policies",
        format!("{} (version {version})", policies.join(", ")),
    );
    if let Some(why) = status["policy"]["not_of_the_files_because"].as_str() {
        line("OLD POLICY", format!("the files are not in force: {why}"));
    }
    for window in items(&status["policy"]["open_windows"]) {
        line(
            "window",
            format!(
                "{}: window {} is open until {}",
                word(&window["policy"]),
                number(&window["window"]),
                word(&window["until"])
            ),
        );
    }
    for text in changes(status) {
        line("", text);
    }
    for hook in items(&status["hooks"]) {
        let attached: Vec<String> = items(&hook["attached"]).map(word).collect();
        line(
            "interface",
            format!(
                "{} ({}): {}; attached: {}",
                word(&hook["interface"]),
                word(&hook["side"]),
                word(&hook["hook"]),
                if attached.is_empty() {
                    "nothing".to_owned()
                } else {
                    attached.join(", ")
                }
            ),
        );
    }
    let firewall = &status["firewall"];
    line(
        "firewall",
        format!(
            "{}, {} rules, connection tracking {}",
            word(&firewall["backend"]),
            items(&firewall["rules"]).count(),
            if firewall["conntrack"] == true {
                "used"
            } else {
                "not used"
            }
        ),
    );
    for queue in items(&status["queues"]) {
        let count = |name: &str| queue[name].as_u64().unwrap_or(0);
        line(
            "queue",
            format!(
                "{}: {} received, {} accepted, {} dropped; {} waiting; lost in the kernel {} full, {} not handed over",
                count("number"),
                count("received"),
                count("accepted"),
                count("dropped"),
                count("waiting"),
                count("kernel_dropped"),
                count("user_dropped")
            ),
        );
    }
    if let Some(hooks) = status["kernel"].as_object() {
        for (hook, counters) in hooks {
            let counts: Vec<String> = counters
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, count)| format!("{name} {count}"))
                .collect();
            line("kernel", format!("{hook}: {}", counts.join(", ")));
        }
    }
    if let Some(tables) = status["tables"].as_object() {
        let fill = tables.iter().map(|(name, fill)| {
            format!(
                "{name} {} of {}",
                number(&fill["entries"]),
                number(&fill["room"])
            )
        });
        line("tables", fill.collect::<Vec<_>>().join(", "));
    }
    line("decisions", status["decisions"].to_string());
    let failures: Vec<String> = status["failures"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    line("failures", failures.join(", "));
    text
}

/// The last reload, if it was refused; one that waits or was taken back; exemptions.
fn changes(status: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let reload = &status["reload"];
    if reload["outcome"] == "refused" {
        lines.push(format!(
            "reload refused at {}: {}",
            word(&reload["at"]),
            word(&reload["error"])
        ));
        lines.extend(items(&reload["problems"]).map(problem));
    }
    let confirm = &status["confirm"];
    match confirm["state"].as_str() {
        Some("pending") => lines.push(format!(
            "goes back at {} unless confirmed, or when more than {} packets are lost ({} since the reload)",
            word(&confirm["until"]),
            number(&confirm["max_lost"]),
            number(&confirm["lost"])
        )),
        Some("taken-back") => lines.push(format!(
            "a reload was taken back at {}: {}",
            word(&confirm["at"]),
            word(&confirm["why"])
        )),
        _ => {}
    }
    for one in items(&status["exemptions"]) {
        lines.push(format!(
            "{} is exempt until {}",
            word(&one["host"]),
            word(&one["until"])
        ));
    }
    lines
}
