//! Scenarios: the ready ones, and what is said about wrong ones.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use skype_ips::policy::{Problem, Problems, Severity};
use skype_ips::simulator::play::play;
use skype_ips::simulator::scenario::{self, Scenario};
use tempfile::TempDir;

fn parse(text: &str) -> Result<Scenario, Problems> {
    scenario::parse(Path::new("test.toml"), text)
}

/// What is wrong with `text`, all of it.
fn problems(text: &str) -> Vec<Problem> {
    match parse(text) {
        Ok(scenario) => scenario.warnings.list().to_vec(),
        Err(problems) => problems.list().to_vec(),
    }
}

/// A scenario of two clients and everything that they need, whose networks come last: with a line
/// more for the file itself, for alice, and for the networks, and what else follows.
#[derive(Clone, Copy, Debug, Default)]
struct Draft {
    file: &'static str,
    alice: &'static str,
    networks: &'static str,
    more: &'static str,
}

impl Draft {
    fn text(self) -> String {
        let Self {
            file,
            alice,
            networks,
            more,
        } = self;
        format!(
            r#"version = 1
name = "test"
duration = "30 s"
services = "internet"
{file}
[[party]]
name = "alice"
kind = "client"
network = "office"
{alice}
[[party]]
name = "bob"
kind = "client"
network = "internet"
[[party]]
name = "node"
kind = "super-node"
network = "internet"
[networks.office]
side = "inside"
subnet = "10.1.0.0/24"
{networks}
[networks.internet]
side = "outside"
subnet = "198.51.100.0/24"
[[action]]
at = "0 s"
party = ["alice", "bob"]
do = "sign-in"
{more}
"#
        )
    }
}

/// Line of each part of a [`Draft`] on which its own text begins.
const FILE: u32 = 5;
const ALICE: u32 = 10;
const NETWORKS: u32 = 22;
const MORE: u32 = 30;

