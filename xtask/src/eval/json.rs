//! The evaluation for programs: a JSON object per line. `docs/accuracy.md` says what is in them.

use std::slice;

use serde_json::{Map, Value, json};

use super::Evaluation;
use super::figures::{Figures, queue_shares};
use super::misses::{accusations, misses};
use super::score::Tally;

/// All lines.
pub(super) fn lines(evaluation: &Evaluation) -> Vec<Value> {
    let mut lines = files(evaluation);
    lines.push(ours(evaluation));
    lines.extend(ndpi(evaluation));
    lines.extend(kernel(evaluation));
    let misses = misses(&evaluation.files);
    lines.extend(misses.iter().map(|miss| record("miss", json!(miss))));
    let accused = accusations(&evaluation.files).into_iter();
    lines.extend(accused.map(|[capture, flow, confidence, class]| {
        json!({"record": "accused", "capture": capture, "flow": flow,
            "confidence": confidence, "class": class})
    }));
    lines
}

fn files(evaluation: &Evaluation) -> Vec<Value> {
    let of_file = |file: &super::File| {
        let mut detectors = Map::new();
        detectors.insert(
            "skype-ips".to_owned(),
            json!(Tally::ours(&file.conversations)),
        );
        for (variant, calls) in super::ndpi::VARIANTS.iter().zip(&file.calls) {
            let tally = calls
                .as_ref()
                .map(|calls| Tally::ndpi(&file.conversations, calls));
            detectors.insert(variant.name.to_owned(), json!(tally));
        }
        let alone = slice::from_ref(file);
        json!({"record": "file", "capture": file.capture.name, "folder": file.capture.folder,
            "packets": file.packets, "complete": file.complete, "detectors": detectors,
            "figures": Figures::of(alone),
            "user_space": queue_shares(alone).into_values().next()})
    };
    evaluation.files.iter().map(of_file).collect()
}

fn ours(evaluation: &Evaluation) -> Value {
    let mut value = json!(evaluation.ours());
    value["name"] = "skype-ips".into();
    value["version"] = env!("CARGO_PKG_VERSION").into();
    value["figures"] = json!(Figures::of(&evaluation.files));
    value["user_space"] = json!(queue_shares(&evaluation.files));
    record("detector", value)
}

fn ndpi(evaluation: &Evaluation) -> Vec<Value> {
    let of_variant = |(variant, tally): (&super::ndpi::Variant, Option<Tally>)| {
        let mut value = tally.map_or(json!({}), |tally| json!(tally));
        value["name"] = variant.name.into();
        value["version"] = json!(evaluation.ndpi_version);
        record("detector", value)
    };
    evaluation.ndpi_tallies().map(of_variant).collect()
}

fn kernel(evaluation: &Evaluation) -> Vec<Value> {
    match &evaluation.kernel {
        Ok(shares) => shares
            .iter()
            .map(|share| record("kernel-queue-share", json!(share)))
            .collect(),
        Err(reason) => vec![json!({"record": "kernel-queue-share", "not_counted": reason})],
    }
}

fn record(kind: &str, mut value: Value) -> Value {
    value["record"] = kind.into();
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::File;

    #[test]
    fn every_line_says_what_it_is_and_what_is_not_there_is_said() {
        let evaluation = Evaluation {
            files: vec![File::of("other", 7, Vec::new())],
            ndpi_version: None,
            kernel: Err("only root".to_owned()),
        };
        let lines = lines(&evaluation);
        let kinds: Vec<_> = lines.iter().map(|line| line["record"].as_str()).collect();
        assert_eq!(
            kinds,
            [
                "file",
                "detector",
                "detector",
                "detector",
                "kernel-queue-share"
            ]
            .map(Some)
        );
        assert_eq!(lines[0]["detectors"]["ndpi"], Value::Null);
        assert_eq!(lines[0]["packets"], 7);
        assert_eq!(lines[1]["figures"]["in_time"]["udp_flows"]["all"], 0);
        assert_eq!(lines[2]["version"], Value::Null);
        assert!(lines[2].get("right").is_none());
        assert_eq!(lines[4]["not_counted"], "only root");
    }
}
