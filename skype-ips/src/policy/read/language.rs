//! The configuration language: every table, every key this version reads, and every word of the
//! language that it doesn't enforce yet.

use super::super::place::quoted;

/// A key, with an example of how to write it.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) example: &'static str,
}

/// A table: its keys, and the words that belong in it but are refused for now.
#[derive(Debug)]
pub(super) struct Grammar {
    /// How its header is written; empty for the file itself.
    pub(super) header: &'static str,
    pub(super) keys: &'static [&'static Key],
    pub(super) later: &'static [&'static str],
}

macro_rules! keys {
    ($($constant:ident = $name:literal, $example:literal;)+) => {
        $(pub(super) const $constant: Key = Key { name: $name, example: $example };)+
    };
}

keys! {
    VERSION = "version", "version = 1";
    INCLUDE = "include", "include = [\"policies/*.toml\"]";
    MODE = "mode", "mode = \"monitor\"";
    HOOK = "hook", "hook = \"auto\"";
    CONNTRACK = "conntrack", "conntrack = \"auto\"";
    PUBLIC_ADDRESSES = "public-addresses", "public-addresses = [\"203.0.113.7\"]";
    INTERFACE = "interface", "[[interface]]";
    QUEUES = "queues", "[queues]";
    MARKS = "marks", "[marks]";
    FAILURE = "failure", "[failure]";
    GROUPS = "groups", "[groups]";
    POLICY = "policy", "[[policy]]";

    INTERFACE_NAME = "name", "name = \"eth1\"";
    SIDE = "side", "side = \"inside\"";
    ZONE = "zone", "zone = 0";

    FIRST = "first", "first = 200";
    COUNT = "count", "count = 4";
    LENGTH = "length", "length = 4096";

    MASK = "mask", "mask = 0xf0000000";

    DAEMON_DOWN = "daemon-down", "daemon-down = \"open\"";
    QUEUE_FULL = "queue-full", "queue-full = \"open\"";
    MESSAGE_LOST = "message-lost", "message-lost = \"open\"";
    INTERNAL_ERROR = "internal-error", "internal-error = \"open\"";

    NAME = "name", "name = \"office\"";
    SUBNETS = "subnets", "subnets = [\"10.0.0.0/8\"]";
    DEFAULT = "default", "default = \"drop\"";
    AMBIGUOUS = "ambiguous", "ambiguous = \"alert\"";
    POLICY_MODE = "mode", "mode = \"enforce\"";
    CONFIDENCE = "confidence", "confidence = \"strong\"";

    PACK = "pack", "[pack]";
    PACK_NAME = "name", "name = \"late\"";
    REVISION = "revision", "revision = 1";
    PREDICATES = "predicates", "predicates = [\"udp-iv\"]";
    NAMES = "names", "[names]";
    SKYPE = "skype", "skype = [\"skype.com\"]";
    TEAMS = "teams", "teams = [\"teams.microsoft.com\"]";
    EITHER = "either", "either = [\"asm.skype.com\"]";
    SHARED = "shared", "shared = [\"pipe.aria.microsoft.com\"]";
    BOOTSTRAP = "bootstrap", "[bootstrap]";
    BOOTSTRAP_HOSTS = "hosts", "hosts = [\"66.235.180.9:33033\"]";
    STUN = "stun", "[stun]";
    ATTRIBUTES = "attributes", "attributes = [0x8054, 0x8070]";
}

/// The file itself.
pub(super) const FILE: Grammar = Grammar {
    header: "",
    keys: &[
        &VERSION,
        &INCLUDE,
        &MODE,
        &HOOK,
        &CONNTRACK,
        &PUBLIC_ADDRESSES,
        &INTERFACE,
        &QUEUES,
        &MARKS,
        &FAILURE,
        &GROUPS,
        &POLICY,
    ],
    later: &[
        "budget",
        "budgets",
        "detection",
        "exempt",
        "host-prefix-v6",
        "host-timeout",
        "telemetry",
        "timezone",
    ],
};

/// Keys of the file that only the gateway's own file may have.
pub(super) const GATEWAY_KEYS: &[&Key] = &[
    &MODE,
    &HOOK,
    &CONNTRACK,
    &PUBLIC_ADDRESSES,
    &INTERFACE,
    &QUEUES,
    &MARKS,
    &FAILURE,
];

/// `[[interface]]`.
pub(super) const INTERFACE_TABLE: Grammar = Grammar {
    header: "[[interface]]",
    keys: &[&INTERFACE_NAME, &SIDE, &ZONE],
    later: &[],
};

/// `[queues]`.
pub(super) const QUEUES_TABLE: Grammar = Grammar {
    header: "[queues]",
    keys: &[&FIRST, &COUNT, &LENGTH],
    later: &[],
};

/// `[marks]`.
pub(super) const MARKS_TABLE: Grammar = Grammar {
    header: "[marks]",
    keys: &[&MASK],
    later: &[],
};

/// `[failure]`.
pub(super) const FAILURE_TABLE: Grammar = Grammar {
    header: "[failure]",
    keys: &[&DAEMON_DOWN, &QUEUE_FULL, &MESSAGE_LOST, &INTERNAL_ERROR],
    later: &[],
};

