//! The order in which a client looks for a super node: datagrams, then TCP to the same port, then
//! to 443 and 80, and all of it again (Baset 2004; Ehlert 2006; measured in 2015).

use std::collections::VecDeque;
use std::net::SocketAddrV4;
use std::time::Duration;

use crate::simulator::party::Generation;

/// Rounds before a client gives up: the first and four more (Baset).
const ROUNDS: u32 = 5;
/// Between the last rung and the next round (Baset).
const ROUND_PAUSE: Duration = Duration::from_secs(6);
/// Between TCP to a high port and to 443 of the same host: median of 62 measured in 2015.
const RUNG_PAUSE: Duration = Duration::from_millis(1610);
/// How long UDP is given before TCP is tried (Baset).
const UDP_PATIENCE: Duration = Duration::from_secs(5);
/// Between two batches of probes in 2015 (measured).
const BATCH_PAUSE: Duration = Duration::from_millis(1010);
/// Super nodes asked at once.
const BATCH: usize = 5;
/// Super nodes that TCP is tried to in a round.
const TCP_HOSTS: usize = 3;

/// A way to a super node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// A probe, and TCP to the port that accepted.
    Udp,
    /// TCP to the same port, unasked.
    Tcp,
    /// TCP to 443, disguised as TLS.
    Tcp443,
    /// TCP to 80.
    Tcp80,
}

impl Way {
    /// What the figures call it; `proxied`: through a proxy.
    pub(super) const fn name(self, proxied: bool) -> &'static str {
        match (self, proxied) {
            (Self::Udp, _) => "udp",
            (_, true) => "proxy",
            (Self::Tcp, _) => "tcp",
            (Self::Tcp443, _) => "tcp-443",
            (Self::Tcp80, _) => "tcp-80",
        }
    }

    /// Where it leads to at the host that listens at `host`.
    pub(super) fn to(self, host: SocketAddrV4) -> SocketAddrV4 {
        let port = match self {
            Self::Udp | Self::Tcp => host.port(),
            Self::Tcp443 => 443,
            Self::Tcp80 => 80,
        };
        SocketAddrV4::new(*host.ip(), port)
    }

    /// Whether it is disguised as TLS.
    pub(super) fn disguised(self) -> bool {
        self == Self::Tcp443
    }
}

/// What to do next, and how long to wait before the next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The way.
    pub(super) way: Way,
    /// Whether to connect; else to send probes.
    pub(super) connect: bool,
    /// To these, of which the listening ports are told.
    pub(super) hosts: Vec<SocketAddrV4>,
    /// Then wait.
    pub(super) pause: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rung {
    Udp { batch: usize },
    Tcp,
    Tcp443,
    Tcp80,
}

/// One attempt to sign in: where it stands.
#[derive(Clone, Debug)]
pub(super) struct Ladder {
    generation: Generation,
    udp: bool,
    /// Those still to be asked, in order; who has been asked goes to the end.
    hosts: VecDeque<SocketAddrV4>,
    bootstrap: Vec<SocketAddrV4>,
    /// Those that have accepted by datagram and were not tried by TCP yet.
    accepted: VecDeque<SocketAddrV4>,
    round: u32,
    rung: Rung,
    /// What this round's TCP is tried to.
    chosen: Vec<SocketAddrV4>,
}

impl Ladder {
    /// From the bottom. `cache` are the known super nodes in the order in which they are asked,
    /// `bootstrap` the built-in ones: asked with the first round if there are no others, with the
    /// second if the others are silent.
    pub(super) fn new(
        generation: Generation,
        udp: bool,
        cache: Vec<SocketAddrV4>,
        bootstrap: Vec<SocketAddrV4>,
    ) -> Self {
        let mut ladder = Self {
            generation,
            udp,
            hosts: cache.into(),
            bootstrap,
            accepted: VecDeque::new(),
            round: 0,
            rung: Rung::Udp { batch: 0 },
            chosen: Vec::new(),
        };
        if ladder.hosts.is_empty() {
            ladder.add_bootstrap();
        }
        ladder.begin_round();
        ladder
    }

