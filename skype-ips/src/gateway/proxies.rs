//! Proxies on the gateway itself. What passes through one arrives at the gateway and begins there
//! anew, and only forwarded packets are judged: Skype inside is not seen.

use std::collections::BTreeSet;

/// Where proxies listen by custom: SOCKS (IANA), Squid, HTTP's second port, Privoxy, Tor.
const USUAL: [u16; 5] = [1080, 3128, 8080, 8118, 9050];
/// State of a listening socket in `/proc/net/tcp` (proc_pid_net(5)).
const LISTEN: &str = "0A";

/// Ports of proxies that seem to run here and can be reached from elsewhere.
pub(super) fn listening() -> Vec<u16> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let ports: BTreeSet<u16> = tables
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok())
        .flat_map(|table| table.lines().filter_map(port).collect::<Vec<_>>())
        .collect();
    ports.into_iter().collect()
}

/// The port of a line, if a proxy may listen there for others than this machine.
fn port(line: &str) -> Option<u16> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let (address, port) = words.next()?.rsplit_once(':')?;
    if words.nth(1)? != LISTEN || is_loopback(address) {
        return None;
    }
    let port = u16::from_str_radix(port, 16).ok()?;
    USUAL.contains(&port).then_some(port)
}

/// Addresses stand there as words of this machine's byte order.
fn is_loopback(address: &str) -> bool {
    let words = address.as_bytes().chunks(8).map(|word| {
        let word = std::str::from_utf8(word).ok()?;
        Some(u32::from_str_radix(word, 16).ok()?.to_ne_bytes())
    });
    let Some(bytes) = words.collect::<Option<Vec<_>>>() else {
        return false;
    };
    match bytes.concat()[..] {
        [127, _, _, _] => true,
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1] => true,
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, first, ..] => first == 127,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_that_others_reach_are_told_from_local_ones_and_from_connections() {
        let line = |address: &str, port: u16, state: &str| {
            let remote = "0".repeat(address.len());
            format!(" 7: {address}:{port:04X} {remote}:0000 {state} 00000000:00000000 00:0")
        };
        let word = |octets: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(octets));
        let (any, zero) = ("0".repeat(32), word([0; 4]));
        let private = word([192, 168, 1, 1]);
        assert_eq!(port(&line(&zero, 3128, "0A")), Some(3128));
        assert_eq!(port(&line(&private, 1080, "0A")), Some(1080));
        assert_eq!(port(&line(&any, 8080, "0A")), Some(8080));
        let here = [zero.repeat(3), word([0, 0, 0, 1])].concat();
        let mapped = [zero.repeat(2), word([0, 0, 255, 255]), word([127, 0, 0, 1])].concat();
        for local in [word([127, 0, 0, 1]), here, mapped] {
            assert_eq!(port(&line(&local, 3128, "0A")), None, "{local}");
        }
        assert_eq!(port(&line(&zero, 3128, "01")), None);
        assert_eq!(port(&line(&zero, 22, "0A")), None);
        assert_eq!(port("  sl  local_address rem_address   st tx_queue"), None);
    }
}
