//! The `check` command, and the configurations that the repository itself shows.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use skype_ips::policy;
use skype_ips::simulator::scenario;
use tempfile::TempDir;

/// The repository's folder.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The files of a folder of the repository that end in `ending`.
fn files_of(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(folder)).expect("a folder of the repository");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> = paths
        .filter(|p| p.to_string_lossy().ends_with(ending))
        .collect();
    paths.sort();
    paths
}

#[test]
fn the_ready_configurations_have_no_problems() {
    let paths = files_of("rules", ".toml");
    assert!(!paths.is_empty());
    for path in paths {
        let config = policy::load(&[path]).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(config.warnings.is_empty(), "{}", config.warnings);
    }
}

#[test]
fn the_default_gateway_monitors_and_would_block() {
    let config = policy::load(&[root().join("rules/gateway.toml")]).expect("it is right");
    assert!(config.require_gateway().is_ok());
    let shown = config.explain("192.168.1.34".parse().unwrap()).to_string();
    assert!(
        shown.contains("drop held to alert because the gateway's mode is monitor"),
        "{shown}"
    );
}

#[test]
fn every_example_in_the_documents_is_read() {
    let mut examples = 0;
    let readme = root().join("README.md");
    let documents = files_of("docs", ".md")
        .into_iter()
        .chain(readme.exists().then_some(readme));
    for path in documents {
        let text = fs::read_to_string(&path).expect("a document");
        for block in text.split("```toml\n").skip(1) {
            let block = block.split("```").next().expect("the end of the example");
            // Examples in lists are indented.
            let block: Vec<_> = block.lines().map(str::trim_start).collect();
            let block = block.join("\n");
            let problems = match path.ends_with("docs/scenarios.md") {
                true => scenario::parse(&path, &block).err(),
                false => policy::parse(&path, &block).err(),
            };
            if let Some(problems) = problems {
                panic!("{}:\n{problems}", path.display());
            }
            examples += 1;
        }
    }
    assert!(examples >= 4, "{examples}");
}

/// A folder with one file, `a.toml`.
fn folder(text: &str) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    fs::write(folder.path().join("a.toml"), text).expect("a file");
    folder
}

/// A file with a policy, and `line` as the gateway's line 2.
fn with_gateway_line(line: &str) -> String {
    format!("version = 1\n{line}\n[[policy]]\nname = \"a\"\nsubnets = [\"10.0.0.0/8\"]\n")
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
fn the_command_shows_the_place_and_exits_with_2() {
    let folder = folder(&with_gateway_line("mode = \"enfroce\""));
    let output = check(&folder, &["a.toml"]);
    let shown = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{shown}");
    for part in [
        "--> a.toml:2:8",
        "mode = \"enfroce\"",
        "^^^^^^^^^",
        "did you mean \"enforce\"?",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(shown.contains("error: 1 error"), "{shown}");

    let output = check(&folder, &["--json", "a.toml"]);
    assert_eq!(output.status.code(), Some(2));
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(line["severity"], "error");
    assert_eq!(
        (&line["path"], &line["line"], &line["column"]),
        (&"a.toml".into(), &2.into(), &8.into())
    );
    assert_eq!(line["text"], "mode = \"enfroce\"");
}

#[test]
fn the_command_explains_a_host_and_exits_with_0_despite_warnings() {
    let text = with_gateway_line("mode = \"enforce\"\ninclude = [\"none/*.toml\"]");
    let folder = folder(&format!("{text}default = \"drop\"\n"));
    let output = check(&folder, &["a.toml", "--explain-host", "10.1.2.3"]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}");
    for part in [
        "a.toml: gateway in mode enforce",
        "1 policy over 1 prefix",
        "ok, 1 warning",
        "(a.toml:6)",
        "strong          drop",
        "ambiguous       allow      built in",
        "may be Skype's or Teams': allow",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(String::from_utf8_lossy(&output.stderr).contains("warning: no file matches"));
    let output = check(&folder, &["a.toml", "--explain-host", "192.0.2.1"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("under no policy"));
}

#[test]
fn the_command_explains_what_is_done_with_what_is_ambiguous() {
    let text = with_gateway_line("mode = \"monitor\"");
    let folder = folder(&format!("{text}ambiguous = \"drop\"\n"));
    let output = check(&folder, &["a.toml", "--explain-host", "10.1.2.3"]);
    let shown = String::from_utf8_lossy(&output.stdout);
    let held = "may be Skype's or Teams': alert, drop held to alert because the gateway's mode is \
                monitor";
    assert!(shown.contains(held), "{shown}");
    assert!(shown.contains("strong          allow"), "{shown}");
    let output = check(&folder, &["a.toml", "--json", "--explain-host", "10.1.2.3"]);
    let shown = String::from_utf8_lossy(&output.stdout);
    let last: serde_json::Value =
        serde_json::from_str(shown.lines().last().expect("a line")).expect("one object");
    assert_eq!(last["policy"]["ambiguous"]["value"], "drop");
    assert_eq!(last["policy"]["ambiguous_outcome"]["action"], "alert");
}

#[test]
fn no_file_is_a_wrong_argument() {
    let output = check(&folder(""), &[]);
    assert_eq!(output.status.code(), Some(2));
}
