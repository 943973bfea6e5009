//! SkypeOut's framing: voice to the telephone network has no message head. The first four bytes
//! are the connection's, the same in all its datagrams, and the fifth differs from one to the next
//! (Bonfiglio et al., SIGCOMM 2007; Tstat). The gateways were at UDP port 12340 then.
//!
//! Constant heads are everywhere (tunnels, games, transports with connection IDs), so this says
//! nothing of a host whose Skype is not known.

use super::Evidence;

/// Datagrams that have to share the head: of the eight that the gate sends up of a flow, each may
/// be there twice and one may be lost.
const ENOUGH: u8 = 3;
/// What it counts: `heuristic` and no more. Hardly any other protocol at this port of a host that runs Skype has four
/// constant bytes in front of one that always changes, but there is no arithmetic in it.
const BITS: u32 = 12;

/// What the datagrams of one direction of a flow have had in common so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Framing {
    /// Head, fifth byte and packet number of the newest datagram.
    newest: Option<([u8; 4], u8, u64)>,
    /// The first of those that share the head.
    first: u64,
    /// How many share it, each with another fifth byte than the one before.
    shared: u8,
}

impl Framing {
    /// Takes in a datagram; the early ones are sent twice, and a copy says nothing.
    pub fn observe(&mut self, payload: &[u8], number: u64) {
        let (Some(head), Some(fifth)) = (payload.first_chunk::<4>(), payload.get(4)) else {
            return;
        };
        match self.newest {
            Some((known, last, _)) if known == *head && last == *fifth => return,
            Some((known, ..)) if known == *head => self.shared = self.shared.saturating_add(1),
            _ => (self.first, self.shared) = (number, 1),
        }
        self.newest = Some((*head, *fifth, number));
    }

    /// `skypeout`, if enough datagrams share the head.
    pub fn evidence(&self) -> Option<Evidence> {
        let ([a, b, c, d], _, newest) = self.newest.filter(|_| self.shared >= ENOUGH)?;
        let says = format!("connection ID {a:02x}{b:02x}{c:02x}{d:02x}");
        let again = format!("the same, in {} datagrams", self.shared);
        Some(
            Evidence::new("skypeout", BITS)
                .citing(self.first, 0..4, says)
                .citing(newest, 0..4, again)
                .citing(newest, 4..5, "differs from that of the datagram before"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(datagrams: &[&[u8]]) -> Framing {
        let mut framing = Framing::default();
        for (number, datagram) in (1..).zip(datagrams) {
            framing.observe(datagram, number);
        }
        framing
    }

    #[test]
    fn three_datagrams_with_one_head_and_a_changing_byte_are_evidence() {
        let datagrams: [&[u8]; 5] = [
            &[0x00, 0x6b, 0x2c, 0xf5, 1, 9, 9],
            &[0x00, 0x6b, 0x2c, 0xf5, 1, 9, 9],
            &[0x00, 0x6b, 0x2c, 0xf5, 2, 9, 9],
            &[0x00, 0x6b, 0x2c, 0xf5, 7, 9, 9],
            &[0x00, 0x6b, 0x2c, 0xf5, 3, 9, 9],
        ];
        assert!(framing(&datagrams[..3]).evidence().is_none());
        let evidence = framing(&datagrams).evidence().expect("enough of them");
        let cited: Vec<_> = evidence.cited.iter().map(|one| one.packet).collect();
        assert_eq!(cited, [1, 5, 5]);
    }

    #[test]
    fn heads_that_count_and_bytes_that_stay_are_none() {
        let rtp: Vec<_> = (0..9).map(|at| vec![0x80, 0, 0, at, at, 1]).collect();
        let esp: Vec<_> = (0..9).map(|at| vec![1, 2, 3, 4, 0, 0, 0, at]).collect();
        for datagrams in [rtp, esp] {
            let datagrams: Vec<_> = datagrams.iter().map(Vec::as_slice).collect();
            assert!(framing(&datagrams).evidence().is_none());
        }
    }
}
