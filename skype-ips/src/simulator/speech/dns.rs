//! Questions for a name and their answers (RFC 1035).

use std::net::Ipv4Addr;

fn question(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut bytes: Vec<u8> = labels
        .flat_map(|label| [&[label.len() as u8][..], label.as_bytes()].concat())
        .collect();
    // The root, type A, class IN.
    bytes.extend([0, 0, 1, 0, 1]);
    bytes
}

/// A question for the address of `name`, whose labels are 63 bytes long at most.
pub fn query(id: u16, name: &str) -> Vec<u8> {
    let head = [0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
    [id.to_be_bytes().as_slice(), &head, &question(name)].concat()
}

/// Its answer: one address, good for five minutes.
pub fn response(id: u16, name: &str, address: Ipv4Addr) -> Vec<u8> {
    let head = [0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
    // The name of the question again, type A, class IN, 300 seconds, four bytes.
    let record = [0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0x01, 0x2c, 0, 4];
    let id = id.to_be_bytes();
    [&id[..], &head, &question(name), &record, &address.octets()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels_with_their_lengths() {
        let query = query(0x0102, "ui.skype.com");
        assert_eq!(&query[12..], b"\x02ui\x05skype\x03com\0\0\x01\0\x01");
        assert_eq!(query[..4], [1, 2, 1, 0]);
        let response = response(0x0102, "ui.skype.com", Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!(response[12..query.len()], query[12..]);
        assert_eq!(response[response.len() - 4..], [192, 0, 2, 1]);
    }
}
