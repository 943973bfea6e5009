//! What inside hosts do for others. That their flows are Skype is known otherwise, and as sure as
//! before.

use skype_ips_common::layout::{EndpointKey, FlowKey, FlowState, OUTBOUND, TCP, UDP};

use super::{Engine, Event, Finding, Packet, Subject, TICK, datagrams_of, traffic};
use crate::detect::Evidence;
use crate::detect::media::{Counters, Traffic, Window};
use crate::detect::relay::{self, Leg, Likeness};
use crate::detect::udp::Message;
use crate::hosts::relays::{LegOf, session};
use crate::hosts::services::Change;
use crate::hosts::watches::Watched;
use crate::policy::{Class, Role, from_mapped};

/// The two legs of a session begin to carry within so many looks of each other, 10 s: what was said
/// before it may be the beginning of one.
const START: u64 = 20;
/// Two files that begin within so many looks of each other may be one.
const TOGETHER: u64 = 2;
/// Legs are looked for among what began to carry something so many looks ago at the most, two minutes.
const YOUNG: u64 = 240;
/// Most pairs that are compared at a look.
const MOST_PAIRS: usize = 4096;
/// A peer with which media went to and fro for so many looks is a friend.
const TALKS: u64 = 20;

/// Bytes of headers in a packet of a connection: with options, so that an answer isn't made of them.
const HEADERS: u64 = 60;
/// Least payload of an answer: a key (48 bytes) or a legacy stream's first (26).
const ANSWER: u64 = 26;

/// A flow that may be a leg.
struct Candidate<'a> {
    key: &'a FlowKey,
    watched: &'a Watched,
    since: u64,
}

impl Engine {
    /// Flows whose counters are worth a look now, 4,096 at the most; those of one host beside each
    /// other. To be asked each [`TICK`], before [`Engine::tick`].
    pub fn watching(&self) -> Vec<FlowKey> {
        self.watches.keys()
    }

    /// Takes in what the gate has counted of a flow of [`Engine::watching`].
    pub fn counters(
        &mut self,
        now: u64,
        key: &FlowKey,
        state: &FlowState,
        events: &mut Vec<Event>,
    ) {
        let Some(finding) = self.finding(key) else {
            self.watches.forget(key);
            return;
        };
        self.is_counted(now, key, state.packets[OUTBOUND]);
        let Some(watched) = self.watches.look(key, now, state) else {
            return;
        };
        let (packet, carried) = (watched.packet, watched.carried());
        let (called, own) = (watched.called, watched.own);
        let endpoint = self.served_at(key);
        if let Some(endpoint) = endpoint
            && carried.is_some_and(|(looks, counters)| {
                looks >= TALKS && window(key, looks, counters).traffic() != Traffic::Quiet
            })
        {
            self.services.talks(&endpoint, now, &key.outside);
        } else if key.protocol == TCP
            && let Some(endpoint) = endpoint
        {
            self.services
                .connected(&endpoint, now, &key.outside, packet);
            self.serves_flow(now, key, finding, &endpoint, events);
        }
        let payload = state.bytes[OUTBOUND].saturating_sub(state.packets[OUTBOUND] * HEADERS);
        if key.protocol == TCP && called && payload >= ANSWER {
            self.answered(now, key, own);
        }
    }

    /// A message of a known endpoint: who comes to it, and whom it answers.
    pub(super) fn serve(&mut self, packet: &Packet<'_>, message: &Message) {
        let (now, key) = (packet.now, &packet.key);
        let endpoint = key.endpoint();
        if packet.outbound {
            let number = packet.number;
            self.services
                .answers(&endpoint, now, &key.outside, message, number);
        } else if matches!(message, Message::Payload(_))
            && !self.flows.exchanges(key, now).has_messages(OUTBOUND)
        {
            self.services.comes(&endpoint, now, &key.outside);
        }
    }

