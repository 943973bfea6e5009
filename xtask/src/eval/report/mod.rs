//! The evaluation for a person to read.

mod captures;
mod figures;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use self::captures::per_capture;
use self::figures::{decisions, user_space};
use super::layout::{columns, percent};
use super::misses::{accusations, misses};
use super::score::{Found, Tally};
use super::{Evaluation, File};

/// The whole of it.
pub(super) fn text(evaluation: &Evaluation) -> String {
    let files = &evaluation.files;
    let ours = evaluation.ours();
    let packets: u64 = files.iter().map(|file| file.packets).sum();
    let sections = [
        format!(
            "{} captures, {packets} packets, {} conversations\n",
            files.len(),
            ours.flows
        ),
        in_all(evaluation, &ours),
        words("By confidence", &ours.by_confidence),
        words("By class", &ours.by_class),
        decisions(files),
        user_space(evaluation),
        missed(files),
        accused(files),
        unlabelled(files),
        ndpi_words(evaluation),
        per_capture(evaluation),
    ];
    let filled = sections.into_iter().filter(|section| !section.is_empty());
    filled.collect::<Vec<_>>().join("\n")
}

fn in_all(evaluation: &Evaluation, ours: &Tally) -> String {
    let row = |name: String, tally: &Tally, is_ours: bool| {
        let only = |count: u64| {
            if is_ours {
                count.to_string()
            } else {
                "-".into()
            }
        };
        let lumped = |count: u64| {
            if is_ours {
                "-".into()
            } else {
                count.to_string()
            }
        };
        vec![
            name,
            tally.skype.to_string(),
            tally.right.to_string(),
            percent(tally.right, tally.skype),
            only(tally.right_live),
            only(tally.right_retrospective),
            lumped(tally.right_lumped),
            tally.missed.to_string(),
            tally.other.to_string(),
            tally.accused.to_string(),
            percent(tally.accused, tally.other),
            lumped(tally.accused_lumped),
            tally.accused_teams.to_string(),
        ]
    };
    let mut rows = vec![row("skype-ips".to_owned(), ours, true)];
    for (variant, tally) in evaluation.ndpi_tallies() {
        rows.push(match tally {
            Some(tally) => row(variant.name.to_owned(), &tally, false),
            None => vec![format!("{}: not installed", variant.name)],
        });
    }
    let header = [
        "In all", "Skype", "right", "", "live", "later", "lumped", "missed", "other", "accused",
        "", "lumped", "Teams",
    ];
    columns(&header, &rows) + &legend(evaluation, ours)
}

fn legend(evaluation: &Evaluation, ours: &Tally) -> String {
    let mut text =
        "live: before the conversation's last packet; later: known after it; lumped: of \
                    those\nright or accused, called by a word for Skype and Teams together; \
                    Teams: of those accused\n"
            .to_owned();
    for (variant, tally) in evaluation.ndpi_tallies() {
        let (Some(version), Some(tally)) = (&evaluation.ndpi_version, tally) else {
            text += "ndpiReader is not installed (on Debian: apt-get install libndpi-bin)\n";
            break;
        };
        let _ = write!(
            text,
            "{}: ndpiReader {version}, {}",
            variant.name, variant.what
        );
        if tally.unmatched > 0 {
            let count = tally.unmatched;
            let _ = write!(text, "; {count} more called Skype that replay doesn't know");
        }
        text += "\n";
    }
    let ambiguous = ours.ambiguous;
    let _ = writeln!(
        text,
        "ambiguous (not found, left to a policy): {} labelled Skype, {} Teams, {} other, {} not \
         scored\nnot scored, as their labels say: {} conversations",
        ambiguous.skype, ambiguous.teams, ambiguous.other, ambiguous.unscored, ours.unscored
    );
    text
}

fn words(title: &str, found: &BTreeMap<String, Found>) -> String {
    if found.is_empty() {
        return String::new();
    }
    let row = |(word, found): (&String, &Found)| {
        vec![
            word.clone(),
            found.right.to_string(),
            found.accused.to_string(),
        ]
    };
    let rows: Vec<_> = found.iter().map(row).collect();
    columns(&[title, "right", "accused"], &rows)
}

fn missed(files: &[File]) -> String {
    let misses = misses(files);
    if misses.is_empty() {
        return "Missed: none\n".to_owned();
    }
    let mut text = format!("Missed: {}\n", misses.len());
    for miss in misses {
        let head = |head: String| {
            if head.is_empty() {
                "-".to_owned()
            } else {
                head
            }
        };
        let _ = writeln!(
            text,
            "{}: {}\n  payload {} bytes, {} back; begins {}, {} back\n  labelled by: {}\n  {}",
            miss.capture,
            miss.flow,
            miss.payload_bytes_toserver,
            miss.payload_bytes_toclient,
            head(miss.head_toserver),
            head(miss.head_toclient),
            miss.ground,
            miss.reason
        );
    }
    text
}

fn accused(files: &[File]) -> String {
    let accused = accusations(files);
    if accused.is_empty() {
        return "Accused: none\n".to_owned();
    }
    let mut text = format!("Accused: {}\n", accused.len());
    for [capture, flow, confidence, class] in accused {
        let _ = writeln!(text, "{capture}: {flow}: {confidence}, {class}");
    }
    text
}

fn unlabelled(files: &[File]) -> String {
    let mut text = String::new();
    for file in files {
        let tally = Tally::ours(&file.conversations);
        if tally.unlabelled > 0 {
            let _ = writeln!(
                text,
                "without a label: {}/{}: {} of {} conversations called Skype",
                file.capture.folder, file.capture.name, tally.unlabelled_found, tally.unlabelled
            );
        }
    }
    text
}

fn ndpi_words(evaluation: &Evaluation) -> String {
    let tallies = evaluation.ndpi_tallies();
    let tables = tallies.filter_map(|(variant, tally)| {
        let title = format!("{}'s words", variant.name);
        Some(words(&title, &tally?.by_protocol))
    });
    tables.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::corpus::Conversation;
    use crate::eval::labels::Truth;
    use crate::eval::replay::Flow;

    #[test]
    fn what_was_not_measured_is_said() {
        let flow = Flow::plain("10.0.0.1:5", "192.0.2.1:6");
        let conversation = Conversation {
            ends: flow.ends(),
            truth: Truth::Unlabelled,
            ground: String::new(),
            flow: Some(flow),
        };
        let evaluation = Evaluation {
            files: vec![File::of("mine", 3, vec![conversation])],
            ndpi_version: None,
            kernel: Err("only root".to_owned()),
        };
        let text = text(&evaluation);
        for expected in [
            "1 captures, 3 packets, 1 conversations",
            "ndpi: not installed",
            "apt-get install libndpi-bin",
            "not counted by the kernel program: only root",
            "mine/made-up.pcap: 0 of 1 conversations called Skype",
            "Missed: none",
            "Accused: none",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
        let last = text.lines().last().expect("a line for the capture");
        let cells: Vec<_> = last.split_whitespace().collect();
        assert_eq!(cells[..4], ["mine/made-up.pcap", "1", "-", "-"]);
    }
}
