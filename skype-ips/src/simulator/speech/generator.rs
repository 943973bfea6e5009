use skype_ips_common::lcg;

/// The random generator of one Skype process, from which it draws IVs, padding and challenges
/// (Biondi; its constants are derived in [`skype_ips_common::lcg`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generator {
    state: u32,
}

impl Generator {
    /// A generator that stands at `state`.
    pub const fn new(state: u32) -> Self {
        Self { state }
    }

    /// Where it stands: the word drawn last.
    pub const fn state(&self) -> u32 {
        self.state
    }

    /// Draws so many numbers that are never seen.
    pub fn advance(&mut self, steps: u32) {
        for _ in 0..steps {
            self.state = lcg::next(self.state);
        }
    }

    /// Draws a word: an IV is one.
    pub fn word(&mut self) -> u32 {
        self.advance(1);
        self.state
    }

    /// Draws bytes, the low ones of successive states: padding and challenges are such.
    pub fn low_bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.word() as u8).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_the_ivs_of_an_open_capture() {
        // SkypeIRC.cap, packets 15ec, 15ee, 15f0.
        let mut generator = Generator::new(0x7f0d_ac3a);
        let drawn = [(); 3].map(|()| generator.word());
        assert_eq!(drawn, [0x1bec_1ee3, 0x7889_8538, 0x071b_c849]);
        assert_eq!(generator.state(), 0x071b_c849);
    }

    #[test]
    fn bytes_are_the_low_ones_of_words() {
        let (mut words, mut bytes) = (Generator::new(5), Generator::new(5));
        let low: Vec<u8> = (0..300).map(|_| words.word() as u8).collect();
        assert_eq!(bytes.low_bytes(300), low);
    }
}
