//! A line per capture.

use crate::eval::layout::columns;
use crate::eval::ndpi::VARIANTS;
use crate::eval::score::Tally;
use crate::eval::{Evaluation, File};

const OURS: [&str; 9] = [
    "Capture",
    "flows",
    "Skype",
    "right",
    "live",
    "later",
    "missed",
    "accused",
    "ambiguous",
];

pub(super) fn per_capture(evaluation: &Evaluation) -> String {
    let with_ndpi = evaluation.ndpi_version.is_some();
    let mut header: Vec<_> = OURS.iter().map(ToString::to_string).collect();
    for variant in VARIANTS.iter().filter(|_| with_ndpi) {
        header.push(format!("{}: right", variant.name));
        header.extend(["missed", "accused"].map(str::to_owned));
    }
    let header: Vec<_> = header.iter().map(String::as_str).collect();
    let row = |file| row(file, with_ndpi);
    columns(
        &header,
        &evaluation.files.iter().map(row).collect::<Vec<_>>(),
    )
}

fn row(file: &File, with_ndpi: bool) -> Vec<String> {
    let tally = Tally::ours(&file.conversations);
    // Nothing is right or wrong where nobody has looked.
    let scored = |counts: &[u64]| -> Vec<String> {
        let is_scored = tally.unlabelled == 0;
        let cell = |count: &u64| is_scored.then(|| count.to_string());
        let cells = counts.iter().map(cell);
        cells.map(|cell| cell.unwrap_or("-".to_owned())).collect()
    };
    let mut row = vec![
        format!("{}/{}", file.capture.folder, file.capture.name),
        tally.flows.to_string(),
    ];
    row.extend(scored(&[
        tally.skype,
        tally.right,
        tally.right_live,
        tally.right_retrospective,
        tally.missed,
        tally.accused,
    ]));
    row.push(tally.ambiguous.all().to_string());
    for calls in file.calls.iter().filter(|_| with_ndpi) {
        row.extend(match calls {
            Some(calls) => {
                let tally = Tally::ndpi(&file.conversations, calls);
                scored(&[tally.right, tally.missed, tally.accused])
            }
            None => vec!["-".to_owned(); 3],
        });
    }
    row
}
