//! A prefix as people write it.

use std::net::IpAddr;

use ipnet::IpNet;

use super::super::model::MAPPED;
use crate::toml_file::quoted;

/// The prefix that `text` names, or what is wrong with it and what to write instead.
pub(super) fn parse(text: &str) -> Result<IpNet, (String, String)> {
    let wrong = |reason: &str, help: String| Err((format!("{} {reason}", quoted(text)), help));
    let instead = |net: IpNet| format!("write \"{net}\"");
    let net = match text.split_once('/') {
        None => text.parse::<IpAddr>().map(IpNet::from).ok(),
        Some((address, length)) => match (address.parse::<IpAddr>(), length.parse::<u8>()) {
            (Ok(address), Ok(length)) => match IpNet::new(address, length) {
                Ok(net) => Some(net),
                Err(_) => {
                    let most = IpNet::from(address).max_prefix_len();
                    return wrong(
                        &format!("has a prefix longer than {most} bits"),
                        format!("write at most /{most}"),
                    );
                }
            },
            (Ok(address), Err(_)) => {
                let mask = length.parse::<IpAddr>().ok();
                match mask.and_then(|mask| IpNet::with_netmask(address, mask).ok()) {
                    Some(net) => {
                        return wrong("has a mask for a prefix length", instead(net.trunc()));
                    }
                    None => None,
                }
            }
            _ => None,
        },
    };
    let Some(net) = net else {
        let help = "write a prefix such as \"10.0.0.0/8\" or \"fd00::/8\", a single address, or \"@group\"";
        return wrong("is no prefix", help.into());
    };
    if net.trunc() != net {
        let help = format!(
            "write \"{}\" for the network, or \"{}\" for the one host",
            net.trunc(),
            net.addr()
        );
        return wrong("has bits set behind its prefix", help);
    }
    match net {
        IpNet::V6(v6) if MAPPED.contains(&v6) => {
            let v4 = IpNet::new(
                v6.network().to_canonical(),
                v6.prefix_len() - MAPPED.prefix_len(),
            )
            .expect("at most 128 - 96 bits");
            wrong("is IPv4 in the form of IPv6", instead(v4))
        }
        net => Ok(net),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_single_addresses_are_read() {
        for (text, net) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("fd00::1", "fd00::1/128"),
            ("2001:DB8::/32", "2001:db8::/32"),
        ] {
            assert_eq!(parse(text), Ok(net.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn each_mistake_has_its_remedy() {
        for (text, message, help) in [
            (
                "10.1.2.3/8",
                "bits set behind",
                "\"10.0.0.0/8\" for the network, or \"10.1.2.3\"",
            ),
            ("fd00::1/64", "bits set behind", "\"fd00::/64\""),
            ("10.0.0.0/33", "longer than 32", "at most /32"),
            ("fd00::/129", "longer than 128", "at most /128"),
            ("10.1.0.0/255.255.0.0", "has a mask", "\"10.1.0.0/16\""),
            ("::ffff:10.0.0.0/104", "IPv4 in the form", "\"10.0.0.0/8\""),
            ("10.0.0.0/", "is no prefix", "such as"),
            ("10.0.0/8", "is no prefix", "such as"),
            ("10.0.0.0/-1", "is no prefix", "such as"),
            ("office", "is no prefix", "@group"),
            ("", "is no prefix", "such as"),
        ] {
            let (said, remedy) = parse(text).expect_err(text);
            assert!(said.contains(message), "{said}");
            assert!(remedy.contains(help), "{remedy}");
        }
    }
}
