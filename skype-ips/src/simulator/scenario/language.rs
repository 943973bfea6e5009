//! The scenario language: every table and its keys.

use crate::toml_file::{Grammar, Key, Language, VERSION, keys};

keys! {
    NAME = "name", "name = \"first-call\"";
    ABOUT = "about", "about = \"Two clients, one call.\"";
    DURATION = "duration", "duration = \"30 s\"";
    SERVICES = "services", "services = \"internet\"";
    NETWORKS = "networks", "[networks.office]";
    LINKS = "links", "[links.dsl]";
    PARTY = "party", "[[party]]";
    ACTION = "action", "[[action]]";
    EXPECT = "expect", "[[expect]]";

    SIDE = "side", "side = \"inside\"";
    SUBNET = "subnet", "subnet = \"10.1.0.0/24\"";
    NAT = "nat", "nat = true";
    LINK = "link", "link = \"dsl\"";
    BLOCKED = "blocked", "blocked = [\"udp\"]";

    NAT_ADDRESS = "address", "address = \"203.0.113.7\"";
    NAT_KIND = "kind", "kind = \"port-restricted\"";

    RATE = "rate", "rate = \"2 Mbit/s\"";
    UP = "up", "up = \"256 kbit/s\"";
    DOWN = "down", "down = \"2 Mbit/s .. 16 Mbit/s\"";
    DELAY = "delay", "delay = \"10 ms .. 40 ms\"";
    JITTER = "jitter", "jitter = \"2 ms\"";
    LOSS = "loss", "loss = \"0.5 %\"";
    REORDER = "reorder", "reorder = \"0.1 %\"";

    PARTY_NAME = "name", "name = \"alice\"";
    KIND = "kind", "kind = \"client\"";
    NETWORK = "network", "network = \"office\"";
    ADDRESS = "address", "address = \"10.1.0.10\"";
    COUNT = "count", "count = 10";
    RUNS = "runs", "runs = [\"https\", \"dns\"]";
    SERVES = "serves", "serves = [\"https\"]";
    GENERATION = "generation", "generation = \"2015\"";
    PORT = "port", "port = 35990";
    UDP = "udp", "udp = false";
    PROXY = "proxy", "proxy = { kind = \"socks5\", party = \"gate\" }";
    HOST_CACHE = "host-cache", "host-cache = [\"node\"]";
    BOOTSTRAP = "bootstrap", "bootstrap = [\"bootstrap-1\"]";
    RELAY = "relay", "relay = true";
    DIRECTORY = "directory", "directory = true";

    PROXY_KIND = "kind", "kind = \"socks5\"";
    PROXY_PARTY = "party", "party = \"gate\"";

    AT = "at", "at = \"5 s\"";
    WHO = "party", "party = \"alice\"";
    DO = "do", "do = \"call\"";
    WITH = "with", "with = \"bob\"";
    TO = "to", "to = \"bob\"";
    FOR = "for", "for = \"15 s\"";
    BYTES = "bytes", "bytes = \"200 KB\"";
    VIDEO = "video", "video = \"300 kbit/s\"";
    TIMES = "count", "count = 20";
    USER = "user", "user = [\"node-1\"]";
    OVER = "over", "over = \"10 s\"";
    SPREAD = "spread", "spread = \"5 s\"";

    SIGNED_IN = "signed-in", "signed-in = true";
    DELIVERED = "delivered", "delivered = \"95 %\"";
    LONGEST_GAP = "longest-gap", "longest-gap = \"1 s\"";
    PATH = "path", "path = [\"udp\"]";
    FILE_STATE = "file", "file = \"whole\"";
    RELAYED = "relayed", "relayed = \"100 KB\"";
    SEARCHES_ANSWERED = "searches-answered", "searches-answered = \"95 %\"";
    SERVED = "served", "served = 10";
    BACKGROUND = "background", "background = \"100 %\"";
    IF_DROPPED = "if-dropped", "if-dropped = \"fails\"";
}

/// The file itself.
pub(super) const FILE: Grammar = Grammar {
    header: "",
    keys: &[
        &VERSION, &NAME, &ABOUT, &DURATION, &SERVICES, &NETWORKS, &LINKS, &PARTY, &ACTION, &EXPECT,
    ],
    later: &[],
};

/// `[networks.NAME]`.
pub(super) const NETWORK_TABLE: Grammar = Grammar {
    header: "[networks.NAME]",
    keys: &[&SIDE, &SUBNET, &NAT, &LINK, &BLOCKED],
    later: &[],
};

