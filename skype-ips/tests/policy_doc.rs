//! What docs/policy.md says about its campus policy, sentence by sentence.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::sync::OnceLock;

use skype_ips::policy::{
    self, Action, Class, Confidence, Config, Direction, Mode, Restriction, Role, Scope, Standing,
    to_mapped,
};
use skype_ips_common::layout::{FlowKey, Met, TCP, UDP, Verdict, kind};

/// A Tuesday at noon in Berlin, when no window but the offices' is open.
const TUESDAY_NOON: &str = "2026-11-24T12:00+01:00[Europe/Berlin]";
/// The evening of that day.
const TUESDAY_EVENING: &str = "2026-11-24T20:00+01:00[Europe/Berlin]";

fn document() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policy.md");
        fs::read_to_string(path).expect("docs/policy.md is there")
    })
}

/// The policy with which the document begins.
fn campus() -> &'static Config {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    CONFIG.get_or_init(|| {
        let (_, rest) = document().split_once("```toml\n").expect("the policy");
        let (text, _) = rest.split_once("```").expect("its end");
        policy::parse(Path::new("campus.toml"), text)
            .unwrap_or_else(|problems| panic!("{problems}"))
    })
}

fn at(time: &str) -> Standing {
    let time: jiff::Zoned = time.parse().expect("a time with its zone");
    campus().standing(Mode::Enforce, time.timestamp())
}

/// A flow of an inside host.
#[derive(Clone, Copy)]
struct Flow {
    host: &'static str,
    met: Met,
    protocol: u8,
    outside: &'static str,
    called: bool,
    confidence: Confidence,
}

/// A flow by TCP that the host opened.
fn of(host: &'static str) -> Flow {
    Flow {
        host,
        met: Met::default(),
        protocol: TCP,
        outside: "198.51.100.9:443",
        called: false,
        confidence: Confidence::Exact,
    }
}

impl Flow {
    fn key(&self) -> FlowKey {
        let outside: std::net::SocketAddr = self.outside.parse().expect("an address with a port");
        FlowKey {
            protocol: self.protocol,
            inside: to_mapped(self.host.parse().expect("an address")),
            inside_port: 35_990,
            outside: to_mapped(outside.ip()),
            outside_port: outside.port(),
            ..FlowKey::default()
        }
    }

    fn verdict(&self, role: Role, class: Class) -> Verdict {
        Verdict {
            kind: kind::SKYPE,
            role: role.number(),
            class: class.number(),
            confidence: self.confidence.number(),
            ..Verdict::default()
        }
    }

    /// What is done, and the names of the budgets.
    fn done(&self, standing: &Standing, role: Role, class: Class) -> (Action, Vec<String>) {
        let verdict = self.verdict(role, class);
        let decided = standing.decide(&self.key(), self.met, self.called, &verdict);
        let decided = decided.expect("it is under a policy");
        let budgets = decided.budgets.iter().map(|budget| budget.name.clone());
        (decided.action, budgets.collect())
    }

    fn action(&self, standing: &Standing, role: Role, class: Class) -> Action {
        self.done(standing, role, class).0
    }

    fn policy<'s>(&self, standing: &'s Standing) -> Option<&'s str> {
        let found = standing.of(self.met, &to_mapped(self.host.parse().expect("an address")));
        found.map(|(_, policy)| policy.name.as_str())
    }
}

fn throttled(budgets: &[&str]) -> (Action, Vec<String>) {
    let budgets = budgets.iter().map(ToString::to_string);
    (Action::Throttle, budgets.collect())
}

/// Rate in bits a second, scope and direction of a budget.
fn budget(name: &str) -> (u64, Scope, Direction) {
    let budgets = &campus().policies.budgets;
    let budget = budgets
        .iter()
        .find(|budget| budget.name == name)
        .expect("the budget");
    (budget.rate, budget.scope, budget.direction)
}

const STUDENT: &str = "10.20.1.2";
const OFFICE: &str = "10.30.1.2";
const LAB: &str = "10.40.1.2";

#[test]
fn every_sentence_names_its_test() {
    let (_, rest) = document()
        .split_once("What it says;")
        .expect("the sentences");
    let (sentences, _) = rest
        .split_once("`skype-ips check campus.toml")
        .expect("their end");
    let own = include_str!("policy_doc.rs");
    let mut named = BTreeSet::new();
    for sentence in sentences.lines().filter(|line| line.starts_with("- ")) {
        let (_, name) = sentence
            .split_once("<!-- test: ")
            .unwrap_or_else(|| panic!("{sentence}"));
        let name = name.trim_end_matches(" -->");
        assert!(
            own.contains(&format!("#[test]\nfn {name}() {{")),
            "there is no test {name}"
        );
        assert!(named.insert(name), "two sentences share the test {name}");
    }
    assert!(named.len() >= 20, "{}", named.len());
}

