//! The tables of policy files, with what the reference says of each key.

use super::super::vocabulary::{Class, Confidence, Day, Direction, Mode, Role, Scope};
use crate::toml_file::Values::Text;
use crate::toml_file::{Grammar, Key, Values, keys};

/// What a key that says what is done can have.
const ACTION_VALUES: Values = Text("[an action](#actions)");

keys! {
    GROUPS = "groups", "[groups]", Text("[`[groups]`](#groups)"), "none",
        "names for lists of prefixes";
    BUDGET = "budget", "[[budget]]", Text("[`[[budget]]`](#budget)"), "none",
        "how much passes under a throttle";
    POLICY = "policy", "[[policy]]", Text("[`[[policy]]`](#policy)"), "none",
        "which hosts, and what is done with their Skype";
    EXEMPT = "exempt", "exempt = [\"10.1.2.3\", \"@servers\"]", Text("prefixes, addresses, groups"), "`[]`",
        "hosts that are under no policy, whatever policy has them";
    TIMEZONE = "timezone", "timezone = \"Europe/Berlin\"", Text("a name of the IANA time zone database"), "the first that a file of the configuration has, else `\"UTC\"`",
        "where the hours of this file's windows hold. The machine's own database goes first, then the one that is built in";
    HOST_PREFIX_V6 = "host-prefix-v6", "host-prefix-v6 = 64", Text("`64`, `128`"), "`128`",
        "what one host of IPv6 is, in the whole configuration: each address, or each network of 64 bits. [Which to take](#one-host)";
    HOST_TIMEOUT = "host-timeout", "host-timeout = \"30 min\"", Text("`\"1 min\"` to `\"24 h\"`; `ms`, `s`, `min`, `h`"), "each thing that was learned has [an age of its own](#one-host), of most 20 minutes",
        "how long a host may show nothing of Skype before all that was learned of it is forgotten, in the whole configuration";

    BUDGET_NAME = "name", "name = \"relayed-file\"", Text("1 to 64 small letters, digits and `-`"), "required",
        "unique in the configuration. What a bucket has used outlives a reload as long as the name does";
    RATE = "rate", "rate = \"4 KB/s\"", Text("`\"8 bit/s\"` to `\"100 Gbit/s\"`; `B/s`, `KB/s`, `MB/s`, `bit/s`, `kbit/s`, `Mbit/s`, `Gbit/s`"), "required",
        "what passes in the long run, bytes of IP packets as they are on the wire. 1 KB is 1000 bytes";
    BURST = "burst", "burst = \"6 KB\"", Text("from `\"1500 B\"`; `B`, `KB`, `MB`, `GB`"), "half a second of the rate, but under 12 KB/s 3000 B and a quarter of a second",
        "what may pass at once after a pause; at least one packet of 1500 bytes, or large packets never had room";
    SCOPE = "scope", "scope = \"host\"", Values::of::<Scope>(), "`\"host\"`",
        "what has a bucket of its own: each flow; each session (both legs of a relay's together, else the flow); each inside host (of IPv6: `host-prefix-v6`); each prefix of a policy; each policy";
    DIRECTION = "direction", "direction = \"each\"", Values::of::<Direction>(), "`\"each\"`",
        "which packets count: those towards the inside host, those from it, both together, or both with a bucket for each";

    NAME = "name", "name = \"office\"", Text("1 to 64 small letters, digits and `-`"), "required",
        "unique in the configuration";
    SUBNETS = "subnets", "subnets = [\"10.0.0.0/8\"]", Text("prefixes, addresses, groups; not empty"), "every host, where `vlans` or `interfaces` are given; else required",
        "the hosts. `\"0.0.0.0/0\"` is every IPv4 host, `\"::/0\"` every IPv6 host. A prefix with bits set behind it is refused, and one that another policy has at the same place";
    VLANS = "vlans", "vlans = [10, 20]", Text("numbers from 1 to 4094; not empty"), "any VLAN, and none",
        "only hosts that are met in one of these VLANs (the outer tag)";
    INTERFACES = "interfaces", "interfaces = [\"eth1\"]", Text("names of the gateway's inside interfaces; not empty"), "any interface",
        "only hosts that are met at one of these interfaces. With `vlans`, either will do";
    POLICY_EXEMPT = "exempt", "exempt = [\"10.1.2.3\"]", Text("prefixes, addresses, groups within `subnets`"), "`[]`",
        "hosts of this policy that are under no policy; those that a longer prefix gives to another policy are that one's";
    POLICY_MODE = "mode", "mode = \"enforce\"", Values::of::<Mode>(), "`\"enforce\"`",
        "`\"monitor\"` holds this policy to alerts; the less strict of this and the gateway's mode holds";
    CONFIDENCE = "confidence", "confidence = \"strong\"", Values::of::<Confidence>(), "`\"strong\"`",
        "how sure a finding must be for anything stricter than an alert; a less sure one is reported. `\"exact\"`: odds of chance at most 2⁻³², `\"strong\"`: at most 2⁻²⁰, `\"heuristic\"`: statistics";
    WINDOW = "window", "[[policy.window]]", Text("[`[[policy.window]]`](#policywindow)"), "none",
        "times at which the policy is stricter; at most 16";

    DEFAULT = "default", "default = \"drop\"", ACTION_VALUES, "`\"allow\"`",
        "Skype of which nothing more specific is said";
    AMBIGUOUS = "ambiguous", "ambiguous = \"alert\"", Text("`\"allow\"`, `\"alert\"` or `\"drop\"`, also with `mark` and `dscp`"), "`\"allow\"`",
        "media, and connections to [servers of both](detection/late.md#names-of-both), that [may be Skype's or Teams'](detection/late.md#media): no other key is for them, and `confidence` neither. `\"drop\"` also stops Teams' of hosts that were not seen to ask for a name of either, or that use both. It can't be rejected or throttled: what is not known to be Skype's must not use up Skype's budgets or be answered in its name";

    CLIENT = "client", "client = \"allow\"", Text("[an action](#actions), or a table of classes"), "none",
        "role: what the host's own user does";
    SUPER_NODE = "super-node", "super-node = \"drop\"", Text("[an action](#actions), or a table of classes"), "none",
        "role: what the host does for others as their directory. Its user's own calls are `client`";
    RELAY = "relay", "relay = { default = \"drop\", file-transfer = \"alert\" }", Text("[an action](#actions), or a table of classes"), "none",
        "role: what the host carries between others, both legs";

    LOGIN = "login", "login = \"drop\"", ACTION_VALUES, "none",
        "class: signing in, event and contact servers";
    SIGNALING = "signaling", "signaling = \"alert\"", ACTION_VALUES, "none",
        "class: search, presence, call set-up, probing: everything between peers and super nodes";
    VOICE = "voice", "voice = \"allow\"", ACTION_VALUES, "none",
        "class: calls";
    VIDEO = "video", "video = { throttle = \"video\" }", ACTION_VALUES, "none",
        "class: calls with pictures";
    FILE_TRANSFER = "file-transfer", "file-transfer = \"reject\"", ACTION_VALUES, "none",
        "class: files";
    VERSION_CHECK = "version-check", "version-check = \"drop\"", ACTION_VALUES, "none",
        "class: the program asking for its newest version";
    WEB_STATUS = "web-status", "web-status = \"drop\"", ACTION_VALUES, "none",
        "class: presence shown on web pages";
    OTHER = "other", "other = \"alert\"", ACTION_VALUES, "none",
        "class: any other Skype";

    LISTENING_PORT = "listening-port", "listening-port = \"drop\"", Text("`\"alert\"`, `\"reject\"`, `\"drop\"`, or a table with `action` and `ports`"), "none",
        "restriction: TCP that the outside opens to a port on which Skype is known to listen. It falls at the SYN, so it can't be throttled";
    UDP = "udp", "udp = \"drop\"", ACTION_VALUES, "none",
        "restriction: Skype by UDP. Stopped, it falls back to TCP";
    ONLY_VIA = "only-via", "only-via = [\"10.9.0.1:1080\"]", Text("a list of proxies, or a table with `proxies` and an action"), "none",
        "restriction: Skype that doesn't go to one of these proxies; a list alone means `\"drop\"`";

    ACTION = "action", "action = \"drop\"", Text("`\"allow\"`, `\"alert\"`, `\"throttle\"`, `\"reject\"`, `\"drop\"`"), "`\"throttle\"` where there is one, `\"drop\"` for restrictions; else required",
        "what is done";
    THROTTLE = "throttle", "throttle = \"relayed-file\"", Text("a budget's name, or a list of 1 to 4"), "none",
        "budgets, all of which are obeyed: a packet passes if every one of them has room";
    MARK = "mark", "mark = 0x10", Text("a number from 1, or `{ value = …, mask = … }`"), "none",
        "bits to set in the mark of packets that pass, or bits under the mask to write; all others are left alone. None of the gateway's own four";
    DSCP = "dscp", "dscp = 46", Text("0 to 63"), "none",
        "code point to write into packets that pass, IPv4 and IPv6";
    PORTS = "ports", "ports = [35990]", Text("numbers from 1 to 65535"), "`[]`",
        "of `listening-port`: TCP ports on which Skype listens besides those that are learned";
    PROXIES = "proxies", "proxies = [\"10.9.0.1:1080\"]", Text("addresses with a port; not empty"), "required",
        "of `only-via`: the proxies";
    VALUE = "value", "value = 0x10", Text("0 to 0xffffffff, within the mask"), "required",
        "of a `mark`: the bits to write";
    MARK_MASK = "mask", "mask = 0xff", Text("1 to 0xffffffff"), "required",
        "of a `mark`: which bits to write";

    DAYS = "days", "days = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\"]", Values::of::<Day>(), "every day",
        "a list of the days on which it opens";
    FROM = "from", "from = \"08:00\"", Text("`\"00:00\"` to `\"23:59\"`"), "`\"00:00\"`",
        "when it opens";
    TO = "to", "to = \"18:00\"", Text("`\"00:01\"` to `\"24:00\"`"), "`\"24:00\"`",
        "when it closes: on the next day if it is before `from`";
}

