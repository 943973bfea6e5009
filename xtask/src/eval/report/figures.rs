//! How early decisions come, what gets through, and what goes to user space.

use std::fmt::Write as _;

use crate::eval::figures::{Figures, LetThrough, queue_shares};
use crate::eval::layout::{columns, percent, share};
use crate::eval::{Evaluation, File};

pub(super) fn decisions(files: &[File]) -> String {
    let figures = Figures::of(files);
    let in_time = figures.in_time;
    let text = format!(
        "Decided in time, of all labelled Skype\n\
         UDP flows whose endpoint was proved by its second type-2 datagram   {}\n\
         UDP endpoints proved by their second type-2 datagram sent           {}\n\
         the same, counting those received too                               {}\n\
         TCP flows found by the first server segment with payload            {}\n\
         UDP and TCP flows together                                          {}\n\n",
        share(in_time.udp_flows),
        share(in_time.udp_endpoints),
        share(in_time.udp_endpoints_either_way),
        share(in_time.tcp_flows),
        share(in_time.flows()),
    );
    text + &let_through(files, &figures)
}

fn let_through(files: &[File], all: &Figures) -> String {
    let mut rows = vec![
        let_through_row("UDP (found later: all of it)", all.let_through_udp),
        let_through_row("TCP", all.let_through_tcp),
        let_through_row("all that were found", all.let_through),
        let_through_row("all that were found live", all.let_through_live),
    ];
    for file in files {
        if file.labelled_skype().next().is_some() {
            let figures = Figures::of(std::slice::from_ref(file));
            rows.push(let_through_row(&file.capture.name, figures.let_through));
        }
    }
    let header = [
        "Let through before the decision",
        "flows",
        "packets: median",
        "95 %",
        "worst",
        "bytes: median",
        "95 %",
        "worst",
    ];
    columns(&header, &rows) + "what was missed is not in it: it gets through whole\n"
}

fn let_through_row(name: &str, let_through: LetThrough) -> Vec<String> {
    let (packets, bytes) = (let_through.packets, let_through.bytes);
    let figures = [
        packets.count,
        packets.median,
        packets.p95,
        packets.worst,
        bytes.median,
        bytes.p95,
        bytes.worst,
    ];
    let figures = figures.iter().map(ToString::to_string);
    std::iter::once(name.to_owned()).chain(figures).collect()
}

pub(super) fn user_space(evaluation: &Evaluation) -> String {
    let shares = queue_shares(&evaluation.files);
    let row = |name: String, packets: [u64; 2], flows: [u64; 2]| {
        let cells = [
            name,
            packets[1].to_string(),
            packets[0].to_string(),
            percent(packets[0], packets[1]),
            flows[1].to_string(),
            flows[0].to_string(),
            percent(flows[0], flows[1]),
        ];
        cells.to_vec()
    };
    let mut rows: Vec<_> = shares
        .iter()
        .filter(|(_, share)| share.flows.all > 0)
        .map(|(folder, share)| {
            row(
                format!("{folder}/, by replay"),
                [share.packets.part, share.packets.all],
                [share.flows.part, share.flows.all],
            )
        })
        .collect();
    let mut why_not = None;
    match &evaluation.kernel {
        Ok(counted) => rows.extend(counted.iter().map(|share| {
            row(
                format!("other/, by the kernel program, {} packs", share.packs),
                [share.tagged, share.packets],
                [share.flows_tagged, share.flows],
            )
        })),
        Err(reason) => why_not = Some(reason),
    }
    let header = [
        "Other traffic sent to user space",
        "packets",
        "sent up",
        "",
        "flows",
        "touched",
        "",
    ];
    let mut text = columns(&header, &rows);
    if let Some(reason) = why_not {
        let _ = writeln!(text, "not counted by the kernel program: {reason}");
    }
    text
}
