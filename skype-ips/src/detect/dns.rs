//! Questions for a name (RFC 1035, section 4.1). A look-up is not Skype by itself: it is the
//! resolver's flow, and whoever forwards questions asks for everybody on one socket. It says which
//! names a host is about to call.

use std::ops::Range;

use super::names::normal;

/// Bytes of the header.
const HEADER: usize = 12;
/// QR and opcode of the flags: zero in a standard question.
const NOT_A_QUESTION: u8 = 0xf8;

/// The name that a datagram asks for, in lower case, and where it stands. `None` if it is anything
/// but a standard question for one name, or cut off.
pub fn question(payload: &[u8]) -> Option<(String, Range<u32>)> {
    let header = payload.get(..HEADER)?;
    let [questions, answers] = [4, 6].map(|at| u16::from_be_bytes([header[at], header[at + 1]]));
    if header[2] & NOT_A_QUESTION != 0 || (questions, answers) != (1, 0) {
        return None;
    }
    let mut labels = Vec::new();
    let mut at = HEADER;
    loop {
        let len = usize::from(*payload.get(at)?);
        at += 1;
        match len {
            0 => break,
            // A pointer would have to lead back into the header: it is no question for a name.
            1..=63 => labels.push(std::str::from_utf8(payload.get(at..at + len)?).ok()?),
            _ => return None,
        }
        at += len;
        if at > HEADER + 255 {
            return None;
        }
    }
    // Type and class follow.
    payload.get(at..at + 4)?;
    Some((normal(&labels.join("."))?, HEADER as u32..at as u32))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUESTION: &[u8] =
        b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01\x02uI\x05sKype\x03com\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0";

    #[test]
    fn a_question_with_mixed_case_and_options_is_read() {
        let (name, place) = question(QUESTION).expect("a question");
        assert_eq!((name.as_str(), place), ("ui.skype.com", 12..26));
    }

    #[test]
    fn answers_and_what_is_cut_off_are_none() {
        for at in 0..30 {
            assert_eq!(question(&QUESTION[..at]), None, "{at}");
        }
        for (at, byte) in [(2, 0x81), (2, 0x28), (5, 2), (7, 1), (12, 0xc0)] {
            let mut other = QUESTION.to_vec();
            other[at] = byte;
            assert_eq!(question(&other), None, "{at}");
        }
    }

    proptest! {
        #[test]
        fn garbage_is_survived(rest in proptest::collection::vec(any::<u8>(), 0..400)) {
            question(&[&QUESTION[..12], &rest].concat());
        }
    }
}