/// `[[budget]]`.
pub(super) const BUDGET_TABLE: Grammar = Grammar {
    header: "[[budget]]",
    keys: &[&BUDGET_NAME, &RATE, &BURST, &SCOPE, &DIRECTION],
    later: &[],
};

/// `[[policy]]`.
pub(super) const POLICY_TABLE: Grammar = Grammar {
    header: "[[policy]]",
    keys: &[
        &NAME,
        &SUBNETS,
        &VLANS,
        &INTERFACES,
        &POLICY_EXEMPT,
        &POLICY_MODE,
        &CONFIDENCE,
        &DEFAULT,
        &AMBIGUOUS,
        &CLIENT,
        &SUPER_NODE,
        &RELAY,
        &LOGIN,
        &SIGNALING,
        &VOICE,
        &VIDEO,
        &FILE_TRANSFER,
        &VERSION_CHECK,
        &WEB_STATUS,
        &OTHER,
        &LISTENING_PORT,
        &UDP,
        &ONLY_VIA,
        &WINDOW,
    ],
    later: &[],
};

/// `[[policy.window]]`, whose other keys are those of a policy that say what is done.
pub(super) const WINDOW_TABLE: Grammar = Grammar {
    header: "[[policy.window]]",
    keys: &[
        &DAYS,
        &FROM,
        &TO,
        &DEFAULT,
        &AMBIGUOUS,
        &CLIENT,
        &SUPER_NODE,
        &RELAY,
        &LOGIN,
        &SIGNALING,
        &VOICE,
        &VIDEO,
        &FILE_TRANSFER,
        &VERSION_CHECK,
        &WEB_STATUS,
        &OTHER,
        &LISTENING_PORT,
        &UDP,
        &ONLY_VIA,
    ],
    later: &[],
};