#[test]
fn a_students_call_passes_marked() {
    let standing = at(TUESDAY_NOON);
    assert_eq!(
        of(STUDENT).action(&standing, Role::Client, Class::Voice),
        Action::Allow
    );
    let host = to_mapped(STUDENT.parse().expect("an address"));
    let (entry, _) = standing.of(Met::default(), &host).expect("a policy");
    let verdict = of(STUDENT).verdict(Role::Client, Class::Voice);
    let action = standing.compiled().action(entry, &verdict, 0);
    // RFC 3246: expedited forwarding is 46.
    assert_eq!(action.dscp, skype_ips_common::layout::DSCP_SET | 46);
}

#[test]
fn a_students_super_node_has_its_budget() {
    let standing = at(TUESDAY_NOON);
    let student = of(STUDENT);
    let served = student.done(&standing, Role::SuperNode, Class::Signaling);
    assert_eq!(served, throttled(&["super-node"]));
    assert_eq!(budget("super-node"), (40_000, Scope::Host, Direction::Each));
    assert_eq!(
        student.action(&standing, Role::Client, Class::Signaling),
        Action::Allow
    );
}

#[test]
fn relayed_sessions_have_the_papers_budgets() {
    let standing = at(TUESDAY_NOON);
    for (class, name, rate) in [
        (Class::FileTransfer, "relayed-file", 24_000),
        (Class::Voice, "relayed-voice", 32_000),
        (Class::Video, "relayed-video", 80_000),
    ] {
        let done = of(STUDENT).done(&standing, Role::Relay, class);
        assert_eq!(done, throttled(&[name, "all-relays"]), "{class}");
        assert_eq!(
            budget(name),
            (rate, Scope::Session, Direction::Each),
            "{class}"
        );
    }
}

#[test]
fn all_relays_share_a_budget() {
    assert_eq!(
        budget("all-relays"),
        (8_000_000, Scope::Policy, Direction::Sum)
    );
}

#[test]
fn what_else_is_relayed_is_dropped() {
    let standing = at(TUESDAY_NOON);
    for class in [Class::Login, Class::Signaling, Class::Other] {
        assert_eq!(
            of(STUDENT).action(&standing, Role::Relay, class),
            Action::Drop,
            "{class}"
        );
    }
}

#[test]
fn on_evenings_nothing_is_relayed() {
    let standing = at(TUESDAY_EVENING);
    let student = of(STUDENT);
    for class in Class::ALL {
        assert_eq!(
            student.action(&standing, Role::Relay, *class),
            Action::Drop,
            "{class}"
        );
    }
    let video = student.done(&standing, Role::Client, Class::Video);
    assert_eq!(video, throttled(&["busy-video"]));
    assert_eq!(
        budget("busy-video"),
        (480_000, Scope::Host, Direction::Each)
    );
    let noon = student.action(&at(TUESDAY_NOON), Role::Client, Class::Video);
    assert_eq!(noon, Action::Allow);
}

#[test]
fn a_window_runs_over_midnight() {
    let relays = |time: &str| of(STUDENT).action(&at(time), Role::Relay, Class::Voice);
    assert_eq!(
        relays("2026-11-23T00:30+01:00[Europe/Berlin]"),
        Action::Drop
    );
    assert_eq!(
        relays("2026-11-23T01:00+01:00[Europe/Berlin]"),
        Action::Throttle
    );
    assert_eq!(
        relays("2026-11-28T00:30+01:00[Europe/Berlin]"),
        Action::Throttle
    );
}

#[test]
fn friday_evening_is_as_any_other_time() {
    for evening in [
        "2026-11-27T20:00+01:00[Europe/Berlin]",
        "2026-11-28T20:00+01:00[Europe/Berlin]",
    ] {
        let done = of(STUDENT).done(&at(evening), Role::Relay, Class::Voice);
        assert_eq!(
            done,
            throttled(&["relayed-voice", "all-relays"]),
            "{evening}"
        );
    }
}

#[test]
fn offices_call_and_send_no_files() {
    let standing = at(TUESDAY_NOON);
    assert_eq!(
        of(OFFICE).action(&standing, Role::Client, Class::Voice),
        Action::Allow
    );
    let file = of(OFFICE).action(&standing, Role::Client, Class::FileTransfer);
    assert_eq!(file, Action::Reject);
}

