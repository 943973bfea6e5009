//! The control socket and the commands that speak to it.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use serde_json::{Value, json};

use crate::daemon::{CONFIG, Daemon};
use crate::net::{INSIDE_HOST, Net, OUTSIDE_HOST, SKYPE_PORT};

/// What a daemon answers to bytes as `curl --unix-socket` sends them: status and body.
fn http(daemon: &Daemon, request: &str) -> (u16, Value) {
    let mut stream = UnixStream::connect(daemon.socket()).expect("a daemon listens");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    let body = serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {body}"));
    (status.expect("a status"), body)
}

fn get(daemon: &Daemon, path: &str) -> (u16, Value) {
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    http(daemon, &head)
}

fn post(daemon: &Daemon, path: &str, body: &str) -> (u16, Value) {
    let length = body.len();
    http(
        daemon,
        &format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{body}"
        ),
    )
}

#[test]
fn it_is_plain_http_with_versioned_json() {
    let Some(net) = Net::build() else { return };
    let daemon = Daemon::start(&net, CONFIG, &["--hook", "tc"]);
    let (status, body) = get(&daemon, "/v1/status");
    assert_eq!((status, &body["version"]), (200, &json!(1)));
    assert_eq!(body["mode"], "enforce");
    assert!(body["tables"]["flows"]["room"].as_u64() > Some(0), "{body}");
    for path in [
        "/v1/counters",
        "/v1/exemptions",
        "/v1/flows",
        "/v1/hosts?limit=5",
    ] {
        let (status, body) = get(&daemon, path);
        assert_eq!((status, &body["version"]), (200, &json!(1)), "{path}");
    }
    for (path, expected) in [
        ("/v1/nothing", 404),
        ("/v1/reload", 405),
        ("/v1/hosts?limit=0", 400),
        ("/v1/hosts?limit=1001", 400),
        ("/v1/hosts?colour=red", 400),
        ("/v1/explain", 400),
        ("/v1/explain?host=x", 400),
        ("/v1/explain?proto=udp&a=192.0.2.1:1&b=192.0.2.2:2", 404),
    ] {
        let (status, body) = get(&daemon, path);
        assert_eq!(status, expected, "{path}: {body}");
        assert!(body["error"].is_string(), "{path}: {body}");
    }
    for (path, text, expected) in [
        ("/v1/bypass", "{\"on\": true, \"for_seconds\": 60}", 200),
        ("/v1/bypass", "{\"on\": false}", 200),
        ("/v1/bypass", "{\"on\": true, \"for_seconds\": 0}", 400),
        ("/v1/bypass", "{\"off\": true}", 400),
        ("/v1/bypass", "on", 400),
        ("/v1/confirm", "", 409),
        ("/v1/reload", "{\"max_lost\": 1}", 400),
        (
            "/v1/exempt/add",
            "{\"host\": \"10.0.0.1/8\", \"for_seconds\": 1}",
            400,
        ),
        ("/v1/exempt/add", "{\"host\": \"10.0.0.1\"}", 400),
        ("/v1/exempt/remove", "{\"host\": \"10.0.0.1\"}", 404),
        ("/v1/hosts/forget", "{\"host\": \"x\"}", 400),
    ] {
        let (status, body) = post(&daemon, path, text);
        assert_eq!(status, expected, "{path} {text}: {body}");
    }
    daemon.stop();
}

