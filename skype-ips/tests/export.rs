//! `skype-ips export windows-registry`: what the file says is read back as Windows reads it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

/// What a registry file sets (`Some`) and deletes (`None`).
type Values = BTreeMap<String, Option<String>>;

/// Reads a file as `regedit` does: UTF-16 with a byte order mark, the heading, one key, values.
fn read(bytes: &[u8]) -> Values {
    let (units, odd) = bytes.as_chunks::<2>();
    assert!(odd.is_empty(), "half a character at the end");
    let units: Vec<u16> = units.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
    assert_eq!(units.first(), Some(&0xfeff), "no byte order mark");
    let text = String::from_utf16(&units[1..]).expect("UTF-16");
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    let mut lines = text.lines().filter(|line| !line.starts_with(';'));
    assert_eq!(lines.next(), Some("Windows Registry Editor Version 5.00"));
    assert_eq!(lines.next(), Some(""), "an empty line follows the heading");
    let mut values = Values::new();
    let mut key = None;
    for line in lines.filter(|line| !line.is_empty()) {
        if line.starts_with('[') {
            assert_eq!(key.replace(line), None, "one key");
            continue;
        }
        let (name, data) = line.split_once('=').expect("a value");
        let name = name.trim_matches('"').to_owned();
        let data = (data != "-").then(|| data.to_owned());
        assert_eq!(values.insert(name, data), None, "{line}: said twice");
    }
    let expected = r"[HKEY_LOCAL_MACHINE\Software\Policies\Skype\Phone]";
    assert_eq!(key, Some(expected));
    values
}

fn export(config: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let file = folder.path().join("policy.toml");
    std::fs::write(&file, config).expect("a writable folder");
    command(&file, arguments)
}

fn command(file: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_skype-ips"))
        .args(["export", "windows-registry", "--config"])
        .arg(file)
        .args(arguments)
        .output()
        .expect("the binary was built")
}

/// The file and the warnings of a policy with these keys.
fn of(keys: &str) -> (Values, String) {
    let config = format!(
        "version = 1\n\n[[budget]]\nname = \"slow\"\nrate = \"4 KB/s\"\n\n[[policy]]\n\
         name = \"office\"\nsubnets = [\"10.1.0.0/16\"]\n{keys}\n"
    );
    let output = export(&config, &[]);
    let warnings = String::from_utf8(output.stderr).expect("UTF-8");
    assert!(output.status.success(), "{warnings}");
    (read(&output.stdout), warnings)
}

/// What is set, without what is deleted.
fn set(values: &Values) -> Vec<(&str, &str)> {
    let values = values.iter();
    values
        .filter_map(|(name, data)| Some((name.as_str(), data.as_deref()?)))
        .collect()
}

const ONE: &str = "dword:00000001";
const ZERO: &str = "dword:00000000";

#[test]
fn each_restriction_has_its_value() {
    for (keys, expected) in [
        (
            "file-transfer = \"drop\"",
            vec![("DisableFileTransfer", ONE)],
        ),
        (
            "version-check = \"reject\"",
            vec![("DisableVersionCheck", ONE)],
        ),
        ("web-status = \"drop\"", vec![("WebStatus", ZERO)]),
        ("udp = \"drop\"", vec![("DisableUDP", ONE)]),
        ("super-node = \"drop\"", vec![("DisableSupernode", ONE)]),
        (
            "listening-port = \"drop\"",
            vec![("DisableTCPListen", ONE), ("ListenHTTPPorts", ZERO)],
        ),
        (
            "listening-port = { action = \"drop\", ports = [35990] }",
            vec![
                ("DisableTCPListen", ONE),
                ("ListenHTTPPorts", ZERO),
                ("ListenPort", "dword:00008c96"),
            ],
        ),
        (
            "only-via = [\"10.9.0.1:1080\"]",
            vec![
                ("DisableUDP", ONE),
                ("ProxyAddress", "\"10.9.0.1:1080\""),
                ("ProxySetting", "\"SOCKS5\""),
            ],
        ),
        (
            "only-via = [\"10.9.0.1:3128\"]",
            vec![
                ("DisableUDP", ONE),
                ("ProxyAddress", "\"10.9.0.1:3128\""),
                ("ProxySetting", "\"HTTPS\""),
            ],
        ),
    ] {
        let (values, warnings) = of(keys);
        assert_eq!(set(&values), expected, "{keys}");
        assert_eq!(warnings, "", "{keys}");
    }
}

#[test]
fn what_is_not_asked_for_is_deleted() {
    let (values, _) = of("udp = \"drop\"");
    assert_eq!(values.len(), 10);
    assert_eq!(values.values().filter(|data| data.is_none()).count(), 9);
    let (values, _) = of("default = \"alert\"\nudp = \"alert\"");
    assert_eq!(set(&values), []);
}

