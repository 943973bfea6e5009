//! Questions of the control side to the shards, which answer between packets.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;
use skype_ips_common::layout::{Address, FlowKey, FlowState, Verdict};
use tokio::sync::oneshot;

use crate::engine::view::{FlowView, HostView};
use crate::hosts::endpoints::Host;
use crate::policy::Action;

/// Longest wait for a shard: it looks up from its queue twenty times a second.
const PATIENCE: Duration = Duration::from_secs(5);

/// What of a long list is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Only of this host.
    pub host: Option<Address>,
    /// How many are left out at the beginning.
    pub offset: usize,
    /// How many are shown at the most.
    pub limit: usize,
}

/// Part of a list.
#[derive(Clone, Debug, Serialize)]
pub struct Part<T> {
    /// How many there are together.
    pub total: usize,
    /// Some of them, in their order.
    pub list: Vec<T>,
}

/// A flow that is known to be Skype, and what is done with it.
#[derive(Clone, Debug, Serialize)]
pub struct KnownFlow {
    /// What it is.
    #[serde(flatten)]
    pub view: FlowView,
    /// The policy of its inside host; `null` if it is under none.
    pub policy: Option<String>,
    /// What is done with it now.
    pub action: Option<Action>,
    /// The budgets that it obeys.
    pub budgets: Vec<String>,
}

/// What the tables of the gate say of a flow.
#[derive(Clone, Debug, Default)]
pub(super) struct Traced {
    pub(super) known: Option<KnownFlow>,
    /// What the gate counted.
    pub(super) state: Option<FlowState>,
    /// What the gate was told of the flow, else of its endpoint.
    pub(super) verdict: Option<Verdict>,
    pub(super) of_endpoint: bool,
}

/// What a shard is asked.
#[derive(Debug)]
pub(super) enum Request {
    Hosts(Page, oneshot::Sender<Part<HostView>>),
    Flows(Page, oneshot::Sender<Part<KnownFlow>>),
    Trace(FlowKey, oneshot::Sender<Traced>),
    Forget(
        Arc<FxHashSet<Host>>,
        oneshot::Sender<FxHashMap<Host, usize>>,
    ),
}

/// A shard's end.
#[derive(Debug)]
pub(super) struct Queries {
    receiver: Option<Receiver<Request>>,
}

impl Queries {
    /// Of a shard that nobody asks.
    pub(super) const fn none() -> Self {
        Self { receiver: None }
    }

    /// The next question, if there is one.
    pub(super) fn next(&self) -> Option<Request> {
        self.receiver.as_ref()?.try_recv().ok()
    }
}

/// The control side's ends, one per shard.
#[derive(Clone, Debug)]
pub(super) struct Requests {
    shards: Vec<Sender<Request>>,
}

/// Both ends for so many shards.
pub(super) fn channels(shards: usize) -> (Requests, Vec<Queries>) {
    let pair = |_| {
        let (sender, receiver) = channel();
        let receiver = Some(receiver);
        (sender, Queries { receiver })
    };
    let (shards, queries) = (0..shards).map(pair).unzip();
    (Requests { shards }, queries)
}

/// A shard didn't answer: it has ended, or hangs.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a queue's thread didn't answer within {} s", PATIENCE.as_secs())]
pub struct Silent;

impl Requests {
    /// Asks every shard, all at once.
    pub(super) async fn all<T>(
        &self,
        ask: impl Fn(oneshot::Sender<T>) -> Request,
    ) -> Result<Vec<T>, Silent> {
        let mut waiting = Vec::new();
        for shard in &self.shards {
            let (reply, answer) = oneshot::channel();
            shard.send(ask(reply)).map_err(|_| Silent)?;
            waiting.push(answer);
        }
        let mut answers = Vec::new();
        for answer in waiting {
            answers.push(within_patience(answer).await?);
        }
        Ok(answers)
    }
}

async fn within_patience<T>(answer: oneshot::Receiver<T>) -> Result<T, Silent> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        _ => Err(Silent),
    }
}

/// The page of a list of which each shard has a part; `order` is that of the shards too.
pub(super) fn page<T, K: Ord>(parts: Vec<Part<T>>, page: Page, order: impl Fn(&T) -> K) -> Part<T> {
    let total = parts.iter().map(|part| part.total).sum();
    let mut list: Vec<T> = parts.into_iter().flat_map(|part| part.list).collect();
    list.sort_by_key(order);
    let list = list.into_iter().skip(page.offset).take(page.limit);
    Part {
        total,
        list: list.collect(),
    }
}

/// What one shard gives to a page: what could stand on it.
pub(super) fn part<T>(list: impl IntoIterator<Item = T>, page: Page) -> Part<T> {
    let most = page.offset.saturating_add(page.limit);
    let mut list: Vec<T> = list.into_iter().collect();
    let total = list.len();
    list.truncate(most);
    Part { total, list }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_several_shards_join_without_gap_or_overlap() {
        let shards = [vec![1, 4, 7, 8], vec![2, 3], vec![5, 6, 9]];
        let mut seen = Vec::new();
        for offset in [0, 4, 8] {
            let asked = Page {
                host: None,
                offset,
                limit: 4,
            };
            let parts = shards.iter().map(|list| part(list.clone(), asked));
            let one = page(parts.collect(), asked, |number| *number);
            assert_eq!(one.total, 9);
            assert!(one.list.len() <= 4);
            seen.extend(one.list);
        }
        assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    }
}
