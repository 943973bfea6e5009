//! The reference of the policy language, from what its keys say of themselves.

use std::fmt::Write;

use super::language::{
    ACTION_TABLE, BUDGET_TABLE, LISTENING_PORT_TABLE, MARK_TABLE, ONLY_VIA_TABLE, POLICY_FILE_KEYS,
    POLICY_TABLE, ROLE_TABLE, WINDOW_TABLE,
};
use crate::toml_file::{Grammar, Key, Values};

/// The tables, each with its heading and what is said before it.
const SECTIONS: &[(&str, &str, &[&Grammar])] = &[
    (
        "`[[budget]]`",
        "How much passes. What a packet costs is its length as an IP packet on the wire; a packet \
         for which there is no room is dropped. A full bucket lets a packet that is longer than the \
         burst pass, and what it borrowed is paid back before anything else passes. At most 1024 \
         budgets.",
        &[&BUDGET_TABLE],
    ),
    (
        "`[[policy]]`",
        "Which hosts, and what is done with their Skype. At most 1024 policies and 16,384 prefixes; \
         `\"::/0\"` counts as 96, and a prefix counts once for each VLAN and each interface that its \
         policy names.",
        &[&POLICY_TABLE],
    ),
    (
        "`[[policy.window]]`",
        "Times at which the policy that it follows in the file is stricter. While it is open, it is \
         asked like a policy of its own, and the stricter of its answer and the policy's holds; of \
         two throttles the budgets of both. All keys of a policy that say what is done may stand in \
         it, and these:",
        &[&WINDOW_TABLE],
    ),
];

/// What of an action's tables is told together.
const ACTIONS: &[&Grammar] = &[
    &ACTION_TABLE,
    &LISTENING_PORT_TABLE,
    &ONLY_VIA_TABLE,
    &MARK_TABLE,
];

/// The reference in Markdown: a table for each table of the language.
pub fn reference() -> String {
    let mut text = String::from("### Top of a file\n\n");
    table(&mut text, POLICY_FILE_KEYS);
    for (heading, about, grammars) in SECTIONS {
        write!(text, "\n### {heading}\n\n{about}\n\n").expect("a string takes everything");
        let keys = grammars.iter().flat_map(|grammar| grammar.keys).copied();
        // Of a window, only what a policy doesn't have.
        let of_policy = |key: &&Key| {
            *heading == "`[[policy]]`"
                || !POLICY_TABLE.keys.iter().any(|one| std::ptr::eq(*one, *key))
        };
        let keys: Vec<_> = keys.filter(of_policy).collect();
        table(&mut text, &keys);
    }
    text += "\n### Actions\n\nA word, or a table with these keys:\n\n";
    let mut keys: Vec<&Key> = Vec::new();
    for key in ACTIONS.iter().flat_map(|grammar| grammar.keys) {
        if !keys.iter().any(|known| known.example == key.example) {
            keys.push(key);
        }
    }
    table(&mut text, &keys);
    let classes = ROLE_TABLE.keys.iter().map(|key| format!("`{}`", key.name));
    let classes: Vec<_> = classes.collect();
    write!(
        text,
        "\nThe table of a role has {} as keys, each with an action.\n",
        classes.join(", ")
    )
    .expect("a string takes everything");
    text
}

/// One table of the reference.
fn table(text: &mut String, keys: &[&Key]) {
    *text += "| Key | Values | Without it | Meaning | Example |\n| --- | --- | --- | --- | --- |\n";
    for key in keys {
        let Some(about) = &key.about else {
            continue; // which a test forbids
        };
        let values = match about.values {
            Values::Text(values) => values.to_owned(),
            Values::Words(words) => {
                let words: Vec<_> = words().iter().map(|word| format!("`\"{word}\"`")).collect();
                words.join(", ")
            }
        };
        let (name, default, meaning) = (key.name, about.default, about.meaning);
        let example = key.example;
        writeln!(
            text,
            "| `{name}` | {values} | {default} | {meaning} | `{example}` |"
        )
        .expect("a string takes everything");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_has_every_key_of_policy_files() {
        let reference = reference();
        let tables = SECTIONS.iter().flat_map(|(_, _, grammars)| *grammars);
        let keys = tables
            .chain(ACTIONS)
            .chain([&&ROLE_TABLE])
            .flat_map(|table| table.keys);
        for key in keys.chain(POLICY_FILE_KEYS) {
            assert!(key.about.is_some(), "{} has no description", key.name);
            assert!(
                reference.contains(&format!("| `{}` |", key.name)),
                "{}",
                key.name
            );
        }
    }
}