    /// The endpoint whose client a flow has come to: a datagram's own, or that of the port which a
    /// connection was opened to. Connections that a client opens leave from any other port.
    fn served_at(&self, key: &FlowKey) -> Option<EndpointKey> {
        let endpoint = datagrams_of(key);
        if self.endpoints.finding(&endpoint).is_some() {
            return Some(endpoint);
        }
        let web = key.protocol == TCP && matches!(key.inside_port, 80 | 443);
        web.then(|| {
            self.endpoints
                .speaking(&self.host_of(key.zone, &key.inside))
        })?
    }

    /// What a connection that was just found is: served, if its endpoint serves others.
    pub(super) fn role_of(&self, key: &FlowKey) -> Role {
        let endpoint = self.served_at(key).filter(|_| key.protocol == TCP);
        let finding = endpoint.and_then(|endpoint| self.endpoints.finding(&endpoint));
        finding.map_or(Role::Client, |finding| finding.role)
    }

    /// A connection to an endpoint that serves others is served, unless it is more than that.
    fn serves_flow(
        &mut self,
        now: u64,
        key: &FlowKey,
        finding: Finding,
        endpoint: &EndpointKey,
        events: &mut Vec<Event>,
    ) {
        let role = self.endpoints.finding(endpoint).map(|found| found.role);
        let Some(role @ (Role::Client | Role::SuperNode)) = role else {
            return;
        };
        let plain = matches!(finding.role, Role::Client | Role::SuperNode)
            && finding.class == Class::Signaling;
        if !plain || finding.role == role {
            return;
        }
        let finding = Finding { role, ..finding };
        let evidence = self.of_role(endpoint, role);
        self.flows.found(key, finding, now);
        events.push(Event::found(now, *key, finding, 0, vec![evidence]));
    }

    /// The evidence for the role of an endpoint.
    fn of_role(&self, endpoint: &EndpointKey, role: Role) -> Evidence {
        let service = self.services.get(endpoint);
        match service.and_then(|service| service.since()) {
            Some((_, says, packet)) if role == Role::SuperNode => {
                Evidence::new("super-node-service", 0).citing(packet, 0..0, says.to_owned())
            }
            _ => Evidence::new("role-ended", 0),
        }
    }

    /// Looks who does what for others by now. After all counters of a look.
    pub(super) fn look_around(&mut self, now: u64, events: &mut Vec<Event>) {
        self.end_relays(now, events);
        self.find_relays(now, events);
        for (endpoint, change) in self.services.tick(now) {
            self.service(now, endpoint, change, events);
        }
        self.listen_around(now, events);
        self.watches.next(now);
    }

    /// An endpoint serves others from now on, or no longer.
    fn service(
        &mut self,
        now: u64,
        endpoint: EndpointKey,
        change: Change,
        events: &mut Vec<Event>,
    ) {
        let Some(known) = self.endpoints.finding_mut(&endpoint) else {
            return;
        };
        let (role, evidence) = match change {
            Change::Begins(says, packet) => {
                let evidence = Evidence::new("super-node-service", 0);
                (Role::SuperNode, evidence.citing(packet, 0..0, says))
            }
            Change::Ends => (Role::Client, Evidence::new("role-ended", 0)),
        };
        known.role = role;
        let finding = *known;
        if role == Role::SuperNode {
            self.friends_stay(now, &endpoint, finding, events);
        }
        let of_it = |key: &&FlowKey| key.protocol == UDP && key.endpoint() == endpoint;
        let flow = self.watches.iter().map(|(key, _)| key).find(of_it);
        let flow = flow.copied().unwrap_or(FlowKey {
            zone: endpoint.zone,
            protocol: UDP,
            inside_port: endpoint.port,
            inside: endpoint.inside,
            ..FlowKey::default()
        });
        events.push(Event::Found {
            at: now,
            subject: Subject::Endpoint(endpoint),
            flow,
            finding,
            session: 0,
            evidence: vec![evidence.clone()],
        });
        if let Some(endpoint) = endpoint.listener() {
            events.push(Event::Listening {
                at: now,
                endpoint,
                finding,
                evidence: vec![evidence],
            });
        }
    }