/// A wrong text, the line and column at fault, counted from 1 in that text, part of the message,
/// part of the remedy.
type Mistake = (&'static str, u32, u32, &'static str, &'static str);

fn check_all(mistakes: &[Mistake], first_line: u32, draft: impl Fn(&'static str) -> Draft) {
    for (wrong, line, column, message, help) in mistakes {
        let text = draft(wrong).text();
        let found = problems(&text);
        assert_eq!(found.len(), 1, "{wrong}\n{found:#?}");
        let problem = &found[0];
        let place = &problem.at.place;
        let at = (place.line + 1 - first_line, place.column);
        assert_eq!(at, (*line, *column), "{wrong}\n{problem:#?}");
        assert!(problem.message.contains(message), "{wrong}\n{problem:#?}");
        assert!(problem.help.contains(help), "{wrong}\n{problem:#?}");
    }
}

#[test]
fn the_draft_itself_is_right() {
    assert_eq!(problems(&Draft::default().text()), []);
}

/// Of the file itself.
#[rustfmt::skip] // one mistake a line
const FILE_MISTAKES: &[Mistake] = &[
    ("duraton = \"3 s\"", 1, 1, "unknown key `duraton`", "`duration`"),
    ("about = 3", 1, 9, "not an integer", "about = \"Two"),
    ("at = \"1 s\"", 1, 1, "unknown key `at`", "belongs in `[[action]]`"),
    ("links = 3", 1, 9, "must be a table", "[links.dsl]"),
    ("links.fast = 3", 1, 14, "must be tables with names", "[links.dsl]"),
    ("links.fast = {}", 1, 7, "`fast` goes nowhere", "link = \"fast\""),
];

/// Of a link that alice has.
#[rustfmt::skip] // one mistake a line
const LINK_MISTAKES: &[Mistake] = &[
    ("links.fast.rate = \"fast\"", 1, 19, "`fast` is not a rate", "\"5 KB/s\""),
    ("links.fast.rate = \"0 bit/s\"", 1, 19, "too slow", "1 kbit/s"),
    ("links.fast.speed = \"1 MB/s\"", 1, 12, "unknown key `speed`", "`rate`"),
    ("links.fast = { rate = \"1 MB/s\", up = \"1 MB/s\", down = \"1 MB/s\" }", 1, 23, "`rate` says nothing here", "remove it"),
    ("links.fast.delay = \"40 ms .. 10 ms\"", 1, 20, "ends before it begins", "smaller one first"),
    ("links.fast.loss = \"101 %\"", 1, 19, "too much", "100 %"),
    ("links.fast.loss = 0.5", 1, 19, "must be a string", "loss = \"0.5 %\""),
];

#[test]
fn a_wrong_line_of_the_file_is_found() {
    check_all(FILE_MISTAKES, FILE, |file| Draft {
        file,
        ..Draft::default()
    });
    check_all(LINK_MISTAKES, FILE, |file| Draft {
        file,
        alice: "link = \"fast\"",
        ..Draft::default()
    });
}

/// Of a party.
#[rustfmt::skip] // one mistake a line
const PARTY_MISTAKES: &[Mistake] = &[
    ("colour = 3", 1, 1, "unknown key `colour`", "the keys of `[[party]]` are `name`"),
    ("addres = \"10.1.0.9\"", 1, 1, "unknown key", "`address`"),
    ("address = \"10.1.0.999\"", 1, 11, "is no address", "IPv4"),
    ("address = \"10.2.0.9\"", 1, 11, "outside of its network, 10.1.0.0/24", "from 10.1.0.2 to 10.1.0.254"),
    ("address = \"10.1.0.1\"", 1, 11, "the router", "from 10.1.0.2"),
    ("address = \"10.1.0.255\"", 1, 11, "no host", "from 10.1.0.2"),
    ("address = \"224.0.0.1\"", 1, 11, "is no host's", "IPv4"),
    ("address = \"198.19.255.9\"", 1, 11, "the lab's own", "IPv4"),
    ("address = \"203.0.113.254\"", 1, 11, "the lab's own", "IPv4"),
    ("link = \"dsl\"", 1, 8, "there is no link `dsl`", "add [links.dsl]"),
    ("generation = \"2007\"", 1, 14, "no value of `generation`", "\"2006\""),
    ("port = 80", 1, 8, "out of range", "1024 to 65535"),
    ("udp = \"no\"", 1, 7, "must be true or false", "udp = false"),
    ("relay = true", 1, 1, "`relay` means nothing to a client", "`generation`"),
    ("runs = [\"telnet\"]", 1, 9, "no value of `runs`", "\"http\""),
    ("runs = [\"dns\", \"dns\"]", 1, 16, "said twice", "once"),
    ("runs = \"dns\"", 1, 8, "must be a list", "runs = [\"https\", \"dns\"]"),
    ("serves = [\"telnet\"]", 1, 11, "no value of `serves`", "\"http\""),
    ("serves = [\"dns\"]", 1, 11, "a server of its own kind", "`resolver`"),
    ("serves = [\"ssh\", \"ssh\"]", 1, 18, "said twice", "once"),
    ("count = 0", 1, 9, "out of range", "1 to 1000"),
    ("proxy = \"bob\"", 1, 9, "must be a table", "proxy = {"),
    ("proxy = { kind = \"socks5\", party = \"bob\" }", 1, 36, "`bob` is a client", "kind `proxy`"),
    ("proxy = { kind = \"socks5\" }", 1, 9, "the proxy has no `party`", "party = \"gate\""),
    ("host-cache = [\"nod\"]", 1, 15, "there is no party `nod`", "\"node\""),
    ("host-cache = [\"bob\"]", 1, 15, "`bob` is a client", "`super-node` or `bootstrap`"),
    ("bootstrap = [\"office\"]", 1, 14, "there is no party `office`", "[[party]]"),
    ("[[party]]\nname = \"alice\"\nkind = \"host\"\nnetwork = \"office\"", 2, 8, "a party `alice` already", "another name"),
    ("[[party]]\nname = \"Al\"\nkind = \"host\"\nnetwork = \"office\"", 2, 8, "can't be the name", "small letters"),
    ("[[party]]\nname = \"gateway\"\nkind = \"host\"\nnetwork = \"office\"", 2, 8, "the lab's own", "another name"),
    ("[[party]]\nkind = \"host\"\nnetwork = \"office\"", 1, 1, "no name", "name = \"alice\""),
    ("[[party]]\nname = \"c\"\nnetwork = \"office\"", 1, 1, "c is of no kind", "kind = \"client\""),
    ("[[party]]\nname = \"c\"\nkind = \"robot\"\nnetwork = \"office\"", 3, 8, "no value of `kind`", "\"client\""),
    ("[[party]]\nname = \"c\"\nkind = \"host\"", 1, 1, "c is in no network", "network = \"office\""),
    ("[[party]]\nname = \"c\"\nkind = \"host\"\nnetwork = \"offic\"", 4, 11, "no network `offic`", "\"office\""),
    ("[[party]]\nname = \"c\"\nkind = \"host\"\nnetwork = \"moon\"", 4, 11, "no network `moon`", "\"office\" or \"internet\""),
    ("[[party]]\nname = \"c\"\nkind = \"host\"\nnetwork = \"office\"\nport = 4000", 5, 1, "means nothing to a host", "remove it"),
    ("[[party]]\nname = \"c\"\nkind = \"login-server\"\nnetwork = \"office\"", 3, 8, "a login-server in an inside network", "outside"),
    ("[[party]]\nname = \"c\"\nkind = \"turn-server\"\nnetwork = \"internet\"", 3, 8, "a turn-server in an outside network", "inside"),
    ("[[party]]\nname = \"c\"\nkind = \"super-node\"\nnetwork = \"office\"\ndirectory = false", 5, 13, "serves nobody", "relay = true"),
    ("[[party]]\nname = \"c\"\nkind = \"internet-host\"\nnetwork = \"internet\"\nruns = [\"dns\"]", 5, 8, "begins nothing", "remove"),
    ("[[party]]\nname = \"c\"\nkind = \"host\"\nnetwork = \"internet\"\nruns = [\"dns\"]", 5, 8, "nothing of this crosses", "inside"),
    ("[[party]]\nname = \"c\"\nkind = \"host\"\nnetwork = \"internet\"\nserves = [\"ssh\"]", 5, 10, "nothing of this crosses", "inside"),
    ("[[party]]\nname = \"c\"\nkind = \"host\"\nnetwork = \"office\"\naddress = \"10.1.0.7\"\n[[party]]\nname = \"d\"\nkind = \"host\"\nnetwork = \"office\"\naddress = \"10.1.0.7\"", 10, 11, "10.1.0.7 is taken", "its own"),
];

#[test]
fn a_wrong_party_is_found() {
    check_all(PARTY_MISTAKES, ALICE, |alice| Draft {
        alice,
        ..Draft::default()
    });
}

/// Of a network: `office` goes on, another begins, or `office` gets other keys.
#[rustfmt::skip] // one mistake a line
const NETWORK_MISTAKES: &[Mistake] = &[
    ("nat = 3", 1, 7, "must be true, false or a home router", "nat = true"),
    ("nat = { address = \"203.0.113.7\", kind = \"symmetric\" }", 1, 7, "a home router before an inside network", "nat = true"),
    ("link = \"dsl\"", 1, 8, "there is no link `dsl`", "[links.dsl]"),
    ("blocked = [\"tcp\"]", 1, 12, "no value of `blocked`", "\"udp\""),
    ("vlan = 3", 1, 1, "unknown key `vlan`", "`side`"),
    ("[networks.home]\nside = \"outside\"\nsubnet = \"192.168.1.0/24\"", 1, 11, "no party is in network `home`", "network = \"home\""),
];

/// Of a network in which a host stands; lines count from the network's header.
#[rustfmt::skip] // one mistake a line
const NEW_NETWORK_MISTAKES: &[Mistake] = &[
    ("side = \"outside\"\nsubnet = \"192.168.1.0/24\"\nnat = true", 4, 7, "`nat = true` is the gateway's", "kind = \"port-restricted\""),
    ("side = \"outside\"\nsubnet = \"192.168.1.0/24\"\nnat = { address = \"203.0.113.7\" }", 4, 7, "has no `kind`", "kind = \"port-restricted\""),
    ("side = \"outside\"\nsubnet = \"192.168.1.0/24\"\nnat = { address = \"10.1.0.77\", kind = \"symmetric\" }", 4, 19, "an address of network `office`", "rest of the world"),
    ("side = \"outside\"\nsubnet = \"192.168.1.0/24\"\nnat = { address = \"192.168.1.7\", kind = \"symmetric\" }", 4, 19, "an address of network `c`", "rest of the world"),
    ("side = \"outside\"\nsubnet = \"192.168.1.0/24\"\nnat = { address = \"203.0.113.7\", kind = \"open\" }", 4, 41, "no value of `kind`", "\"port-restricted\""),
    ("side = \"left\"\nsubnet = \"192.168.1.0/24\"", 2, 8, "no value of `side`", "\"inside\""),
    ("subnet = \"192.168.1.0/24\"", 1, 11, "is on no side", "side = \"inside\""),
    ("side = \"inside\"", 1, 11, "has no subnet", "subnet = "),
    ("side = \"inside\"\nsubnet = \"192.168.1.1/24\"", 3, 10, "bits set behind", "\"192.168.1.0/24\""),
    ("side = \"inside\"\nsubnet = \"192.168.1.0\"", 3, 10, "is no network", "such as"),
    ("side = \"inside\"\nsubnet = \"2001:db8::/32\"", 3, 10, "IPv6", "IPv4"),
    ("side = \"inside\"\nsubnet = \"192.168.1.0/30\"", 3, 10, "not of a network's size", "/8 to /29"),
    ("side = \"inside\"\nsubnet = \"127.0.0.0/16\"", 3, 10, "loopback", "such as"),
    ("side = \"inside\"\nsubnet = \"198.18.0.0/15\"", 3, 10, "the lab's own: 198.19.255.0/24", "such as"),
];

#[test]
fn a_wrong_network_is_found() {
    check_all(NETWORK_MISTAKES, NETWORKS, |networks| Draft {
        networks,
        ..Draft::default()
    });
    for (wrong, line, column, message, help) in NEW_NETWORK_MISTAKES {
        let host = "[[party]]\nname = \"c\"\nkind = \"host\"\nnetwork = \"c\"";
        let more = format!("{host}\n[networks.c]\n{wrong}");
        let text = Draft::default().text() + &more;
        let found = problems(&text);
        assert_eq!(found.len(), 1, "{wrong}\n{found:#?}");
        let header = text.lines().position(|line| line == "[networks.c]");
        let header = header.expect("a header") as u32;
        let place = &found[0].at.place;
        assert_eq!(
            (place.line - header, place.column),
            (*line, *column),
            "{found:#?}"
        );
        assert!(found[0].message.contains(message), "{found:#?}");
        assert!(found[0].help.contains(help), "{found:#?}");
    }
}

/// Of actions and expectations.
#[rustfmt::skip] // one mistake a line
const ACTION_MISTAKES: &[Mistake] = &[
    ("[[action]]\nat = \"1 s\"\nparty = \"alic\"\ndo = \"sign-out\"", 3, 9, "no party `alic`", "\"alice\""),
    ("[[action]]\nat = \"-1 s\"\nparty = \"alice\"\ndo = \"sign-out\"", 2, 6, "an action in the past", "\"0 s\" to the end, \"30 s\""),
    ("[[action]]\nat = \"31 s\"\nparty = \"alice\"\ndo = \"sign-out\"", 2, 6, "after the end", "30 s"),
    ("[[action]]\nat = 5\nparty = \"alice\"\ndo = \"sign-out\"", 2, 6, "must be a string", "at = \"5 s\""),
    ("[[action]]\nat = \"20 s\"\nparty = \"alice\"\ndo = \"sign-out\"\nspread = \"20 s\"", 5, 10, "over the end", "less than \"10 s\""),
    ("[[action]]\nparty = \"alice\"\ndo = \"sign-out\"", 1, 1, "this action has no `at`", "at = \"5 s\""),
    ("[[action]]\nat = \"1 s\"\ndo = \"sign-out\"", 1, 1, "has no `party`", "party = \"alice\""),
    ("[[action]]\nat = \"1 s\"\nparty = \"alice\"", 1, 1, "has no `do`", "do = \"call\""),
    ("[[action]]\nat = \"1 s\"\nparty = \"alice\"\ndo = \"ring\"", 4, 6, "no value of `do`", "\"sign-in\""),
    ("[[action]]\nat = \"1 s\"\nparty = \"alice\"\ndo = \"sign-out\"\nwith = \"bob\"", 5, 1, "`with` means nothing to `sign-out`", "remove it"),
    ("[[action]]\nat = \"1 s\"\nparty = \"alice\"\ndo = \"call\"\nto = \"bob\"\nfor = \"5 s\"\nwith = \"bob\"", 5, 1, "`to` means nothing to `call`", "`with`, `for` and `video`"),
    ("[[action]]\nat = \"1 s\"\nparty = \"alice\"\ndo = \"call\"\nwith = \"bob\"", 1, 1, "has no `for`", "for = \"15 s\""),
    ("[[action]]\nat = \"1 s\"\nparty = \"alice\"\ndo = \"call\"\nwith = \"alice\"\nfor = \"5 s\"", 5, 8, "`alice` would call itself", "somebody else"),
    ("[[action]]\nat = \"1 s\"\nparty = \"alice\"\ndo = \"send-file\"\nto = \"alice\"\nbytes = \"5 KB\"", 5, 6, "send a file to itself", "somebody else"),
    ("[[action]]\nat = \"1 s\"\nparty = \"alice\"\ndo = \"chat\"\nwith = \"node\"\nfor = \"5 s\"", 5, 8, "`node` is no user of Skype, but a super-node", "`client`"),
    ("[[action]]\nat = \"1 s\"\nparty = \"alice\"\ndo = \"chat\"\nwith = [\"bob\", \"bob\"]\nfor = \"5 s\"", 5, 9, "1 parties and 2 others", "as many"),
    ("[[action]]\nat = \"1 s\"\nparty = \"resolver\"\ndo = \"search\"\ncount = 1\nover = \"1 s\"", 3, 9, "`resolver` can't search: it is a resolver", "`client`"),
    ("[[action]]\nat = \"1 s\"\nparty = \"alice\"\ndo = \"run\"\nfor = \"1 s\"", 3, 9, "`alice` has nothing to run", "`runs`"),
    ("[[action]]\nat = \"1 s\"\nparty = \"alice\"\ndo = \"send-file\"\nto = \"bob\"\nbytes = \"0 B\"", 6, 9, "an empty file", "\"1 B\""),
    ("[[action]]\nat = \"1 s\"\nparty = \"alice\"\ndo = \"send-file\"\nto = \"bob\"\nbytes = \"5 kB\"", 6, 9, "`kB` for a unit", "\"5 KB\""),
    ("[[action]]\nat = \"1 s\"\nparty = \"alice\"\ndo = \"call\"\nwith = \"bob\"\nfor = \"0 s\"", 6, 7, "no time at all", "for = \"15 s\""),
    ("[[action]]\nat = \"20 s\"\nparty = \"alice\"\ndo = \"call\"\nwith = \"bob\"\nfor = \"15 s\"", 6, 7, "ends 5 s before this does", "longer `duration`"),
    ("[[expect]]\nparty = \"alice\"", 1, 1, "expects nothing", "signed-in = true"),
    ("[[expect]]\nsigned-in = true", 1, 1, "of nobody", "party = \"alice\""),
    ("[[expect]]\nparty = \"alicia\"\nsigned-in = true", 2, 9, "no party `alicia`", "\"alice\""),
    ("[[expect]]\nparty = \"node\"\nsigned-in = true", 3, 13, "`node` never signs in", "sign-in"),
    ("[[expect]]\nparty = \"alice\"\ndelivered = \"95 %\"", 3, 13, "`alice` has no call", "do = \"call\""),
    ("[[expect]]\nparty = \"alice\"\nfile = \"whole\"", 3, 8, "no file to send or to receive", "do = \"send-file\""),
    ("[[expect]]\nparty = \"alice\"\nsearches-answered = \"95 %\"", 3, 21, "`alice` asks nothing", "do = \"search\""),
    ("[[expect]]\nparty = \"node\"\nrelayed = \"1 KB\"", 3, 11, "`node` relays nothing", "relay = true"),
    ("[[expect]]\nparty = \"alice\"\nserved = 1", 3, 10, "answers no questions", "directory = true"),
    ("[[expect]]\nparty = \"alice\"\nbackground = \"95 %\"", 3, 14, "no everyday traffic", "`runs`"),
    ("[[expect]]\nparty = \"node\"\nserved = 1\nif-dropped = \"maybe\"", 4, 14, "no value of `if-dropped`", "\"fails\""),
    ("[[expect]]\nparty = \"node\"\nserved = \"1\"", 3, 10, "whole number", "served = 10"),
];

#[test]
fn a_wrong_action_or_expectation_is_found() {
    check_all(ACTION_MISTAKES, MORE, |more| Draft {
        more,
        ..Draft::default()
    });
}

/// The problems with a network of these keys and hosts in it.
fn in_network(keys: &str, party: &str) -> Vec<Problem> {
    let text = Draft::default().text();
    problems(&format!(
        "{text}[[party]]\nname = \"c\"\nnetwork = \"c\"\n{party}\n[networks.c]\n{keys}\n"
    ))
}

#[test]
fn there_are_no_more_parties_than_addresses() {
    let network = "side = \"inside\"\nsubnet = \"192.0.2.0/29\"";
    assert_eq!(in_network(network, "kind = \"host\"\ncount = 5"), []);
    let found = in_network(network, "kind = \"host\"\ncount = 6");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0]
            .message
            .contains("more parties than addresses: 192.0.2.0/29 has 5")
    );
    assert_eq!(found[0].at.text, "[[party]]");
    let network = found[0].related.as_ref().expect("the network's place");
    assert_eq!(network.at.text, "subnet = \"192.0.2.0/29\"");
}