    fn add_bootstrap(&mut self) {
        for node in std::mem::take(&mut self.bootstrap).into_iter().rev() {
            if !self.hosts.contains(&node) {
                self.hosts.push_front(node);
            }
        }
    }

    fn begin_round(&mut self) {
        self.chosen.clear();
        self.rung = match self.udp {
            true => Rung::Udp { batch: 0 },
            false => Rung::Tcp,
        };
    }

    /// The next step; `None`: all was tried in vain.
    pub(super) fn step(&mut self) -> Option<Step> {
        if self.round == ROUNDS || self.hosts.is_empty() {
            return None;
        }
        Some(match self.rung {
            Rung::Udp { batch } => self.probe(batch),
            Rung::Tcp => {
                let way = match self.accepted.pop_front() {
                    Some(host) => {
                        self.chosen = vec![host];
                        Way::Udp
                    }
                    None => {
                        self.chosen = self.take(TCP_HOSTS);
                        Way::Tcp
                    }
                };
                self.rung = Rung::Tcp443;
                self.connect(way, RUNG_PAUSE)
            }
            Rung::Tcp443 => {
                self.rung = Rung::Tcp80;
                self.connect(Way::Tcp443, RUNG_PAUSE)
            }
            Rung::Tcp80 => {
                let step = self.connect(Way::Tcp80, ROUND_PAUSE);
                self.round += 1;
                if self.round == 1 {
                    self.add_bootstrap();
                }
                self.begin_round();
                step
            }
        })
    }

    fn probe(&mut self, batch: usize) -> Step {
        // 2006: five at once, and wait; 2015: five each second, as long as there are others.
        let batches = match self.generation {
            Generation::Y2006 => 1,
            Generation::Y2015 => self.hosts.len().div_ceil(BATCH).min(5),
        };
        let last = batch + 1 == batches;
        self.rung = if last {
            Rung::Tcp
        } else {
            Rung::Udp { batch: batch + 1 }
        };
        let asked = BATCH_PAUSE * batch as u32;
        Step {
            way: Way::Udp,
            connect: false,
            hosts: self.take(BATCH),
            pause: match last {
                true => UDP_PATIENCE - asked,
                false => BATCH_PAUSE,
            },
        }
    }

    fn connect(&self, way: Way, pause: Duration) -> Step {
        Step {
            way,
            connect: true,
            hosts: self.chosen.clone(),
            pause,
        }
    }

    /// The next so many hosts, which go to the end.
    fn take(&mut self, count: usize) -> Vec<SocketAddrV4> {
        let count = count.min(self.hosts.len());
        let taken: Vec<_> = self.hosts.iter().take(count).copied().collect();
        self.hosts.rotate_left(count);
        taken
    }

    /// A super node has accepted by datagram. Whether it is the first: the next step is due at
    /// once then.
    pub(super) fn accepted(&mut self, host: SocketAddrV4) -> bool {
        if self.accepted.contains(&host) || self.chosen.contains(&host) {
            return false;
        }
        let at_once = matches!(self.rung, Rung::Udp { .. }) || self.rung == Rung::Tcp;
        self.accepted.push_back(host);
        self.rung = if at_once { Rung::Tcp } else { self.rung };
        at_once && self.accepted.len() == 1
    }

