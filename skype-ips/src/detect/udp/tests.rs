use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits");
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn read(hex: &str) -> Message {
    let payload = bytes(hex);
    Message::read(&payload, payload.len() as u32).expect("a message")
}

// The two exchanges with a NACK in the Wireshark sample SkypeIRC.cap.
const EXCHANGES: [[&str; 3]; 2] = [
    [
        "15f202e2b459e6644a654d81763ac9dbf536",
        "15f2775680f57324499eb8",
        "15f2030124499eb8a57cfdf1644a654d9c316e2ce98fc0",
    ],
    [
        "b06502d647b1b3e527f661726cbd0a64d51f",
        "b065475680f573e43554c2",
        "b0652301e43554c2d0024702e527f66141e29f1f253bdb",
    ],
];
const PEERS: [Ipv4Addr; 2] = [
    Ipv4Addr::new(165, 124, 253, 241),
    Ipv4Addr::new(208, 2, 71, 2),
];

#[test]
fn clear_fields_are_read_from_their_places() {
    let [probe, nack, resend] = EXCHANGES[0].map(read);
    let sent = Sent {
        id: 0x15f2,
        iv: 0xe2b4_59e6,
        check: 0x644a_654d,
        len: 18,
    };
    assert_eq!(probe, Message::Payload(sent));
    let named = Ipv4Addr::new(86, 128, 245, 115);
    let answer = Answer {
        id: 0x15f2,
        nack: true,
        named,
        challenge: 0x2449_9eb8,
    };
    assert_eq!(nack, Message::Answer(answer));
    let expected = Resend {
        id: 0x15f2,
        challenge: 0x2449_9eb8,
        destination: PEERS[0],
        check: 0x644a_654d,
        len: 23,
    };
    assert_eq!(resend, Message::Resend(expected));
}

#[test]
fn other_payloads_are_no_messages() {
    for hex in [
        "",
        "15f2",
        // 17 bytes of type 2, 10 and 12 bytes of type 7, a keep-alive.
        "15f202e2b459e6644a654d81763ac9dbf5",
        "15f2775680f57324499e",
        "15f2775680f57324499eb800",
        "15f20d",
        // Type 2 with noise bits, a resend whose byte 3 is not 01.
        "15f212e2b459e6644a654d81763ac9dbf536",
        "15f2030224499eb8a57cfdf1644a654d9c316e2ce98fc0",
    ] {
        let payload = bytes(hex);
        assert_eq!(Message::read(&payload, payload.len() as u32), None, "{hex}");
    }
}

#[test]
fn a_cut_off_payload_is_read_as_far_as_it_goes() {
    assert_eq!(
        Message::read(&bytes("15f202e2b459e6644a654d"), 18),
        Some(read(EXCHANGES[0][0]))
    );
    assert_eq!(Message::read(&bytes("15f202e2b459e6644a65"), 18), None);
}

fn resend_bits(messages: [Message; 3], gap: u64, peer: Ipv4Addr) -> Option<u32> {
    let [
        Message::Payload(probe),
        Message::Answer(nack),
        Message::Resend(resend),
    ] = messages
    else {
        panic!("a probe, a NACK and a resend");
    };
    let mut exchanges = Exchanges::default();
    exchanges.message(0, 0, probe, 1);
    exchanges.answer(gap, 1, &nack, 2)?;
    let resent = exchanges.resend(2 * gap, 0, &resend, Some(peer))?;
    assert_eq!((resent.message, resent.nack), (1, 2));
    Some(resent.bits)
}

#[test]
fn the_open_captures_exchanges_match_in_every_field() {
    for (exchange, peer) in EXCHANGES.iter().zip(PEERS) {
        assert_eq!(resend_bits(exchange.map(read), SECOND, peer), Some(112));
    }
}

#[test]
fn any_field_that_differs_breaks_the_exchange() {
    let good = EXCHANGES[0].map(read);
    assert_eq!(resend_bits(good, SECOND, PEERS[1]), None);
    assert_eq!(resend_bits(good, ANSWER_WITHIN + 1, PEERS[0]), None);
    // ID, challenge, destination and CRC of the resend, then one byte too many.
    for at in [1, 5, 9, 13] {
        let mut resend = bytes(EXCHANGES[0][2]);
        resend[at] ^= 1;
        let resend = Message::read(&resend, 23).expect("still a resend");
        assert_eq!(
            resend_bits([good[0], good[1], resend], SECOND, PEERS[0]),
            None,
            "{at}"
        );
    }
    let longer = Message::read(&bytes(EXCHANGES[0][2]), 24).expect("still a resend");
    assert_eq!(
        resend_bits([good[0], good[1], longer], SECOND, PEERS[0]),
        None
    );
}

#[test]
fn an_answer_belongs_to_a_message_of_the_other_direction() {
    let [Message::Payload(probe), Message::Answer(nack), _] = EXCHANGES[0].map(read) else {
        panic!("a probe and a NACK");
    };
    let mut exchanges = Exchanges::default();
    exchanges.message(0, 0, probe, 1);
    assert_eq!(exchanges.answer(1, 0, &nack, 2), None);
    let asked = Asked {
        sent: probe,
        packet: 1,
    };
    assert_eq!(exchanges.answer(1, 1, &nack, 2), Some(asked));
}

#[test]
fn the_open_captures_repetitions_are_recognised() {
    // 30 bytes, sent at 0, 2 and 6 seconds with another message in between.
    let sents = [
        "162702a23be7ae74208dba6f0abb9c46cf427f9529a031a80d9a21bce3ad",
        "164102293fdeb2cc65666675fe5c75347f693e5040",
        "1627022526a0fb74208dba7940e4873a93c34ac7ad888e0264bb45e35f05",
        "1641025716ea70cc6566662b695c00405b579b88e1",
        "162702d1b1ae2174208dba54a1e1bef724bcd1bc7ccdf558e1f2542f304a",
    ];
    let mut exchanges = Exchanges::default();
    let companions = sents.map(|hex| {
        let Message::Payload(sent) = read(hex) else {
            panic!("type 2");
        };
        exchanges.message(0, 0, sent, 1)
    });
    let repetition = Companion::Repetition { varied: true };
    assert_eq!(
        companions,
        [
            Companion::None,
            Companion::None,
            repetition,
            repetition,
            repetition
        ]
    );
}