#[test]
fn networks_do_not_overlap() {
    let found = in_network(
        "side = \"inside\"\nsubnet = \"10.1.0.128/25\"",
        "kind = \"host\"",
    );
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0]
            .message
            .contains("10.1.0.128/25 and 10.1.0.0/24 overlap")
    );
    let first = found[0].related.as_ref().expect("the first one's place");
    assert_eq!(first.at.text, "subnet = \"10.1.0.0/24\"");
}

#[test]
fn nobody_serves_behind_nat() {
    let gateway = "side = \"inside\"\nsubnet = \"10.9.0.0/24\"\nnat = true";
    let home = "side = \"outside\"\nsubnet = \"192.168.1.0/24\"\n\
                nat = { address = \"203.0.113.7\", kind = \"full-cone\" }";
    for network in [gateway, home] {
        let found = in_network(network, "kind = \"super-node\"\nrelay = true");
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(
            found[0]
                .message
                .contains("a super node in `c`, whose addresses are translated")
        );
        assert!(
            found[0]
                .help
                .contains("neither serve as super nodes nor relay")
        );
    }
    let found = in_network(gateway, "kind = \"reverse-proxy\"");
    assert!(
        found[0].message.contains("a reverse-proxy in `c`"),
        "{found:#?}"
    );
    assert_eq!(in_network(gateway, "kind = \"two-calls\""), []);
    let found = in_network(gateway, "kind = \"host\"\nserves = [\"https\"]");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0].message.contains("nobody could reach it in `c`"),
        "{found:#?}"
    );
}