#[test]
fn office_computers_serve_no_one() {
    let standing = at(TUESDAY_NOON);
    let office = of(OFFICE);
    for class in Class::ALL {
        assert_eq!(
            office.action(&standing, Role::SuperNode, *class),
            Action::Drop,
            "{class}"
        );
        assert_eq!(
            office.action(&standing, Role::Relay, *class),
            Action::Drop,
            "{class}"
        );
    }
    assert_eq!(
        office.action(&standing, Role::Client, Class::Voice),
        Action::Allow
    );
}

#[test]
fn nobody_calls_an_office_computers_port() {
    let standing = at(TUESDAY_NOON);
    let called = Flow {
        called: true,
        ..of(OFFICE)
    };
    assert_eq!(
        called.action(&standing, Role::Client, Class::Signaling),
        Action::Drop
    );
    let host = to_mapped(OFFICE.parse().expect("an address"));
    let (entry, _) = standing.of(Met::default(), &host).expect("a policy");
    assert!(standing.compiled().is_port(entry.index, 35_990));
    assert!(!standing.compiled().is_port(entry.index, 443));
}

#[test]
fn version_checks_are_off_in_offices() {
    let standing = at(TUESDAY_NOON);
    for class in [Class::VersionCheck, Class::WebStatus] {
        assert_eq!(
            of(OFFICE).action(&standing, Role::Client, class),
            Action::Drop,
            "{class}"
        );
    }
    let student = of(STUDENT).action(&standing, Role::Client, Class::VersionCheck);
    assert_eq!(student, Action::Allow);
}

#[test]
fn video_is_held_in_busy_hours() {
    let video = |time: &str| of(OFFICE).done(&at(time), Role::Client, Class::Video);
    for busy in [
        "2026-11-24T08:00+01:00[Europe/Berlin]",
        "2026-11-27T17:59:59+01:00[Europe/Berlin]",
    ] {
        assert_eq!(video(busy), throttled(&["busy-video"]), "{busy}");
    }
    for quiet in [
        "2026-11-24T18:00+01:00[Europe/Berlin]",
        "2026-11-24T07:59:59+01:00[Europe/Berlin]",
        "2026-11-28T12:00+01:00[Europe/Berlin]",
    ] {
        assert_eq!(video(quiet).0, Action::Allow, "{quiet}");
    }
}

#[test]
fn exempt_hosts_are_under_no_policy() {
    let standing = at(TUESDAY_NOON);
    assert_eq!(of("10.30.9.7").policy(&standing), None);
    assert_eq!(of("10.50.0.5").policy(&standing), None);
    assert_eq!(of("10.30.8.7").policy(&standing), Some("offices"));
    assert_eq!(of("10.50.0.6").policy(&standing), Some("servers"));
}

#[test]
fn the_conference_room_is_on_its_own() {
    let standing = at(TUESDAY_NOON);
    let room = of("10.30.0.20");
    assert_eq!(room.policy(&standing), Some("conference-room"));
    for class in Class::ALL {
        assert_eq!(
            room.action(&standing, Role::Relay, *class),
            Action::Allow,
            "{class}"
        );
    }
}

#[test]
fn labs_go_by_the_proxy() {
    let standing = at(TUESDAY_NOON);
    let past = of(LAB);
    let by_proxy = Flow {
        outside: "203.0.113.80:1080",
        ..past
    };
    let by_udp = Flow {
        protocol: UDP,
        ..by_proxy
    };
    let signaling = |flow: Flow| flow.action(&standing, Role::Client, Class::Signaling);
    assert_eq!(signaling(by_proxy), Action::Alert);
    assert_eq!(signaling(past), Action::Reject);
    assert_eq!(signaling(by_udp), Action::Drop);
    let other_port = Flow {
        outside: "203.0.113.80:1081",
        ..past
    };
    assert_eq!(signaling(other_port), Action::Reject);
}

#[test]
fn labs_ask_for_exact_findings() {
    let strong = Flow {
        confidence: Confidence::Strong,
        ..of(LAB)
    };
    let done = strong.action(&at(TUESDAY_NOON), Role::Client, Class::Signaling);
    assert_eq!(done, Action::Alert);
}

#[test]
fn servers_have_no_skype() {
    let standing = at(TUESDAY_NOON);
    let server = of("10.50.3.4");
    assert_eq!(
        server.action(&standing, Role::Client, Class::Login),
        Action::Drop
    );
    let key = server.key();
    let ambiguous = standing.decide(&key, Met::default(), false, &Verdict::AMBIGUOUS);
    assert_eq!(ambiguous.expect("a policy").action, Action::Drop);
}