    /// Those with whom the user of a super node talks already are not served, whichever end sent first.
    fn friends_stay(
        &mut self,
        now: u64,
        endpoint: &EndpointKey,
        finding: Finding,
        events: &mut Vec<Event>,
    ) {
        let own = self.watches.iter().filter(|(key, _)| {
            key.protocol == UDP && key.endpoint() == *endpoint && self.relays.get(key).is_none()
        });
        for (key, watched) in own {
            let Some((looks, counters)) = watched.carried() else {
                continue;
            };
            let carries = window(key, looks, counters).traffic();
            let class = traffic::class(carries, Class::Signaling);
            let role = traffic::role(finding.role, class);
            if role != finding.role {
                let finding = Finding {
                    role,
                    class,
                    ..finding
                };
                let says = "media goes to and fro".to_owned();
                let evidence = Evidence::new("media-statistics", 0);
                let evidence = evidence.citing(watched.packet, 0..0, says);
                events.push(Event::found(now, *key, finding, 0, vec![evidence]));
            }
        }
    }

    /// Legs over which hardly anything has come for half a minute are legs no more.
    fn end_relays(&mut self, now: u64, events: &mut Vec<Event>) {
        let over = |key: &FlowKey| self.watches.get(key).is_none_or(Watched::is_over);
        let over: Vec<_> = self
            .relays
            .iter()
            .map(|(key, _)| *key)
            .filter(over)
            .collect();
        for key in over {
            if let Some(leg) = self.relays.remove(&key) {
                self.end_leg(now, &key, leg.finding, events);
            }
        }
    }

    fn end_leg(&mut self, now: u64, key: &FlowKey, finding: Finding, events: &mut Vec<Event>) {
        let finding = Finding {
            role: self.role_of(key),
            class: Class::Signaling,
            ..finding
        };
        if key.protocol == TCP {
            self.flows.found(key, finding, now);
        }
        events.push(Event::found(
            now,
            *key,
            finding,
            0,
            vec![Evidence::new("role-ended", 0)],
        ));
    }

    /// Finds pairs of flows through one host to two others that are legs of one session.
    fn find_relays(&mut self, now: u64, events: &mut Vec<Event>) {
        let look = self.watches.number();
        let mut candidates: Vec<_> = self
            .watches
            .carrying()
            .filter_map(|(key, watched)| {
                let since = watched.carries_since()?;
                let young = watched.is_of(look) && look - since <= YOUNG;
                let fits = young && self.relays.get(key).is_none() && self.may_be_leg(key);
                fits.then_some(Candidate {
                    key,
                    watched,
                    since,
                })
            })
            .collect();
        let host = |one: &Candidate<'_>| self.host_of(one.key.zone, &one.key.inside);
        candidates.sort_unstable_by_key(|one| (host(one), one.since, *one.key));
        let mut pairs = Vec::new();
        let mut compared = 0;
        for (place, one) in candidates.iter().enumerate() {
            let near = candidates[place + 1..]
                .iter()
                .take_while(|other| host(other) == host(one) && other.since - one.since <= START);
            for other in near.filter(|other| other.key.outside != one.key.outside) {
                if compared == MOST_PAIRS {
                    break;
                }
                compared += 1;
                if let Some(likeness) =
                    compare(one, other).filter(|likeness| likeness.are_legs(same_file(one, other)))
                {
                    pairs.push((
                        likeness,
                        *one.key,
                        *other.key,
                        one.since.abs_diff(other.since),
                    ));
                }
            }
        }
        // The best match has the first choice.
        pairs.sort_by_key(|(likeness, one, other, _)| {
            (std::cmp::Reverse(likeness.bits), *one, *other)
        });
        for (likeness, one, other, apart) in pairs {
            if self.relays.get(&one).is_none() && self.relays.get(&other).is_none() {
                let apart = apart * TICK / 1_000_000;
                let says = format!(
                    "began within {apart} ms of each other; {}",
                    likeness.words()
                );
                self.carries(now, [one, other], &says, events);
            }
        }
    }

