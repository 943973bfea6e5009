//! TCP: findings are about the flow.

use std::net::IpAddr;

use skype_ips_common::layout::{INBOUND, OUTBOUND};

use super::hints::lifted;
use super::{Answer, Engine, Event, Packet};
use crate::detect::Evidence;
use crate::detect::asked::asked;
use crate::detect::flow::{Judgement, Kind, judge};
use crate::detect::generator::Generator;
use crate::detect::http::Purpose;
use crate::detect::mapping::Request;
use crate::detect::names::{Names, Owner};
use crate::detect::proxy::{self, Dialogue, Target};
use crate::detect::stream::{Head, Segment};
use crate::detect::upnp::{self, Post};
use crate::hosts::flows::{DIALOGUES, Opening};
use crate::hosts::names::Sighting;
use crate::policy::{Class, from_mapped};

/// Most steps from an endpoint's last IV to that of a stream (E11); 168 is the most measured.
const LINKED: u32 = 4096;

/// `tcp-udp-generator`: a stream of a host whose Skype is known begins with an IV that follows
/// from its datagrams'. It proves streams that are too short to prove themselves.
fn stream_link(program: &Generator, head: &Head, now: u64) -> Option<Evidence> {
    let word = u32::from_be_bytes(*head.bytes().first_chunk()?);
    let (steps, datagram) = program.steps_to(now, word)?;
    if !(1..=LINKED).contains(&steps) {
        return None;
    }
    let bits = 32 - steps.next_power_of_two().ilog2();
    let says = format!("IV {word:08x}, {steps} steps after that of the host's datagram {datagram}");
    Some(
        Evidence::new("tcp-udp-generator", bits)
            .citing(datagram, 3..7, "IV of the host's newest datagram")
            .citing_stream(head, 0..4, says),
    )
}

/// What the inside host asks of a router, with the number of the packet that names the port and the
/// port's place in that packet's payload.
fn asked_of_router(head: &Head, inside: IpAddr) -> (Post, u64) {
    match upnp::read(head.bytes(), inside) {
        Post::Mapping(request) => {
            let place = request.place.start as usize..request.place.end as usize;
            match head.brought(place).into_iter().next() {
                Some((packet, place)) => (Post::Mapping(Request { place, ..request }), packet),
                None => (Post::Other, 0),
            }
        }
        post => (post, 0),
    }
}

/// What the ends have said if `client` is a proxy's client.
fn dialogue_of(heads: &[Head; 2], client: usize) -> (Dialogue, Option<Target>) {
    let [asked, answered] = [&heads[client], &heads[client ^ 1]];
    match proxy::read(asked.bytes(), answered.bytes()) {
        // It may have begun before what was seen of it.
        (Dialogue::No | Dialogue::Refused, _) if !answered.is_told() => {
            proxy::read(asked.bytes(), &[])
        }
        read => read,
    }
}

/// What a proxy's client and its peer may have said by now. The client goes on after the consent
/// only, but perhaps not all of the dialogue was captured, or not in its order. The rest may still
/// come, so nothing is skipped for good.
fn behind_unheard(heads: &[Head; 2], client: usize) -> [Head; 2] {
    let mut behind = heads.clone();
    behind[client ^ 1].skip_gap();
    for _ in 0..DIALOGUES {
        let [asked, answered] = [client, client ^ 1].map(|end| behind[end].bytes());
        let lens = match proxy::read(asked, answered).0 {
            Dialogue::Consent(lens) | Dialogue::Again(lens) => lens,
            _ => match proxy::read(asked, &[]).0 {
                Dialogue::Asked(len) => [len, 0],
                _ => break,
            },
        };
        behind[client].skip(lens[0]);
        behind[client ^ 1].skip(lens[1]);
    }
    behind
}

/// Tries every test on what both ends have said, or on what they said behind a proxy's consent.
fn examine(opening: &mut Opening, acquainted: bool, names: &Names) -> Judgement {
    let mut dialogue = Dialogue::No;
    while opening.may_be_proxied() {
        let heads = opening.heads();
        let roles = [OUTBOUND, INBOUND].map(|client| (client, dialogue_of(heads, client)));
        let of_proxy = |(_, (dialogue, _)): &(usize, (Dialogue, _))| *dialogue != Dialogue::No;
        let Some((client, (said, target))) = roles.into_iter().find(of_proxy) else {
            break;
        };
        if let Some(evidence) = target.and_then(|target| target.evidence(&heads[client], names)) {
            return Judgement::Proved(Kind::Service(Purpose::Other), evidence);
        }
        dialogue = said;
        match said {
            Dialogue::Again(lens) => opening.begin_again(client, lens, false),
            Dialogue::Consent(lens) => opening.begin_again(client, lens, true),
            Dialogue::Asked(_) => {
                let behind = behind_unheard(heads, client);
                let proved = |heads| match judge(heads, acquainted, names) {
                    proved @ Judgement::Proved(..) => Some(proved),
                    _ => None,
                };
                let proved = proved(&behind).or_else(|| proved(heads));
                return proved.unwrap_or(Judgement::Open);
            }
            Dialogue::No | Dialogue::Open | Dialogue::Refused => break,
        }
    }
    let heads = opening.heads();
    let silent = heads.iter().any(|head| head.bytes().is_empty());
    match (judge(heads, acquainted, names), dialogue) {
        (proved @ Judgement::Proved(..), _) => proved,
        (_, Dialogue::Refused) => Judgement::Foreign,
        (_, Dialogue::Open | Dialogue::Again(_)) => Judgement::Open,
        // The gate doesn't know where these openings begin.
        (Judgement::Nothing, _) if opening.is_behind_proxy() && silent => Judgement::Open,
        (judgement, _) => judgement,
    }
}

