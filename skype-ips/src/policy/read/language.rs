//! The configuration language: every table, every key this version reads, and every word of the
//! language that it doesn't enforce yet.

use crate::toml_file::Values::Text;
use crate::toml_file::{Grammar, Key, Language, keys};

pub(super) use super::policy_tables::*;
pub(super) use crate::toml_file::VERSION;

keys! {
    INCLUDE = "include", "include = [\"policies/*.toml\"]", Text("a list of files"), "none",
        "more files, relative to the file that says so; `*` in the file's name stands for any characters, and matches are read in the order of their names. A file is read once however often it is named; a file that includes itself is an error; a pattern that matches nothing is a warning";
    MODE = "mode", "mode = \"monitor\"";
    HOOK = "hook", "hook = \"auto\"";
    CONNTRACK = "conntrack", "conntrack = \"auto\"";
    PUBLIC_ADDRESSES = "public-addresses", "public-addresses = [\"203.0.113.7\"]";
    MANAGEMENT = "management", "management = [\"10.0.0.5\"]";
    INTERFACE = "interface", "[[interface]]";
    QUEUES = "queues", "[queues]";
    MARKS = "marks", "[marks]";
    FAILURE = "failure", "[failure]";

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
        &MANAGEMENT,
        &INTERFACE,
        &QUEUES,
        &MARKS,
        &FAILURE,
        &TIMEZONE,
        &HOST_PREFIX_V6,
        &HOST_TIMEOUT,
        &EXEMPT,
        &GROUPS,
        &BUDGET,
        &POLICY,
    ],
    later: &["detection", "telemetry"],
};

/// Keys of the file that policy files have.
pub(super) const POLICY_FILE_KEYS: &[&Key] = &[
    &VERSION,
    &INCLUDE,
    &TIMEZONE,
    &HOST_PREFIX_V6,
    &HOST_TIMEOUT,
    &EXEMPT,
    &GROUPS,
    &BUDGET,
    &POLICY,
];

/// Keys of the file that only the gateway's own file may have.
pub(super) const GATEWAY_KEYS: &[&Key] = &[
    &MODE,
    &HOOK,
    &CONNTRACK,
    &PUBLIC_ADDRESSES,
    &MANAGEMENT,
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

/// The policy language, and that of detection packs.
pub(super) const LANGUAGE: Language = Language {
    name: "policy",
    tables: TABLES,
    list: "[[policy]]",
    strings: "\"drop\" or \"10.0.0.0/8\"",
};

/// Every table.
const TABLES: &[&Grammar] = &[
    &FILE,
    &INTERFACE_TABLE,
    &QUEUES_TABLE,
    &MARKS_TABLE,
    &FAILURE_TABLE,
    &BUDGET_TABLE,
    &POLICY_TABLE,
    &WINDOW_TABLE,
    &ROLE_TABLE,
    &ACTION_TABLE,
    &LISTENING_PORT_TABLE,
    &ONLY_VIA_TABLE,
    &MARK_TABLE,
    &PACK_TABLE,
    &NAMES_TABLE,
    &BOOTSTRAP_TABLE,
    &STUN_TABLE,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Class, Role};

    #[test]
    fn no_word_is_both_read_and_refused() {
        for table in TABLES {
            for key in table.keys {
                assert!(!table.later.contains(&key.name), "{}", key.name);
            }
        }
    }

    #[test]
    fn the_references_describe_every_key() {
        let read = |name: &str| {
            let path = format!("{}/../docs/{name}", env!("CARGO_MANIFEST_DIR"));
            std::fs::read_to_string(path).expect("the reference is there")
        };
        let references = [read("configuration.md"), read("policy.md")];
        let has = |text: &str| references.iter().any(|reference| reference.contains(text));
        for table in TABLES {
            let heading = format!("# `{}`", table.header);
            assert!(!table.header.starts_with('[') || has(&heading), "{heading}");
            for key in table.keys {
                let row = format!("| `{}` |", key.name);
                assert!(has(&row) || key.is_table(), "no row {row:?}");
            }
            for word in table.later {
                assert!(has(&format!("`{word}`")), "{word} isn't listed");
            }
        }
    }

    #[test]
    fn roles_and_classes_are_keys_of_their_own_names() {
        for role in Role::ALL {
            assert_eq!(of_role(*role).name, role.word());
        }
        for class in Class::ALL {
            assert_eq!(of_class(*class).name, class.word());
        }
    }
}
