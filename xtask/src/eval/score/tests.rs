//! Truths and findings by hand.

use super::*;
use crate::eval::ends::Ends;
use crate::eval::ndpi::Call;
use crate::eval::replay::Flow;

fn conversation(port: u16, truth: Truth, finding: Option<Finding>) -> Conversation {
    let mut flow = Flow::plain(&format!("10.0.0.1:{port}"), "192.0.2.1:443");
    let ends = flow.ends();
    let known = finding.is_some();
    flow.skype = finding.unwrap_or_default();
    Conversation {
        ends,
        truth,
        ground: String::new(),
        flow: known.then_some(flow),
    }
}

fn found(retrospective: bool) -> Option<Finding> {
    Some(Finding {
        detected: true,
        retrospective,
        confidence: Some("exact".to_owned()),
        class: Some("login".to_owned()),
        ..Finding::default()
    })
}

fn not_found(ambiguous: bool) -> Option<Finding> {
    Some(Finding {
        ambiguous,
        ..Finding::default()
    })
}

#[test]
fn each_conversation_counts_where_its_truth_and_the_finding_meet() {
    let all = [
        conversation(1, Truth::Skype, found(false)),
        conversation(2, Truth::Skype, found(true)),
        conversation(3, Truth::Skype, not_found(false)),
        conversation(4, Truth::Skype, not_found(true)),
        // Only the label knows it.
        conversation(5, Truth::Skype, None),
        conversation(6, Truth::Other, found(false)),
        conversation(7, Truth::Teams, found(true)),
        conversation(8, Truth::Teams, not_found(true)),
        conversation(9, Truth::Other, not_found(false)),
        conversation(10, Truth::Unscored, found(false)),
        conversation(11, Truth::Unlabelled, found(false)),
        conversation(12, Truth::Unlabelled, not_found(false)),
    ];
    let tally = Tally::ours(&all);
    let both = Found {
        right: 2,
        accused: 2,
    };
    let expected = Tally {
        flows: 12,
        skype: 5,
        right: 2,
        right_live: 1,
        right_retrospective: 1,
        missed: 3,
        other: 4,
        accused: 2,
        accused_live: 1,
        teams: 2,
        accused_teams: 1,
        ambiguous: Ambiguous {
            skype: 1,
            teams: 1,
            ..Ambiguous::default()
        },
        unscored: 1,
        unlabelled: 2,
        unlabelled_found: 1,
        by_confidence: BTreeMap::from([("exact".to_owned(), both)]),
        by_class: BTreeMap::from([("login".to_owned(), both)]),
        ..Tally::default()
    };
    assert_eq!(tally, expected);
    let mut twice = tally.clone();
    twice += &tally;
    assert_eq!((twice.flows, twice.right), (24, 4));
    assert_eq!(twice.by_class["login"].accused, 4);
}

#[test]
fn words_for_skype_and_teams_together_count_apart() {
    let all = [
        conversation(1, Truth::Skype, not_found(false)),
        conversation(2, Truth::Teams, not_found(false)),
        conversation(3, Truth::Skype, not_found(false)),
    ];
    let call = |protocol: &str, lumped| Call {
        protocol: protocol.to_owned(),
        lumped,
    };
    let ends = |at: usize| -> Ends { all[at].ends.clone() };
    let elsewhere = conversation(99, Truth::Skype, None).ends;
    let calls = Calls::from([
        (ends(0), call("Skype_Teams.SkypeCall", false)),
        (ends(1), call("TLS.Skype_Teams", true)),
        (elsewhere, call("Skype_Teams.SkypeCall", false)),
    ]);
    let tally = Tally::ndpi(&all, &calls);
    assert_eq!((tally.right, tally.right_lumped, tally.missed), (1, 0, 1));
    assert_eq!(
        (tally.accused, tally.accused_lumped, tally.accused_teams),
        (1, 1, 1)
    );
    assert_eq!(tally.by_protocol["TLS.Skype_Teams"].accused, 1);
    assert_eq!(tally.unmatched, 1);
}
