//! The 4-bit code that says, in the packet mark (and where conntrack is in use in the connection's
//! mark), what is known of a packet.

/// Highest number of queues: codes 8 to 15 name one each.
pub const MAX_QUEUES: u8 = 8;

/// What the code in a mark says. All other bits of a mark belong to the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// No classifier has seen the packet.
    Unseen,
    /// Seen; nothing to ask, let it pass.
    Pass,
    /// User space decided to drop; the firewall records that in the connection and drops.
    Drop,
    /// As [`Code::Drop`], with an answer to the sender.
    Reject,
    /// A packet that this product made itself: passes its own hooks uncounted.
    Own,
    /// Judged by user space: its connection needs no further look.
    Judged,
    /// To be judged by user space on this queue, 0 to 7.
    Inspect(u8),
}

impl Code {
    /// The code as a number from 0 to 15.
    #[inline(always)]
    pub const fn number(self) -> u32 {
        match self {
            Self::Unseen => 0,
            Self::Pass => 1,
            Self::Drop => 2,
            Self::Reject => 3,
            Self::Own => 4,
            Self::Judged => 5,
            Self::Inspect(queue) => 8 | (queue & 7) as u32,
        }
    }

    /// The code of a number; the unused 6 and 7 read as unseen.
    #[inline(always)]
    pub const fn from_number(number: u32) -> Self {
        match number & 15 {
            1 => Self::Pass,
            2 => Self::Drop,
            3 => Self::Reject,
            4 => Self::Own,
            5 => Self::Judged,
            code @ 8..=15 => Self::Inspect((code & 7) as u8),
            _ => Self::Unseen,
        }
    }
}

/// Where in the 32-bit mark the code stands: a mask of four adjacent bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    mask: u32,
}

impl Field {
    /// A field at `mask`, which must be four adjacent set bits; `None` otherwise.
    pub const fn new(mask: u32) -> Option<Self> {
        if mask != 0 && mask >> mask.trailing_zeros() == 0xf {
            Some(Self { mask })
        } else {
            None
        }
    }

    /// The mask.
    pub const fn mask(self) -> u32 {
        self.mask
    }

    /// The code in `mark`.
    pub const fn read(self, mark: u32) -> Code {
        Code::from_number((mark & self.mask) >> self.mask.trailing_zeros())
    }

    /// `code` as bits of a mark, all other bits zero.
    pub const fn bits(self, code: Code) -> u32 {
        code.number() << self.mask.trailing_zeros()
    }

    /// `mark` with its code replaced and every other bit as it was.
    pub const fn write(self, mark: u32, code: Code) -> u32 {
        (mark & !self.mask) | self.bits(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_round_trip() {
        for number in (0..=5).chain(8..=15) {
            assert_eq!(Code::from_number(number).number(), number);
        }
        for unused in 6..=7 {
            assert_eq!(Code::from_number(unused), Code::Unseen);
        }
    }

    #[test]
    fn a_field_is_four_adjacent_bits() {
        assert!(Field::new(0xf000_0000).is_some());
        assert!(Field::new(0xf).is_some());
        for wrong in [0, 0x7, 0x1f, 0x55, 0xff, 0xf00f, 0x8000_0007] {
            assert!(Field::new(wrong).is_none(), "{wrong:#x}");
        }
    }

    #[test]
    fn other_bits_stay() {
        let field = Field::new(0x00f0_0000).unwrap();
        let mark = field.write(0xffff_ffff, Code::Inspect(3));
        assert_eq!(mark, 0xffbf_ffff);
        assert_eq!(field.read(mark), Code::Inspect(3));
    }
}