#[test]
fn another_user_is_refused() {
    let Some(net) = Net::build() else { return };
    let daemon = Daemon::start(&net, CONFIG, &["--hook", "tc"]);
    let socket = std::fs::metadata(daemon.socket()).expect("a socket");
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);
    let folder = daemon.folder().path();
    let open = |path: &std::path::Path| {
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(path, mode).expect("ours");
    };
    // Where that user can run it.
    let program = folder.join("skype-ips");
    std::fs::copy(env!("CARGO_BIN_EXE_skype-ips"), &program).expect("a writable folder");
    open(folder);
    open(&program);
    let status = |uid: u32| {
        let mut command = Command::new(&program);
        command
            .args(["status", "--instance", "test", "--run-dir"])
            .arg(folder);
        command.uid(uid).gid(uid);
        command.output().expect("it runs")
    };
    assert!(status(0).status.success());
    let refused = status(65_534);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("Permission denied"), "{said}");
    // Not even if somebody opens the socket to everyone.
    let everyone = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(daemon.socket(), everyone).expect("ours");
    let refused = status(65_534);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(
        said.contains("only root and the daemon's own user"),
        "{said}"
    );
    daemon.stop();
}

#[test]
fn wrong_arguments_and_absent_daemons_have_their_own_exit_status() {
    let Some(net) = Net::build() else { return };
    let daemon = Daemon::start(&net, CONFIG, &["--hook", "tc"]);
    for wrong in [
        &["reload", "--max-lost", "5"][..],
        &["reload", "--confirm-within", "5"],
        &["exempt", "add", "10.0.0.1"],
        &["exempt", "add", "10.0.0.1/8", "--for", "1m"],
        &["exempt", "add", "10.0.0.1", "--for", "2y"],
        &["bypass", "sideways"],
        &["explain", "somebody"],
        &["explain", "udp", "10.0.0.1:1"],
        &["hosts", "--limit", "0"],
        &["hosts", "forget", "somebody"],
        &["flows", "--host", "somebody"],
    ] {
        let output = daemon.cli(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {output:?}");
    }
    let folder = daemon.stop();
    for command in [
        &["status"][..],
        &["flows"],
        &["hosts"],
        &["explain", "10.0.0.1"],
        &["reload"],
        &["confirm"],
        &["exempt", "list"],
        &["bypass", "off"],
    ] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_skype-ips"));
        program.args(command).arg("--run-dir").arg(folder.path());
        let output = program.output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
        assert!(said.contains("no daemon answers"), "{command:?}: {said}");
    }
}

#[test]
fn hosts_and_flows_are_listed_explained_and_forgotten() {
    for hook in ["tc", "off"] {
        let Some(net) = Net::build() else { return };
        let _server = net.serve();
        let config = CONFIG.replace("default = \"drop\"", "default = \"alert\"");
        let daemon = Daemon::start(&net, &config, &["--hook", hook]);
        assert_eq!(net.skype(40).len(), 40);

        let hosts = daemon.get("/v1/hosts");
        assert_eq!(hosts["total"], 1, "hook {hook}: {hosts}");
        let host = &hosts["hosts"][0];
        assert_eq!(host["host"], INSIDE_HOST.to_string());
        assert_eq!(host["endpoints"][0]["port"], SKYPE_PORT, "{host}");
        assert_eq!(host["policy"], "skype");

        let text = daemon.cli(&["explain", &INSIDE_HOST.to_string()]).stdout;
        let text = String::from_utf8_lossy(&text);
        assert!(text.contains("UDP port 13021 is Skype's"), "{text}");
        assert!(text.contains("skype"), "{text}");

        let ends = [
            format!("{OUTSIDE_HOST}:7003"),
            format!("{INSIDE_HOST}:{SKYPE_PORT}"),
        ];
        let output = daemon.cli(&["explain", "udp", &ends[0], &ends[1], "--json"]);
        let flow: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {output:?}"));
        assert_eq!(flow["inside"], ends[1], "hook {hook}");
        assert_eq!(flow["verdict"]["is"], "skype", "hook {hook}: {flow}");
        assert_eq!(flow["action"], "alert", "hook {hook}: {flow}");
        let key = &flow["said_by"][0]["said_by"][0];
        assert_eq!(key["key"], "default", "hook {hook}: {flow}");

        let output = daemon.cli(&["hosts", "forget", &INSIDE_HOST.to_string()]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(daemon.get("/v1/hosts")["total"], 0, "hook {hook}");
        daemon.stop();
    }
}