#[test]
fn what_the_registry_cannot_say_is_a_warning() {
    for (keys, words) in [
        ("voice = \"drop\"", "`voice`"),
        ("relay = \"drop\"", "DisableSupernode, which is not set"),
        ("super-node = { throttle = \"slow\" }", "budget `slow`"),
        ("default = { action = \"allow\", dscp = 46 }", "`dscp`"),
        ("ambiguous = \"drop\"", "Teams"),
        ("udp = \"drop\"\nmode = \"monitor\"", "only monitors"),
        ("udp = \"drop\"\nexempt = [\"10.1.2.3\"]", "10.1.2.3"),
        (
            "only-via = [\"10.9.0.1:1080\", \"10.9.0.2:1080\"]",
            "10.9.0.2:1080",
        ),
        (
            "[[policy.window]]\ndays = [\"mon\", \"tue\"]\nfrom = \"08:00\"\nto = \"18:00\"\n\
             udp = \"drop\"",
            "the window mon, tue 08:00 to 18:00",
        ),
    ] {
        let (_, warnings) = of(keys);
        assert!(warnings.contains(words), "{keys}: {warnings}");
        assert!(warnings.starts_with("warning: "), "{keys}: {warnings}");
    }
}

#[test]
fn a_window_and_a_budget_set_nothing() {
    let (values, _) = of(
        "file-transfer = { throttle = \"slow\" }\n[[policy.window]]\ndays = [\"mon\"]\n\
         from = \"08:00\"\nto = \"18:00\"\nudp = \"drop\"",
    );
    assert_eq!(set(&values), []);
}

#[test]
fn no_skype_at_all_is_as_little_as_can_be_and_a_warning() {
    let (values, warnings) = of("default = \"drop\"");
    let expected = [
        ("DisableFileTransfer", ONE),
        ("DisableSupernode", ONE),
        ("DisableTCPListen", ONE),
        ("DisableUDP", ONE),
        ("DisableVersionCheck", ONE),
        ("ListenHTTPPorts", ZERO),
        ("WebStatus", ZERO),
    ];
    assert_eq!(set(&values), expected);
    assert!(warnings.contains("no Skype at all"), "{warnings}");
    assert_eq!(warnings.lines().count(), 1, "{warnings}");
}

#[test]
fn comments_tell_the_same_as_the_warnings() {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let (file, output) = (folder.path().join("a.toml"), folder.path().join("a.reg"));
    let config = "version = 1\n\n[[policy]]\nname = \"office\"\nsubnets = [\"10.1.0.0/16\"]\n\
                  ambiguous = \"drop\"\n";
    std::fs::write(&file, config).expect("a writable folder");
    let path = output.to_str().expect("a plain path");
    let ended = command(&file, &["--policy", "office", "-o", path]);
    assert!(ended.status.success() && ended.stdout.is_empty());
    let bytes = std::fs::read(&output).expect("it was written");
    read(&bytes);
    let (units, _) = bytes.as_chunks::<2>();
    let units = units.iter().map(|unit| u16::from_le_bytes(*unit));
    let text: String = char::decode_utf16(units)
        .map(|c| c.expect("UTF-16"))
        .collect();
    let warnings = String::from_utf8(ended.stderr).expect("UTF-8");
    for warning in warnings.lines() {
        let said = warning.strip_prefix("warning: ").expect("a warning");
        assert!(text.contains(&format!("; - {said}\r\n")), "{text}");
    }
    for name in ["DisableApi", "MemoryOnly", "ProxyUsername", "only contacts"] {
        assert!(text.contains(name), "{name}: {text}");
    }
}

#[test]
fn of_several_policies_one_must_be_named() {
    let config = "version = 1\n\n[[policy]]\nname = \"office\"\nsubnets = [\"10.1.0.0/16\"]\n\
                  default = \"drop\"\n\n[[policy]]\nname = \"labs\"\nsubnets = [\"10.2.0.0/16\"]\n";
    for arguments in [&[][..], &["--policy", "lab"]] {
        let output = export(config, arguments);
        let said = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("office, labs"), "{said}");
        assert!(output.stdout.is_empty());
    }
    let output = export(config, &["--policy", "labs"]);
    assert!(output.status.success());
    assert_eq!(set(&read(&output.stdout)), []);
}

#[test]
fn the_proxy_speaks_what_the_caller_says() {
    let config = "version = 1\n\n[[policy]]\nname = \"office\"\nsubnets = [\"10.1.0.0/16\"]\n\
                  only-via = [\"10.9.0.1:1080\"]\n";
    let output = export(config, &["--proxy-type", "https"]);
    let values = read(&output.stdout);
    assert_eq!(values["ProxySetting"].as_deref(), Some("\"HTTPS\""));
}