#[test]
fn visitors_are_watched_by_their_vlan() {
    let standing = at(TUESDAY_NOON);
    for host in ["192.0.2.77", OFFICE, "2001:db8:99::1"] {
        let visitor = Flow {
            met: Met {
                vlan: 99,
                interface: 0,
            },
            ..of(host)
        };
        assert_eq!(visitor.policy(&standing), Some("visitors"), "{host}");
        let done = visitor.action(&standing, Role::Client, Class::FileTransfer);
        assert_eq!(done, Action::Alert, "{host}");
    }
    assert_eq!(of("192.0.2.77").policy(&standing), None);
}

#[test]
fn both_families_have_the_same_policies() {
    let standing = at(TUESDAY_NOON);
    assert_eq!(of("2001:db8:20::1").policy(&standing), Some("residences"));
    assert_eq!(of("2001:db8:30::1").policy(&standing), Some("offices"));
}

#[test]
fn without_a_gateway_nothing_is_enforced() {
    let config = campus();
    assert_eq!(config.gateway.mode, Mode::Monitor);
    let time: jiff::Zoned = TUESDAY_NOON.parse().expect("a time");
    let standing = config.standing(config.gateway.mode, time.timestamp());
    for host in [STUDENT, OFFICE, LAB, "10.50.3.4"] {
        for (role, class) in Role::ALL
            .iter()
            .flat_map(|role| Class::ALL.iter().map(move |class| (*role, *class)))
        {
            let done = of(host).action(&standing, role, class);
            assert!(done <= Action::Alert, "{host} {role} {class}: {done}");
        }
    }
}

#[test]
fn the_command_shows_what_the_document_says() {
    let host: IpAddr = STUDENT.parse().expect("an address");
    let time: jiff::Zoned = TUESDAY_EVENING.parse().expect("a time");
    let shown = campus().explain_at(policy::Asked {
        host,
        met: Met::default(),
        at: time.timestamp(),
    });
    let covering = shown.policy.as_ref().expect("a policy");
    let told = |role, class| {
        let found = covering.rules.iter().find(|told| {
            (told.role, told.class, told.restriction) == (role, class, None::<Restriction>)
        });
        found.expect("every role and class is told")
    };
    let relayed = told(Role::Relay, Class::Voice);
    assert_eq!(
        (relayed.action, relayed.done),
        (Action::Drop, Action::Alert)
    );
    assert!(relayed.said_by[0].window);
    let text = shown.to_string();
    for part in [
        "windows, on Tue 2026-11-24 20:00 CET:",
        "open   until Wed 01:00",
        "client, voice: allow, dscp 46 (by `voice` in campus.toml:",
        "`busy-video`: 60 KB/s with bursts of 30 KB for each host, each direction (campus.toml:",
        "relay, voice, video and file-transfer: drop, held to alert (by `relay` of a window in",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// A flow that meets a restriction, or none, and goes to a proxy unless that is the restriction.
fn meeting(host: &'static str, restriction: Option<Restriction>) -> Flow {
    Flow {
        protocol: match restriction {
            Some(Restriction::Udp) => UDP,
            _ => TCP,
        },
        called: restriction == Some(Restriction::ListeningPort),
        outside: match restriction {
            Some(Restriction::OnlyVia) => "198.51.100.9:443",
            _ => "203.0.113.80:1080",
        },
        ..of(host)
    }
}

#[test]
fn what_is_explained_is_what_is_done() {
    let hosts = [
        STUDENT,
        OFFICE,
        LAB,
        "10.30.0.20",
        "10.50.3.4",
        "2001:db8:20::1",
    ];
    for time in [TUESDAY_NOON, TUESDAY_EVENING] {
        let standing = at(time);
        let at: jiff::Zoned = time.parse().expect("a time");
        for host in hosts {
            let shown = campus().explain_at(policy::Asked {
                host: host.parse().expect("an address"),
                met: Met::default(),
                at: at.timestamp(),
            });
            let covering = shown.policy.expect("a policy");
            assert_eq!(covering.rules.len() % 24, 0);
            for told in covering.rules {
                let flow = meeting(host, told.restriction);
                let (action, budgets) = flow.done(&standing, told.role, told.class);
                let names = told.budgets.iter().map(|budget| budget.name.clone());
                let said = (told.action, names.collect::<Vec<_>>());
                assert_eq!(
                    said,
                    (action, budgets),
                    "{host} {time} {} {}",
                    told.role,
                    told.class
                );
            }
        }
    }
}
