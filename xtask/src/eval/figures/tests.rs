//! Figures of a few conversations by hand.

use super::*;
use crate::eval::replay::Endpoint;

#[test]
fn ranks_are_the_nearest() {
    let spread = |figures: &[u64]| {
        let Spread {
            median, p95, worst, ..
        } = Spread::of(figures.to_vec());
        (median, p95, worst)
    };
    assert_eq!(spread(&[]), (0, 0, 0));
    assert_eq!(spread(&[7]), (7, 7, 7));
    assert_eq!(spread(&[4, 1, 3, 2]), (2, 4, 4));
    let hundred: Vec<u64> = (1..=100).rev().collect();
    assert_eq!(spread(&hundred), (50, 95, 100));
    let twenty_one: Vec<u64> = (1..=21).collect();
    assert_eq!(spread(&twenty_one), (11, 20, 21));
}

fn endpoint(port: u16, sent: u64, received: u64) -> Option<Endpoint> {
    Some(Endpoint {
        ip: IpAddr::from([10, 0, 0, 1]),
        port,
        sent,
        received,
    })
}

fn file(folder: &str, flows: Vec<(Truth, Flow)>) -> File {
    let conversations = flows.into_iter().map(|(truth, flow)| Conversation {
        ends: flow.ends(),
        truth,
        ground: String::new(),
        flow: Some(flow),
    });
    File::of(folder, 10, conversations.collect())
}

fn flow(proto: &str, port: u16, finding: Finding) -> Flow {
    let mut flow = Flow::plain(&format!("10.0.0.1:{port}"), "192.0.2.1:1").over(proto);
    flow.skype = finding;
    flow
}

fn detected(finding: Finding) -> Finding {
    Finding {
        detected: true,
        ..finding
    }
}

#[test]
fn in_time_is_by_the_second_datagram_and_the_first_server_segment() {
    let of = |endpoint, retrospective| {
        detected(Finding {
            endpoint,
            retrospective,
            ..Finding::default()
        })
    };
    let tcp = |payloads| {
        detected(Finding {
            passed_server_payloads: payloads,
            ..Finding::default()
        })
    };
    let flows = [
        flow("UDP", 1, of(endpoint(1, 2, 0), true)),
        flow("UDP", 2, of(endpoint(1, 2, 0), false)),
        flow("UDP", 3, of(endpoint(3, 3, 0), false)),
        flow("UDP", 4, of(endpoint(4, 1, 2), false)),
        flow("UDP", 5, Finding::default()),
        flow("TCP", 6, tcp(Some(0))),
        flow("TCP", 7, tcp(Some(1))),
        flow("TCP", 8, tcp(None)),
        flow("TCP", 9, Finding::default()),
    ];
    let flows = flows.map(|flow| (Truth::Skype, flow)).into();
    let Figures { in_time, .. } = Figures::of(&[file("skype", flows)]);
    assert_eq!(in_time.udp_flows, Share { part: 3, all: 5 });
    assert_eq!(in_time.udp_endpoints, Share { part: 2, all: 3 });
    assert_eq!(in_time.udp_endpoints_either_way, Share { part: 1, all: 3 });
    assert_eq!(in_time.tcp_flows, Share { part: 1, all: 4 });
    assert_eq!(in_time.flows(), Share { part: 4, all: 9 });
}

#[test]
fn only_what_is_skype_and_found_gets_through_before_a_decision() {
    let passed = |packets| Finding {
        passed_pkts: packets,
        passed_bytes: 100 * packets,
        ..Finding::default()
    };
    let files = [file(
        "skype",
        vec![
            (Truth::Skype, flow("UDP", 1, detected(passed(3)))),
            (Truth::Skype, flow("TCP", 2, detected(passed(5)))),
            (Truth::Skype, flow("TCP", 3, passed(70))),
            (Truth::Other, flow("TCP", 4, detected(passed(90)))),
        ],
    )];
    let figures = Figures::of(&files);
    let all = figures.let_through;
    assert_eq!((all.packets.count, all.packets.worst), (2, 5));
    assert_eq!(figures.let_through_udp.bytes.worst, 300);
}

#[test]
fn the_queue_share_leaves_skype_out() {
    let queued = |port, queued_pkts| {
        let mut flow = flow("TCP", port, Finding::default());
        flow.flow.queued_pkts = queued_pkts;
        flow
    };
    let files = [
        file(
            "other",
            vec![(Truth::Other, queued(1, 2)), (Truth::Other, queued(2, 0))],
        ),
        file(
            "skype",
            vec![(Truth::Skype, queued(3, 9)), (Truth::Other, queued(4, 0))],
        ),
    ];
    let shares = queue_shares(&files);
    assert_eq!(shares["other"].packets, Share { part: 2, all: 10 });
    assert_eq!(shares["other"].flows, Share { part: 1, all: 2 });
    assert_eq!(shares["skype"].packets, Share { part: 0, all: 9 });
}
