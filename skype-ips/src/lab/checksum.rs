//! The Internet checksum (RFC 1071).

/// The checksum of some parts one after the other, all but the last of even length.
pub(super) fn of(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u64;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u64::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn the_sum_of_data_and_its_checksum_is_zero() {
        let data = [
            0x45, 0, 0, 0x73, 0, 0, 0x40, 0, 0x40, 0x11, 0, 0, 0xc0, 0xa8, 0, 1, 0xc0,
        ];
        let sum = of(&[&data[..10], &data[10..]]);
        assert_ne!(sum, 0);
        assert_eq!(of(&[&sum.to_be_bytes(), &data]), 0);
    }

    #[test]
    fn the_example_of_the_rfc_gives_its_sum() {
        assert_eq!(
            of(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]),
            !0xddf2
        );
    }
}
