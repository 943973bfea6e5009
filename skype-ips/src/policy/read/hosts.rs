//! What files say of hosts: one answer for the whole configuration.

use std::time::Duration;

use toml::Spanned;
use toml::de::DeTable;

use super::super::host::{HOST_BITS, HostRule, NETWORK_BITS};
use super::language::{HOST_PREFIX_V6, HOST_TIMEOUT};
use crate::toml_file::{Excerpt, Key, Reader, quantity, quoted};

/// The shortest `host-timeout`: evidence of an endpoint may be that far apart, and hosts that only keep
/// their session alive say something about once a minute.
const SHORTEST: Duration = Duration::from_secs(60);

/// What was said first, and where.
type Said<T> = Option<(T, Excerpt)>;

/// What the files read so far say.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    prefix_v6: Said<u8>,
    timeout: Said<Duration>,
}

impl Hosts {
    /// Takes in what a file says.
    pub(super) fn read(&mut self, reader: &mut Reader<'_>, root: &DeTable<'_>) {
        let prefix = prefix_v6(reader, root);
        once(reader, &HOST_PREFIX_V6, &mut self.prefix_v6, prefix);
        let timeout = reader.parsed(root, &HOST_TIMEOUT, |text| {
            let timeout = quantity::<Duration>(text)?;
            if timeout >= SHORTEST {
                return Ok(timeout);
            }
            let message = format!("{} is too short: hosts are silent for longer", quoted(text));
            Err((message, "write at least \"1 min\"".into()))
        });
        once(reader, &HOST_TIMEOUT, &mut self.timeout, timeout);
    }

    /// What holds.
    pub(super) fn rule(&self) -> HostRule {
        let prefix = self.prefix_v6.as_ref().map(|(bits, _)| *bits);
        HostRule {
            prefix_v6: prefix.unwrap_or(HostRule::default().prefix_v6),
            timeout: self.timeout.as_ref().map(|(timeout, _)| *timeout),
        }
    }
}

fn prefix_v6(reader: &mut Reader<'_>, root: &DeTable<'_>) -> Option<Spanned<u8>> {
    let bits = reader.integer(root, &HOST_PREFIX_V6, 0..=u32::MAX)?;
    let known = [NETWORK_BITS, HOST_BITS].into_iter();
    let one = known.clone().find(|one| u32::from(*one) == *bits.get_ref());
    if one.is_none() {
        let message = format!("a host can't be a prefix of {} bits", bits.get_ref());
        let help = "write 128 (each address is a host) or 64 (each network of 64 bits is one)";
        reader.error(bits.span(), message, help);
    }
    Some(Spanned::new(bits.span(), one?))
}

/// Keeps what was said first, and refuses what differs from it.
fn once<T: PartialEq>(
    reader: &mut Reader<'_>,
    key: &Key,
    said: &mut Said<T>,
    value: Option<Spanned<T>>,
) {
    let Some(value) = value else {
        return;
    };
    let at = value.span();
    match said {
        None => *said = Some((value.into_inner(), reader.at(at))),
        Some((first, first_at)) if *first != *value.get_ref() => {
            let message = format!("`{}` is said twice, and not the same", key.name);
            let help = "say it in one file: it holds for the whole configuration";
            reader.conflict(at, message, help, first_at.clone(), "said here first");
        }
        Some(_) => {}
    }
}