#[test]
fn a_client_needs_the_service() {
    let text = Draft::default()
        .text()
        .replace("services = \"internet\"", "");
    let found = problems(&text);
    assert_eq!(found.len(), 1, "{found:#?}");
    let message = "`alice` needs a login-server, event-server";
    assert!(found[0].message.contains(message), "{found:#?}");
    assert!(found[0].help.contains("services = \"internet\""));
    let found = problems(
        &Draft::default()
            .text()
            .replace("services = \"internet\"", "services = \"office\""),
    );
    assert!(
        found[0].message.contains("the service in `office`"),
        "{found:#?}"
    );
}

#[test]
fn who_is_not_signed_in_is_warned_of() {
    let more = "[[action]]\nat = \"1 s\"\nparty = \"alice\"\ndo = \"call\"\nwith = \"carl\"\nfor = \"5 s\"\n\
                [[party]]\nname = \"carl\"\nkind = \"client\"\nnetwork = \"internet\"";
    let text = Draft {
        more,
        ..Draft::default()
    }
    .text();
    let scenario = parse(&text).expect("only odd");
    let found = scenario.warnings.list();
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].severity, Severity::Warning);
    assert!(found[0].message.contains("`carl` isn't signed in by then"));
}

#[test]
fn everything_wrong_comes_out_in_one_run() {
    let text = "version = 1\nname = \"A\"\nduration = \"soon\"\n\
                [networks.a]\nside = \"up\"\nsubnet = \"10.0.0.0/33\"\n\
                [[party]]\nname = \"x\"\nkind = \"clown\"\nnetwork = \"b\"\n\
                [[action]]\nat = \"1 s\"\nparty = \"y\"\ndo = \"dance\"\n";
    let lines: Vec<_> = problems(text).iter().map(|p| p.at.place.line).collect();
    assert_eq!(lines, [2, 3, 4, 5, 6, 9, 10, 13, 14]);
}