/// What falls short may suffice together with what else the host did: gives that beside it then.
/// `again` says that the first segment was sent again, so it was not answered.
fn lift(
    short: Judgement,
    heads: &[Head; 2],
    support: Vec<Evidence>,
    again: bool,
    names: &Names,
) -> (Judgement, Vec<Evidence>) {
    if support.is_empty() || !matches!(short, Judgement::Open | Judgement::Nothing) {
        return (short, Vec::new());
    }
    let proved = judge(heads, true, names);
    if matches!(proved, Judgement::Proved(..)) {
        return (proved, support);
    }
    // While the answer may still bring proof there is nothing to lift.
    if short == Judgement::Open && !again {
        return (short, Vec::new());
    }
    match lifted(heads, &support) {
        Some(exchange) => (Judgement::Proved(Kind::Signaling, exchange), support),
        None => (short, Vec::new()),
    }
}

const fn class_of(kind: Kind) -> Class {
    match kind {
        Kind::Signaling => Class::Signaling,
        Kind::Login => Class::Login,
        Kind::Service(Purpose::VersionCheck) => Class::VersionCheck,
        Kind::Service(Purpose::WebStatus) => Class::WebStatus,
        Kind::Service(Purpose::Other) => Class::Other,
    }
}

impl Engine {
    pub(super) fn tcp(&mut self, packet: &Packet<'_>, events: &mut Vec<Event>) -> Answer {
        self.asks_for_the_web(packet);
        let answer = self.by_what_is_said(packet, events);
        let undecided = answer.finding.is_none() && !answer.ambiguous && answer.more == 0;
        if !undecided {
            return answer;
        }
        Answer {
            finding: self.by_its_port(packet, events),
            ..answer
        }
    }

    fn by_what_is_said(&mut self, packet: &Packet<'_>, events: &mut Vec<Event>) -> Answer {
        let (now, key) = (packet.now, &packet.key);
        if let Some(finding) = self.flows.seen(key, now) {
            return Answer {
                finding: Some(finding),
                ..Answer::default()
            };
        }
        if self.late.is_ambiguous(key) {
            return self.undecided(packet);
        }
        let direction = if packet.outbound { OUTBOUND } else { INBOUND };
        self.note(packet, false);
        let host = self.host_of(key.zone, &key.inside);
        let support = self.connection_hints(host, now);
        let acquainted = self.flows.acquainted(key);
        let program = self.endpoints.spoken(key.zone, &key.inside);
        let roomy = self.flows.has_room_for_hellos();
        let opening = self.flows.opening(key, now);
        let segment = Segment {
            seq: packet.tcp_seq,
            base: packet.tcp_base,
            payload: packet.payload,
            len: packet.payload_len,
            packet: packet.number,
        };
        let new = opening.place(direction, &segment, roomy);
        // A first segment that is sent again was not answered.
        let again = !new && !support.is_empty() && !packet.payload.is_empty();
        if !new && !again {
            return Answer {
                more: opening.request_still(),
                ..Answer::default()
            };
        }
        match asked_of_router(&opening.heads()[OUTBOUND], from_mapped(&key.inside)) {
            (Post::No, _) => {}
            (Post::Short, _) => {
                return Answer {
                    more: opening.request(true),
                    ..Answer::default()
                };
            }
            (Post::Other, _) => {
                opening.close();
                return Answer::default();
            }
            (Post::Mapping(request), number) => {
                opening.close();
                self.hints.maps(host, now, request, number);
                return Answer::default();
            }
        }
        let judgement = examine(opening, acquainted, &self.knowledge.names);
        let link =
            program.and_then(|program| stream_link(program, &opening.heads()[OUTBOUND], now));
        let judgement = match (judgement, link) {
            (Judgement::Open | Judgement::Nothing, Some(link)) => {
                Judgement::Proved(Kind::Signaling, link)
            }
            (judgement, _) => judgement,
        };
        let names = &self.knowledge.names;
        let (judgement, hints) = lift(judgement, opening.heads(), support, again, names);
        let name = match &judgement {
            Judgement::Proved(Kind::Service(_), _) | Judgement::Foreign => {
                asked(opening.heads(), &self.knowledge.names)
            }
            _ => None,
        };
        if let Some(name) = &name {
            let sighting = Sighting::of(name, now);
            self.names.saw(host, name.owner, sighting);
        }
        match judgement {
            Judgement::Proved(kind, evidence) => {
                let said = opening.heads()[OUTBOUND].brought(0..usize::MAX);
                let said: Vec<u64> = said.into_iter().map(|(packet, _)| packet).collect();
                if evidence.cited.iter().any(|one| said.contains(&one.packet)) {
                    self.watches.came_up(key, now, packet.number);
                    self.watches.own(key);
                }
                let evidence = std::iter::once(evidence).chain(hints).collect();
                self.is_skype(packet, class_of(kind), evidence, events)
            }
            _ if !new => Answer {
                more: opening.request_still(),
                ..Answer::default()
            },
            Judgement::Open => Answer {
                more: opening.request(true),
                ..Answer::default()
            },
            Judgement::Foreign => {
                opening.close();
                match name.filter(|name| name.owner == Owner::Either) {
                    Some(name) => self.of_both(packet, &name, events),
                    None => Answer::default(),
                }
            }
            Judgement::Nothing => {
                // The other end may open with proof of its own.
                opening.request(false);
                if opening.heads().iter().all(|head| !head.bytes().is_empty()) {
                    opening.close();
                }
                Answer::default()
            }
        }
    }
}
