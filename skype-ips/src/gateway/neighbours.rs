//! An inside address that another machine has is another host: nothing that was learned of it holds.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::{MissedTickBehavior, interval};

use super::audit::Outcome;
use super::{Gateway, inside};
use crate::hosts::endpoints::Host;
use crate::kernel::{Mac, Moved, Neighbours};
use crate::policy::from_mapped;
use crate::telemetry::Who;

/// Hosts are forgotten together, at most this often: it takes a pass through all that is known, and
/// whoever can send in another's name could ask for many.
const PACE: Duration = Duration::from_secs(1);

/// Forgets inside hosts whose address has another MAC than before, until it is aborted.
pub(super) async fn follow(gateway: Arc<Gateway>) {
    let links = inside(&gateway.hooked).map(|hook| &hook.link);
    let links = links.filter(|link| link.ethernet);
    let numbers: Vec<u32> = links.map(|link| link.index).collect();
    let mut neighbours = match Neighbours::open(numbers) {
        Ok(neighbours) => neighbours,
        Err(error) => {
            tracing::warn!(
                "the neighbour table can't be read ({error}): set `host-timeout`, or what was learned of \
                 an address may be held against who gets it next"
            );
            return;
        }
    };
    let mut waiting = FxHashMap::default();
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            moved = neighbours.moved() => match moved {
                Ok(moved) => waiting.extend(moved.into_iter().map(|one| (gateway.host(&one), one))),
                Err(error) => {
                    tracing::error!("the neighbour table is not followed any more: {error}");
                    return;
                }
            },
            _ = pace.tick(), if !waiting.is_empty() => {
                gateway.forget_moved(std::mem::take(&mut waiting)).await;
            }
        }
    }
}

impl Gateway {
    fn host(&self, moved: &Moved) -> Host {
        let place = self.shared.places.get(&moved.interface);
        (place.map_or(0, |place| place.zone), moved.address)
    }

    async fn forget_moved(&self, moved: FxHashMap<Host, Moved>) {
        let Ok(known) = self.forget_hosts(moved.keys().copied().collect()).await else {
            tracing::error!(
                "a queue's thread doesn't answer: it may know hosts by what others did"
            );
            return;
        };
        for (host, count) in known {
            let Some(moved) = moved.get(&host) else {
                continue;
            };
            let reason = format!(
                "its MAC address was {} and is {}",
                words(&moved.before),
                words(&moved.after)
            );
            let mut change = self.change("forget", Who::Daemon, Some(&reason));
            change.host = Some(from_mapped(&moved.address).to_string());
            self.audit(
                change,
                Outcome::Done,
                format!("{count} things were known of it"),
            );
        }
    }
}

fn words(mac: &Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