#[test]
fn syntax_errors_are_explained_in_words_of_scenarios() {
    let found = problems("version = 1\nname = alice\n");
    assert!(found[0].message.contains("not TOML"), "{found:#?}");
    assert!(
        found[0].help.contains("\"client\" or \"10 ms\""),
        "{found:#?}"
    );
}

#[test]
fn a_group_pairs_with_a_group() {
    let more = "[[party]]\nname = \"c\"\nkind = \"client\"\nnetwork = \"office\"\ncount = 2\n\
                [[party]]\nname = \"d\"\nkind = \"client\"\nnetwork = \"internet\"\ncount = 2\n\
                [[action]]\nat = \"0 s\"\nparty = [\"c\", \"d\"]\ndo = \"sign-in\"\n\
                [[action]]\nat = \"1 s\"\nparty = \"c\"\ndo = \"call\"\nwith = \"d\"\nfor = \"5 s\"\n\
                [[action]]\nat = \"9 s\"\nparty = \"c-2\"\ndo = \"call\"\nwith = \"d-1\"\nfor = \"5 s\"";
    let scenario = parse(
        &Draft {
            more,
            ..Draft::default()
        }
        .text(),
    )
    .expect("right");
    assert!(scenario.warnings.is_empty(), "{}", scenario.warnings);
    let name = |party: usize| scenario.parties[party].name.as_str();
    let calls = scenario
        .actions
        .iter()
        .filter_map(|action| match action.what {
            scenario::What::Call { with, .. } => Some((name(action.party), name(with))),
            _ => None,
        });
    let calls: Vec<_> = calls.collect();
    assert_eq!(calls, [("c-1", "d-1"), ("c-2", "d-2"), ("c-2", "d-1")]);
}