/// A home router.
pub(super) const NAT_TABLE: Grammar = Grammar {
    header: "nat = { … }",
    keys: &[&NAT_ADDRESS, &NAT_KIND],
    later: &[],
};

/// `[links.NAME]`.
pub(super) const LINK_TABLE: Grammar = Grammar {
    header: "[links.NAME]",
    keys: &[&RATE, &UP, &DOWN, &DELAY, &JITTER, &LOSS, &REORDER],
    later: &[],
};

/// `[[party]]`.
pub(super) const PARTY_TABLE: Grammar = Grammar {
    header: "[[party]]",
    keys: &[
        &PARTY_NAME,
        &KIND,
        &NETWORK,
        &ADDRESS,
        &LINK,
        &COUNT,
        &RUNS,
        &SERVES,
        &GENERATION,
        &PORT,
        &UDP,
        &PROXY,
        &HOST_CACHE,
        &BOOTSTRAP,
        &RELAY,
        &DIRECTORY,
        &USER,
    ],
    later: &[],
};

/// The proxy of a client.
pub(super) const PROXY_TABLE: Grammar = Grammar {
    header: "proxy = { … }",
    keys: &[&PROXY_KIND, &PROXY_PARTY],
    later: &[],
};

/// `[[action]]`.
pub(super) const ACTION_TABLE: Grammar = Grammar {
    header: "[[action]]",
    keys: &[
        &AT, &WHO, &DO, &WITH, &TO, &FOR, &BYTES, &VIDEO, &TIMES, &OVER, &SPREAD,
    ],
    later: &[],
};

/// `[[expect]]`.
pub(super) const EXPECT_TABLE: Grammar = Grammar {
    header: "[[expect]]",
    keys: &[
        &WHO,
        &SIGNED_IN,
        &DELIVERED,
        &LONGEST_GAP,
        &PATH,
        &FILE_STATE,
        &RELAYED,
        &SEARCHES_ANSWERED,
        &SERVED,
        &BACKGROUND,
        &IF_DROPPED,
    ],
    later: &[],
};

/// The scenario language.
pub(super) const LANGUAGE: Language = Language {
    name: "scenario",
    tables: &[
        &FILE,
        &NETWORK_TABLE,
        &NAT_TABLE,
        &LINK_TABLE,
        &PARTY_TABLE,
        &PROXY_TABLE,
        &ACTION_TABLE,
        &EXPECT_TABLE,
    ],
    list: "[[party]]",
    strings: "\"client\" or \"10 ms\"",
};

impl Grammar {
    /// The keys of `all` that are none of `fitting`.
    pub(super) fn without(&self, fitting: &[&Key]) -> impl Iterator<Item = &'static Key> {
        self.keys
            .iter()
            .copied()
            .filter(move |key| !fitting.iter().any(|fits| fits.name == key.name))
    }
}

#[cfg(test)]
mod tests {
    use super::super::vocabulary::{
        Application, Blocked, Deed, Generation, IfDropped, Kind, NatKind, Path, ProxyKind, Side,
    };
    use super::*;
    use crate::toml_file::Word;

    fn reference() -> String {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/scenarios.md");
        std::fs::read_to_string(path).expect("docs/scenarios.md is there")
    }

    #[test]
    fn the_reference_describes_every_key() {
        let reference = reference();
        for table in LANGUAGE.tables {
            let named = format!("`{}`", table.header);
            assert!(
                table.header.is_empty() || reference.contains(&named),
                "{named}"
            );
            for key in table.keys {
                let row = format!("| `{}` |", key.name);
                assert!(reference.contains(&row), "no row {row:?}");
            }
        }
    }

    fn words<T: Word>() -> Vec<&'static str> {
        T::WORDS.iter().map(|word| word.as_word()).collect()
    }

    #[test]
    fn the_reference_says_every_word() {
        let reference = reference();
        let quoted = [
            words::<Application>(),
            words::<Blocked>(),
            words::<Generation>(),
            words::<IfDropped>(),
            words::<NatKind>(),
            words::<Path>(),
            words::<ProxyKind>(),
            words::<Side>(),
        ];
        for word in quoted.concat() {
            assert!(reference.contains(&format!("`\"{word}\"")), "{word}");
        }
        for word in [words::<Kind>(), words::<Deed>()].concat() {
            assert!(reference.contains(&format!("| `{word}` |")), "{word}");
        }
    }

    #[test]
    fn the_reference_lists_every_ready_scenario() {
        let reference = reference();
        for ready in super::super::ready() {
            let row = format!("| `{}` |", ready.name);
            assert!(reference.contains(&row), "no row {row:?}");
        }
    }
}