    /// A super node has named others. Those that are new are returned: ask them too.
    pub(super) fn redirect(&mut self, others: &[SocketAddrV4]) -> Vec<SocketAddrV4> {
        let new: Vec<_> = (others.iter().copied())
            .filter(|other| !self.hosts.contains(other))
            .collect();
        for other in new.iter().rev() {
            self.hosts.push_front(*other);
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn node(last: u8) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, last), 40_000 + u16::from(last))
    }

    fn nodes(count: u8) -> Vec<SocketAddrV4> {
        (1..=count).map(node).collect()
    }

    fn ways(ladder: &mut Ladder) -> Vec<(Way, usize, u64)> {
        std::iter::from_fn(|| ladder.step())
            .map(|step| (step.way, step.hosts.len(), step.pause.as_millis() as u64))
            .collect()
    }

    #[test]
    fn five_rounds_lead_from_udp_to_port_80_and_then_it_gives_up() {
        let mut ladder = Ladder::new(Generation::Y2006, true, nodes(9), Vec::new());
        let round = [
            (Way::Udp, 5, 5000),
            (Way::Tcp, 3, 1610),
            (Way::Tcp443, 3, 1610),
            (Way::Tcp80, 3, 6000),
        ];
        assert_eq!(ways(&mut ladder), round.repeat(5));
    }

    #[test]
    fn without_udp_the_ladder_begins_with_tcp() {
        let mut ladder = Ladder::new(Generation::Y2015, false, nodes(1), Vec::new());
        let ways: Vec<_> = ways(&mut ladder).into_iter().map(|step| step.0).collect();
        let round = [Way::Tcp, Way::Tcp443, Way::Tcp80];
        assert_eq!(ways, round.repeat(5));
    }

    #[test]
    fn in_2015_five_others_are_asked_each_second() {
        let mut ladder = Ladder::new(Generation::Y2015, true, nodes(12), Vec::new());
        let steps: Vec<_> = (0..4).filter_map(|_| ladder.step()).collect();
        assert_eq!(steps[0].hosts, nodes(12)[..5]);
        assert_eq!(steps[1].hosts, nodes(12)[5..10]);
        assert_eq!(steps[0].pause, BATCH_PAUSE);
        assert_eq!(steps[3].way, Way::Tcp);
        let waited: Duration = steps[..3].iter().map(|step| step.pause).sum();
        assert_eq!(waited, UDP_PATIENCE);
    }

    #[test]
    fn the_built_in_nodes_are_asked_when_the_cache_is_empty_or_silent() {
        let bootstrap = vec![node(77)];
        let mut empty = Ladder::new(Generation::Y2006, true, Vec::new(), bootstrap.clone());
        let first = empty.step().expect("a step");
        assert_eq!(first.hosts, bootstrap);
        let mut silent = Ladder::new(Generation::Y2006, true, nodes(2), bootstrap);
        let steps: Vec<_> = (0..5).filter_map(|_| silent.step()).collect();
        assert_eq!(steps[0].hosts, nodes(2));
        assert_eq!(steps[4].hosts[0], node(77));
    }

    #[test]
    fn who_accepts_is_connected_to_at_once_and_only_then_its_other_ports() {
        let mut ladder = Ladder::new(Generation::Y2006, true, nodes(5), Vec::new());
        ladder.step();
        assert!(ladder.accepted(node(4)));
        assert!(!ladder.accepted(node(2)), "one at a time");
        let steps: Vec<_> = (0..3).filter_map(|_| ladder.step()).collect();
        let seen: Vec<_> = steps
            .iter()
            .map(|step| (step.way, &step.hosts[..]))
            .collect();
        let four = &[node(4)][..];
        assert_eq!(
            seen,
            [(Way::Udp, four), (Way::Tcp443, four), (Way::Tcp80, four)]
        );
    }

    #[test]
    fn others_that_are_named_are_asked_once() {
        let mut ladder = Ladder::new(Generation::Y2006, true, nodes(2), Vec::new());
        assert_eq!(ladder.redirect(&[node(1), node(9)]), [node(9)]);
        assert_eq!(ladder.redirect(&[node(9)]), []);
        assert_eq!(ladder.step().expect("a step").hosts[0], node(9));
    }

    #[test]
    fn nobody_known_is_nobody_asked() {
        let mut ladder = Ladder::new(Generation::Y2006, true, Vec::new(), Vec::new());
        assert_eq!(ladder.step(), None);
    }
}