fn check(folder: &TempDir, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_skype-ips"))
        .arg("check")
        .args(arguments)
        .current_dir(folder.path())
        .output()
        .expect("the command runs")
}

#[test]
fn check_tells_scenarios_from_configurations() {
    let folder = TempDir::new().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).expect("a file");
    };
    write("right.toml", &Draft::default().text());
    write(
        "wrong.toml",
        &Draft {
            alice: "udp = 3",
            ..Draft::default()
        }
        .text(),
    );
    write(
        "policy.toml",
        "version = 1\n[[policy]]\nname = \"a\"\nsubnets = [\"10.0.0.0/8\"]\n",
    );

    let output = check(&folder, &["right.toml", "policy.toml"]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    assert!(
        shown.contains("right.toml: scenario test, 30 s: 2 networks, 9 parties"),
        "{shown}"
    );
    assert!(shown.contains("1 policy"), "{shown}");
    assert!(shown.contains("ok, no problems (sha-256"), "{shown}");

    let output = check(&folder, &["wrong.toml", "policy.toml"]);
    let shown = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{shown}");
    for part in [
        "--> wrong.toml:10:7",
        "udp = 3",
        "write it like udp = false",
        "1 error",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }

    let output = check(&folder, &["wrong.toml", "--json"]);
    let line = String::from_utf8_lossy(&output.stdout);
    let problem: serde_json::Value = serde_json::from_str(&line).expect("one object");
    assert_eq!(problem["path"], "wrong.toml");
    assert_eq!(
        (&problem["line"], &problem["column"]),
        (&10.into(), &7.into())
    );
    assert_eq!(problem["text"], "udp = 3");
    assert_eq!(problem["severity"], "error");

    let output = check(&folder, &["right.toml", "--explain-host", "10.1.0.2"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn every_ready_scenario_is_clean() {
    for ready in scenario::ready() {
        let scenario = scenario::parse(Path::new(ready.name), ready.text);
        let scenario = scenario.unwrap_or_else(|problems| panic!("{problems}"));
        assert!(scenario.warnings.is_empty(), "{}", scenario.warnings);
        assert_eq!(scenario.name, ready.name);
        assert!(!scenario.about.is_empty(), "{}", ready.name);
    }
}

#[test]
fn a_scenario_is_loaded_by_its_name_or_its_path() {
    let by_name = scenario::load("call").expect("a ready one");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
    let by_path = scenario::load(&format!("{folder}/call.toml")).expect("the same");
    assert_eq!(by_name.parties, by_path.parties);
    let absent = scenario::load("cal").expect_err("there is none");
    assert!(absent.list()[0].help.contains("\"call\""), "{absent}");
    let folder = scenario::load(folder).expect_err("no file");
    assert!(
        folder.list()[0].message.contains("can't be read"),
        "{folder}"
    );
}

#[test]
fn the_first_scenarios_of_the_reference_reach_their_goals() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/scenarios.md");
    let text = fs::read_to_string(path).expect("docs/scenarios.md is there");
    let mut blocks = 0;
    for block in text.split("```toml\n").skip(1) {
        let block = block.split("```").next().expect("the end of the example");
        let scenario = parse(block).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(scenario.warnings.is_empty(), "{}", scenario.warnings);
        let mut built = scenario::build(&scenario, 1);
        let schedule = std::mem::take(&mut built.schedule);
        play(&mut built.world, schedule, built.until, &mut |_, _| true);
        for goal in scenario::judge(&scenario, &built.achieved()) {
            assert!(goal.met, "{}: {goal:?}", scenario.name);
        }
        blocks += 1;
    }
    assert_eq!(blocks, 2);
}

#[test]
fn a_proxy_has_a_password_for_all_or_for_nobody() {
    let more = "[[party]]\nname = \"gate\"\nkind = \"proxy\"\nnetwork = \"internet\"\n\
                [[party]]\nname = \"c\"\nkind = \"client\"\nnetwork = \"office\"\n\
                proxy = { kind = \"http-password\", party = \"gate\" }";
    let draft = Draft {
        alice: "proxy = { kind = \"socks5\", party = \"gate\" }",
        more,
        ..Draft::default()
    };
    let found = problems(&draft.text());
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(
        found[0]
            .message
            .contains("`gate` is to have a password and none")
    );
}

#[test]
fn there_is_an_end_to_how_much_is_read() {
    let group = "[[party]]\nname = \"c\"\nkind = \"client\"\nnetwork = \"internet\"\ncount = 999";
    let text = format!("{}[[party]]\nname = \"d\"\n", Draft::default().text());
    let text = text.replace("198.51.100.0/24", "198.18.0.0/16");
    let found = problems(&text.replace("[[party]]\nname = \"d\"", group));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].message.contains("more than 1000 parties"));
    let signs_in = "[[action]]\nat = \"1 s\"\nparty = \"c\"\ndo = \"sign-in\"\n";
    let many = format!("{}\n{}", group.replace("999", "900"), signs_in.repeat(12));
    let found = problems(&text.replace("[[party]]\nname = \"d\"", &many));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].message.contains("more than 10000 actions"));
}
