//! A policy as a file for the Windows registry: what Skype's own settings can say of it.

mod policy;
mod values;

use std::fmt::Write as _;

pub use policy::{ProxyType, Settings};
pub use values::{Data, HOST_ONLY, KEY, Value};

use crate::policy::PolicySet;

/// The text of the file, with CRLF; see [`encode`].
///
/// Values of [`Value`] that the policy doesn't ask for are deleted, so that the file says the same
/// on every computer, whatever was imported there before.
///
/// `index` is the policy's place in `set`.
pub fn render(set: &PolicySet, index: usize, settings: &Settings) -> String {
    let policy = &set.policies()[index];
    let subnets: Vec<String> = policy.subnets.iter().map(ToString::to_string).collect();
    let mut lines = vec![
        "Windows Registry Editor Version 5.00".to_owned(),
        String::new(),
        format!("; Policy {} of skype-ips", policy.name),
        format!("; For computers in {}", subnets.join(", ")),
        ";".to_owned(),
    ];
    if settings.unsaid.is_empty() {
        lines.push("; Everything that the policy says is said here.".to_owned());
    } else {
        lines.push("; What the policy says and the registry can't:".to_owned());
        lines.extend(settings.unsaid.iter().map(|text| format!("; - {text}")));
    }
    lines.extend([String::new(), format!("[{KEY}]")]);
    for value in Value::ALL {
        let mut line = format!("\"{}\"=", value.name());
        let set = settings.values.get(&value);
        let written = match set.map(|(data, _)| data) {
            None => write!(line, "-"),
            Some(Data::Number(number)) => write!(line, "dword:{number:08x}"),
            Some(Data::Text(text)) => write!(line, "\"{}\"", escaped(text)),
        };
        written.expect("a string takes everything");
        if let Some((_, reason)) = set {
            lines.push(format!("; {reason}"));
        }
        lines.push(line);
    }
    lines.extend([
        String::new(),
        "; Only the computer itself can obey these, so a policy of the gateway doesn't speak of"
            .into(),
        "; them. Remove the semicolon in front of those that you want.".into(),
    ]);
    for (name, data, what) in HOST_ONLY {
        lines.push(format!(";\"{name}\"={data}  ({what})"));
    }
    lines.push(
        "; That only contacts may call has no value in the registry: users set it in Skype.".into(),
    );
    lines.into_iter().map(|line| line + "\r\n").collect()
}

/// The bytes of the file: UTF-16 with a byte order mark, as `regedit` writes it. Without the mark
/// `regedit` takes a file to be in the code page of the computer that reads it.
pub fn encode(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

/// A text between quotation marks.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"")
}
