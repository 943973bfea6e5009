//! Microsoft's dialect of STUN and TURN, which media of late Skype and of Teams begin with: told
//! by attributes that only it has. Which those are is data of the detection packs.
//!
//! RFC 8489 (STUN); MS-TURN and MS-ICE2 (the dialect); measured in nDPI's
//! `skype-conference-call.pcap` and `teams.pcap`.

use std::ops::Range;

/// Bytes of the header.
const HEADER: usize = 20;
/// The header's cookie since RFC 5389.
const COOKIE: [u8; 4] = 0x2112_a442_u32.to_be_bytes();
/// An attribute that holds the cookie of older drafts of TURN, and stands first. Others than
/// Microsoft have used those drafts, so it is no mark.
const DRAFT_COOKIE: [u8; 8] = [0x00, 0x0f, 0x00, 0x04, 0x72, 0xc6, 0x4b, 0xc6];
/// Most attributes of a message that are looked at; honest ones have a dozen.
const MOST_ATTRIBUTES: usize = 32;

/// An attribute of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// Its type.
    pub kind: u16,
    /// Where it stands in the payload, header included.
    pub place: Range<u32>,
}

/// The attributes of a STUN message that is the whole payload of `len` bytes on the wire, as far as
/// they are at hand. `None` if it is anything else.
pub fn attributes(payload: &[u8], len: u32) -> Option<Vec<Attribute>> {
    let header = payload.get(..HEADER)?;
    let said = u32::from(u16::from_be_bytes([header[2], header[3]]));
    if header[0] & 0xc0 != 0 || said % 4 != 0 || said + HEADER as u32 != len {
        return None;
    }
    if header[4..8] != COOKIE && payload.get(HEADER..HEADER + 8)? != DRAFT_COOKIE {
        return None;
    }
    let mut attributes = Vec::new();
    let mut at = HEADER;
    while let Some(head) = payload.get(at..at + 4) {
        if attributes.len() == MOST_ATTRIBUTES {
            break;
        }
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let value = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let end = at + 4 + value;
        if end as u32 > len {
            return None;
        }
        attributes.push(Attribute {
            kind,
            place: at as u32..end as u32,
        });
        at = end.next_multiple_of(4);
    }
    Some(attributes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(transaction: [u8; 16], attributes: &[u8]) -> Vec<u8> {
        let len = (attributes.len() as u16).to_be_bytes();
        [&[0, 1][..], &len, &transaction, attributes].concat()
    }

    fn modern() -> [u8; 16] {
        let mut transaction = [9; 16];
        transaction[..4].copy_from_slice(&COOKIE);
        transaction
    }

    fn kinds(payload: &[u8]) -> Option<Vec<u16>> {
        let all = attributes(payload, payload.len() as u32)?;
        Some(all.into_iter().map(|one| one.kind).collect())
    }

    #[test]
    fn attributes_are_padded_to_four_bytes() {
        let body = [
            0, 6, 0, 3, b'a', b':', b'b', 0, 0x80, 0x70, 0, 4, 0, 0, 0, 3,
        ];
        let payload = message(modern(), &body);
        let all = attributes(&payload, 36).expect("a message");
        assert_eq!(all[0].place, 20..27);
        assert_eq!((all[1].kind, all[1].place.clone()), (0x8070, 28..36));
    }

    #[test]
    fn either_cookie_makes_a_message_and_nothing_else_does() {
        let body = [&DRAFT_COOKIE[..], &[0x80, 0x08, 0, 4, 0, 0, 0, 6]].concat();
        assert_eq!(kinds(&message([9; 16], &body)), Some(vec![0x000f, 0x8008]));
        assert_eq!(kinds(&message([9; 16], &body[8..])), None);
        assert_eq!(kinds(&message(modern(), &[])), Some(vec![]));
        let mut longer = message(modern(), &[]);
        longer.push(0);
        assert_eq!(kinds(&longer), None);
        let mut media = message(modern(), &[]);
        media[0] = 0x80;
        assert_eq!(kinds(&media), None);
        assert_eq!(kinds(&message(modern(), &[0x80, 0x70, 0, 5])), None);
    }

    #[test]
    fn what_a_capture_cut_off_is_read_as_far_as_it_goes() {
        let body = [0x80, 0x70, 0, 4, 0, 0, 0, 3, 0x80, 0x54, 0, 4, 1, 2, 3, 4];
        let payload = message(modern(), &body);
        let all = attributes(&payload[..30], 36).expect("a message");
        assert_eq!(all.len(), 1);
    }

    proptest! {
        #[test]
        fn garbage_is_survived(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            kinds(&message(modern(), &body));
        }
    }
}