/// The table of a role.
pub(super) const ROLE_TABLE: Grammar = Grammar {
    header: "relay = { … }",
    keys: &[
        &DEFAULT,
        &LOGIN,
        &SIGNALING,
        &VOICE,
        &VIDEO,
        &FILE_TRANSFER,
        &VERSION_CHECK,
        &WEB_STATUS,
        &OTHER,
    ],
    later: &[],
};

/// An action as a table.
pub(super) const ACTION_TABLE: Grammar = Grammar {
    header: "{ action = … }",
    keys: &[&ACTION, &THROTTLE, &MARK, &DSCP],
    later: &[],
};

/// `listening-port` as a table.
pub(super) const LISTENING_PORT_TABLE: Grammar = Grammar {
    header: "listening-port = { … }",
    keys: &[&ACTION, &PORTS],
    later: &[],
};

/// `only-via` as a table.
pub(super) const ONLY_VIA_TABLE: Grammar = Grammar {
    header: "only-via = { … }",
    keys: &[&PROXIES, &ACTION, &THROTTLE, &MARK, &DSCP],
    later: &[],
};

/// A mark as a table.
pub(super) const MARK_TABLE: Grammar = Grammar {
    header: "mark = { … }",
    keys: &[&VALUE, &MARK_MASK],
    later: &[],
};

/// A role's key.
pub(super) const fn of_role(role: Role) -> &'static Key {
    match role {
        Role::Client => &CLIENT,
        Role::SuperNode => &SUPER_NODE,
        Role::Relay => &RELAY,
    }
}

/// A class's key.
pub(super) const fn of_class(class: Class) -> &'static Key {
    match class {
        Class::Login => &LOGIN,
        Class::Signaling => &SIGNALING,
        Class::Voice => &VOICE,
        Class::Video => &VIDEO,
        Class::FileTransfer => &FILE_TRANSFER,
        Class::VersionCheck => &VERSION_CHECK,
        Class::WebStatus => &WEB_STATUS,
        Class::Other => &OTHER,
    }
}