    /// Whether what is known of a flow lets it be a leg.
    fn may_be_leg(&self, key: &FlowKey) -> bool {
        use Class::{FileTransfer, Signaling, Video, Voice};
        let finding = self.finding(key);
        finding.is_some_and(|found| matches!(found.class, Signaling | Voice | Video | FileTransfer))
    }

    /// Two flows are the legs of one session.
    fn carries(&mut self, now: u64, legs: [FlowKey; 2], says: &str, events: &mut Vec<Event>) {
        let session = session(&legs[0], &legs[1]);
        let class = self.class_of_legs(&legs);
        let packets = legs.map(|key| self.watches.get(&key).map_or(0, |watched| watched.packet));
        for (place, key) in legs.into_iter().enumerate() {
            let Some(known) = self.finding(&key) else {
                continue;
            };
            let finding = Finding {
                role: Role::Relay,
                class,
                ..known
            };
            let other = legs[1 - place];
            let to = from_mapped(&other.outside);
            let evidence = Evidence::new("relay-legs", 0)
                .citing(packets[place], 0..0, says.to_owned())
                .citing(
                    packets[1 - place],
                    0..0,
                    format!("the other leg, to {to} port {}", other.outside_port),
                );
            let leg = LegOf {
                session,
                other,
                finding,
                since: now,
                says: says.to_owned(),
            };
            if key.protocol == TCP {
                self.flows.found(&key, finding, now);
            }
            if let Some((gone, leg)) = self.relays.found(&key, leg) {
                self.end_leg(now, &gone, leg.finding, events);
            }
            events.push(Event::found(now, key, finding, session, vec![evidence]));
        }
    }

    /// What both legs carry: what either looks like.
    fn class_of_legs(&self, legs: &[FlowKey; 2]) -> Class {
        let looks = legs.iter().filter_map(|key| {
            let (looks, counters) = self.watches.get(key)?.carried()?;
            let traffic = window(key, looks, counters).traffic();
            (traffic != Traffic::Quiet).then(|| traffic::class(traffic, Class::Signaling))
        });
        // A leg that loses some of it looks like less.
        looks.max().unwrap_or(Class::Signaling)
    }
}

/// What a flow has carried between so many looks.
fn window(key: &FlowKey, looks: u64, counted: Counters) -> Window {
    Window {
        duration: looks * TICK,
        counted,
        headers: traffic::headers_of(key),
    }
}

/// What it counts that two flows carry one file.
fn same_file(one: &Candidate<'_>, other: &Candidate<'_>) -> u32 {
    let files = [one, other].map(|candidate| {
        let (looks, counters) = candidate.watched.carried()?;
        let traffic = window(candidate.key, looks, counters).traffic();
        (traffic == Traffic::File).then_some(counters)
    });
    let [Some(first), Some(second)] = files else {
        return 0;
    };
    let together = one.since.abs_diff(other.since) <= TOGETHER;
    if together && relay::same_amount(&first, &second) {
        relay::SAME_FILE
    } else {
        0
    }
}

fn compare(one: &Candidate<'_>, other: &Candidate<'_>) -> Option<Likeness> {
    let looks = [one.watched.looks(), other.watched.looks()];
    let leg = |candidate: &Candidate<'_>, place: usize| Leg {
        protocol: candidate.key.protocol,
        v4: from_mapped(&candidate.key.inside).is_ipv4(),
        looks: &looks[place],
    };
    relay::compare(leg(one, 0), leg(other, 1))
}
