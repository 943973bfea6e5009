use super::*;

const UDP: u8 = 17;

/// Looks in which so many payload bytes went out and came in, in packets of 100 and a rest.
fn looks(protocol: u8, bytes: &[[u32; 2]]) -> Vec<Look> {
    let headers = if protocol == TCP { 40 } else { 28 };
    let second = |bytes: &[u32; 2]| {
        let packets = bytes.map(|bytes| bytes.div_ceil(100));
        Look {
            packets,
            bytes: [0, 1].map(|way| bytes[way] + headers * packets[way]),
        }
    };
    bytes.iter().map(second).collect()
}

fn legs(one: (u8, &[[u32; 2]]), other: (u8, &[[u32; 2]])) -> Option<Likeness> {
    let all = [one, other].map(|(protocol, bytes)| (protocol, looks(protocol, bytes)));
    let [one, other] = all.each_ref().map(|(protocol, looks)| Leg {
        protocol: *protocol,
        v4: true,
        looks,
    });
    compare(one, other)
}

/// What an encoder makes of each second.
fn noise(seed: u64, count: usize) -> Vec<u32> {
    let mut rng = fastrand::Rng::with_seed(seed);
    (0..count).map(|_| rng.u32(1900..2100)).collect()
}

fn carried(count: usize) -> (Vec<[u32; 2]>, Vec<[u32; 2]>) {
    let (there, back) = (noise(1, count), noise(2, count));
    let pairs = |out: &[u32], come: &[u32]| {
        out.iter()
            .zip(come)
            .map(|(out, come)| [*out, *come])
            .collect()
    };
    (pairs(&back, &there), pairs(&there, &back))
}

#[test]
fn what_comes_in_by_one_leg_goes_out_by_the_other() {
    let (one, other) = carried(10);
    for protocols in [(UDP, UDP), (TCP, TCP), (UDP, TCP), (TCP, UDP)] {
        let likeness = legs((protocols.0, &one), (protocols.1, &other)).expect("enough");
        assert!(likeness.are_legs(0), "{protocols:?}: {likeness:?}");
    }
    let few = LEAST_LOOKS - 1;
    assert!(legs((UDP, &one[..few]), (UDP, &other[..few])).is_none());
}

#[test]
fn a_few_looks_that_ended_apart_or_lost_something_do_no_harm() {
    let (one, mut other) = carried(14);
    other[5][0] -= 100;
    other[6][0] += 100;
    other[11][0] -= 100;
    let likeness = legs((UDP, &one), (UDP, &other)).expect("enough");
    assert!(likeness.are_legs(0), "{likeness:?}");
}

#[test]
fn a_relays_own_head_before_short_messages_does_no_harm() {
    let mut rng = fastrand::Rng::with_seed(5);
    let sizes: Vec<u32> = (0..12).map(|_| rng.u32(300..340)).collect();
    let leg = |more: u32, outbound: bool| {
        let look = |bytes: &u32| {
            let (packets, bytes) = (8, bytes + 8 * (28 + more));
            let way = |outward: bool, figure: u32| if outward == outbound { figure } else { 0 };
            Look {
                packets: [way(true, packets), way(false, packets)],
                bytes: [way(true, bytes), way(false, bytes)],
            }
        };
        sizes.iter().map(look).collect::<Vec<_>>()
    };
    let likeness = |more: u32| {
        let looks = [leg(0, false), leg(more, true)];
        let [one, other] = looks.each_ref().map(|looks| Leg {
            protocol: UDP,
            v4: true,
            looks,
        });
        compare(one, other).expect("enough")
    };
    assert!(likeness(20).are_legs(0), "{:?}", likeness(20));
    // Two programs, one of which sends twice as much.
    assert!(!likeness(60).are_legs(0), "{:?}", likeness(60));
}

#[test]
fn two_encoders_at_one_rate_are_not_in_step() {
    for seed in 0..200 {
        let of = |one: u64| noise(4 * seed + one, 16);
        let call = |out: Vec<u32>, come: Vec<u32>| {
            out.into_iter()
                .zip(come)
                .map(|(out, come)| [out, come])
                .collect::<Vec<_>>()
        };
        let (one, other) = (call(of(0), of(1)), call(of(2), of(3)));
        let likeness = legs((UDP, &one), (UDP, &other)).expect("enough");
        assert!(!likeness.are_legs(0), "{seed}: {likeness:?}");
    }
}

#[test]
fn one_way_alone_is_not_enough_where_both_carry() {
    let (one, mut other) = carried(14);
    for (second, noise) in other.iter_mut().zip(noise(9, 14)) {
        second[1] = noise;
    }
    let likeness = legs((UDP, &one), (UDP, &other)).expect("enough");
    assert!(!likeness.are_legs(0), "{likeness:?}");
}

#[test]
fn what_never_changes_says_nothing() {
    let steady = [[2000, 2000]; 16];
    let likeness = legs((UDP, &steady), (UDP, &steady)).expect("enough");
    assert_eq!(likeness.bits, 0);
    assert!(!likeness.are_legs(0));
}
