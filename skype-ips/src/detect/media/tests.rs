use super::*;

/// Per direction: packets a second, payload bytes of each, of a hundred packets how many are large.
type Rate = (u64, u64, u64);

fn window(seconds: u64, directions: [Rate; 2]) -> Window {
    let mut counted = Counters::default();
    for (direction, (rate, size, large)) in directions.into_iter().enumerate() {
        counted.packets[direction] = rate * seconds;
        counted.bytes[direction] = rate * seconds * (size + 28);
        counted.large[direction] = (rate * seconds * large / 100) as u32;
    }
    Window {
        duration: seconds * SECOND,
        counted,
        headers: 28,
    }
}

#[test]
fn each_kind_of_traffic_looks_like_itself() {
    for (traffic, directions) in [
        (Traffic::Voice, [(33, 67, 0), (33, 67, 0)]),
        (Traffic::Voice, [(16, 120, 0), (50, 60, 0)]),
        (Traffic::Video, [(90, 500, 50), (50, 70, 0)]),
        (Traffic::Video, [(60, 420, 60), (60, 420, 60)]),
        (Traffic::File, [(100, 1300, 99), (50, 20, 0)]),
        (Traffic::File, [(2, 15, 0), (4, 1300, 99)]),
        // On hold, chat, a search answered, a flood of small packets one way.
        (Traffic::Quiet, [(3, 3, 0), (3, 3, 0)]),
        (Traffic::Quiet, [(1, 90, 0), (2, 60, 0)]),
        (Traffic::Quiet, [(80, 60, 0), (0, 0, 0)]),
        (Traffic::Quiet, [(500, 60, 0), (500, 60, 0)]),
    ] {
        assert_eq!(window(10, directions).traffic(), traffic, "{directions:?}");
    }
}

#[test]
fn a_burst_is_too_short_to_say() {
    let full = window(1, [(50, 60, 0), (50, 60, 0)]);
    assert!(full.suffices());
    assert!(
        !Window {
            duration: SECOND / 2,
            ..full
        }
        .suffices()
    );
    assert!(!window(5, [(5, 60, 0), (5, 60, 0)]).suffices());
    assert!(window(10, [(1, 60, 0), (0, 0, 0)]).suffices());
}

#[test]
fn the_figures_are_told_in_words() {
    let window = window(10, [(50, 60, 0), (33, 67, 0)]);
    assert_eq!(
        window.words(window.traffic()),
        "steady small packets both ways: a voice call. In 10.0 s it sent 500 packets (50.0/s, 60 \
         bytes on average, 0 % of them large) and received 330 (33.0/s, 67, 0 %)"
    );
}

#[test]
fn counters_that_went_back_are_no_window() {
    let before = window(3, [(50, 60, 0), (33, 67, 0)]).counted;
    assert_eq!(before.since(&before), Some(Counters::default()));
    assert_eq!(Counters::default().since(&before), None);
}