/// `[[policy]]`: the later words are the roles, the classes, the restrictions, and what else
/// matches or accompanies an action.
pub(super) const POLICY_TABLE: Grammar = Grammar {
    header: "[[policy]]",
    keys: &[
        &NAME,
        &SUBNETS,
        &DEFAULT,
        &AMBIGUOUS,
        &POLICY_MODE,
        &CONFIDENCE,
    ],
    later: &[
        "client",
        "super-node",
        "relay",
        "login",
        "signaling",
        "voice",
        "video",
        "file-transfer",
        "version-check",
        "web-status",
        "other",
        "listening-port",
        "udp",
        "only-via",
        "dscp",
        "exempt",
        "host-prefix-v6",
        "host-timeout",
        "interfaces",
        "mark",
        "throttle",
        "vlans",
        "window",
    ],
};

/// A detection pack's file.
pub(super) const PACK_FILE: Grammar = Grammar {
    header: "",
    keys: &[&VERSION, &PACK, &NAMES, &BOOTSTRAP, &STUN],
    later: &[],
};

/// `[pack]`.
pub(super) const PACK_TABLE: Grammar = Grammar {
    header: "[pack]",
    keys: &[&PACK_NAME, &REVISION, &PREDICATES],
    later: &[],
};

/// `[names]` of a detection pack.
pub(super) const NAMES_TABLE: Grammar = Grammar {
    header: "[names]",
    keys: &[&SKYPE, &TEAMS, &EITHER, &SHARED],
    later: &[],
};

/// `[bootstrap]`.
pub(super) const BOOTSTRAP_TABLE: Grammar = Grammar {
    header: "[bootstrap]",
    keys: &[&BOOTSTRAP_HOSTS],
    later: &[],
};

/// `[stun]` of a detection pack.
pub(super) const STUN_TABLE: Grammar = Grammar {
    header: "[stun]",
    keys: &[&ATTRIBUTES],
    later: &[],
};

/// Actions, alone or as the key of a table, that are refused for now.
pub(super) const LATER_ACTIONS: &[&str] = &["reject", "throttle"];

/// Every table.
pub(super) const TABLES: &[&Grammar] = &[
    &FILE,
    &INTERFACE_TABLE,
    &QUEUES_TABLE,
    &MARKS_TABLE,
    &FAILURE_TABLE,
    &POLICY_TABLE,
    &PACK_TABLE,
    &NAMES_TABLE,
    &BOOTSTRAP_TABLE,
    &STUN_TABLE,
];

impl Key {
    /// Whether its value is a table with keys of its own.
    #[cfg(test)]
    fn is_table(&self) -> bool {
        self.example.starts_with('[')
    }
}

impl Grammar {
    /// The table in a sentence.
    pub(super) fn named(&self) -> String {
        if self.header.is_empty() {
            "the file itself".into()
        } else {
            format!("`{}`", self.header)
        }
    }

    /// What to write instead of a key that this table doesn't have.
    pub(super) fn instead_of(&self, key: &str) -> String {
        if let Some(near) = nearest(key, self.keys.iter().map(|key| key.name)) {
            return format!("did you mean `{near}`?");
        }
        let elsewhere = TABLES
            .iter()
            .filter(|table| table.header != self.header)
            .find(|table| table.keys.iter().any(|known| known.name == key));
        match elsewhere {
            Some(table) if table.header.is_empty() => format!(
                "{} belongs at the top of the file, before the first `[` header",
                quoted(key)
            ),
            Some(table) => format!("{} belongs in {}", quoted(key), table.named()),
            None => {
                let keys = listed(self.keys.iter().map(|key| format!("`{}`", key.name)), "and");
                format!("the keys of {} are {keys}", self.named())
            }
        }
    }
}

/// That a word is part of the language and not enforced yet.
pub(super) fn not_yet(word: &str) -> String {
    format!(
        "{} is part of the policy language, but this version doesn't enforce it yet",
        quoted(word)
    )
}

/// The nearest of `known` to `word`, if it is near enough to be what was meant.
pub(super) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if word.len() > 64 {
        return None;
    }
    let word = word.trim().to_lowercase().replace(['_', ' '], "-");
    known
        .map(|known| (strsim::osa_distance(&word, known), known))
        .filter(|(distance, known)| *distance <= known.len().div_ceil(3).min(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

/// The items as a list, with `and` or `or` before the last.
pub(super) fn listed(items: impl IntoIterator<Item = String>, conjunction: &str) -> String {
    let mut items: Vec<_> = items.into_iter().collect();
    match items.pop() {
        Some(last) if items.is_empty() => last,
        Some(last) => format!("{} {conjunction} {last}", items.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_word_and_other_words_find_none() {
        let known = || ["daemon-down", "queue-full", "mode", "hook"].into_iter();
        assert_eq!(nearest("daemon_down", known()), Some("daemon-down"));
        assert_eq!(nearest("Mode", known()), Some("mode"));
        assert_eq!(nearest("queu-fulll", known()), Some("queue-full"));
        assert_eq!(nearest("colour", known()), None);
        assert_eq!(nearest(&"m".repeat(1 << 20), known()), None);
    }

    #[test]
    fn no_word_is_both_read_and_refused() {
        for table in TABLES {
            for key in table.keys {
                assert!(!table.later.contains(&key.name), "{}", key.name);
            }
        }
    }

    #[test]
    fn the_reference_describes_every_key() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
        let reference = std::fs::read_to_string(path).expect("docs/configuration.md is there");
        for table in TABLES {
            let heading = format!("# `{}`", table.header);
            assert!(
                table.header.is_empty() || reference.contains(&heading),
                "{heading}"
            );
            for key in table.keys {
                let row = format!("| `{}` |", key.name);
                assert!(reference.contains(&row) || key.is_table(), "no row {row:?}");
            }
            for word in table.later {
                assert!(
                    reference.contains(&format!("`{word}`")),
                    "{word} isn't listed"
                );
            }
        }
    }
}
