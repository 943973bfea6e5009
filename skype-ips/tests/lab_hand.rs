//! Facts about `lab up`, `exec`, `down` and `list`, run as users run them. Most need the right to make
//! network namespaces.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A network of each kind: an office behind the gateway's NAT, a campus with public addresses, a
/// home, the Internet.
const SCENARIO: &str = r#"
version = 1
name = "by-hand"
about = "Networks for experiments."
duration = "10 s"

[networks.office]
side = "inside"
subnet = "10.1.0.0/24"
nat = true
link = "slow"

[networks.campus]
side = "inside"
subnet = "203.0.113.64/29"

[networks.home]
side = "outside"
subnet = "192.168.1.0/24"
nat = { address = "203.0.113.10", kind = "port-restricted" }

[networks.internet]
side = "outside"
subnet = "198.51.100.0/24"

[links.slow]
rate = "2 Mbit/s"
delay = "20 ms"

[[party]]
name = "alice"
kind = "host"
network = "office"

[[party]]
name = "bob"
kind = "host"
network = "campus"

[[party]]
name = "carol"
kind = "host"
network = "home"

[[party]]
name = "server"
kind = "internet-host"
network = "internet"
"#;

/// A folder of one test's own, with a scenario, a run folder, and a lab that is ended with it.
struct Lab {
    folder: tempfile::TempDir,
    program: PathBuf,
    user: Option<u32>,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("by-hand.toml"), SCENARIO).expect("writable");
        Self {
            folder,
            program: env!("CARGO_BIN_EXE_skype-ips").into(),
            user: None,
        }
    }

    fn scenario(&self) -> String {
        self.folder
            .path()
            .join("by-hand.toml")
            .display()
            .to_string()
    }

    fn run_dir(&self) -> PathBuf {
        self.folder.path().join("run")
    }

    fn command(&self, subcommand: &str) -> Command {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new(&self.program);
        command.args(["lab", subcommand, "--run-dir"]);
        command.arg(self.run_dir()).stdin(Stdio::null());
        if let Some(user) = self.user {
            command.uid(user).gid(user).current_dir("/");
        }
        command
    }

    fn run(&self, subcommand: &str, arguments: &[&str]) -> Output {
        self.command(subcommand)
            .args(arguments)
            .output()
            .expect("the program starts")
    }

    /// Whether the lab is up; if this machine can't, says why not.
    fn up(&self) -> bool {
        let output = self.run("up", &[&self.scenario()]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        if output.status.code() == Some(4) {
            println!("SKIPPED: {stderr}");
            return false;
        }
        assert!(output.status.success(), "{stderr}");
        true
    }

    fn exec(&self, party: &str, command: &[&str]) -> Output {
        self.run("exec", &[&[party, "--"], command].concat())
    }

    /// What is up here, as `lab list` tells.
    fn listed(&self) -> Vec<Value> {
        let output = self.run("list", &["--json"]);
        assert!(output.status.success());
        let stdout = String::from_utf8(output.stdout).expect("UTF-8");
        let lines = stdout
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"));
        lines
            .filter(|line: &Value| line["event_type"] == "lab-up")
            .collect()
    }

    /// Processes that were started for this lab, whoever they are.
    fn processes(&self) -> Vec<u32> {
        let word = self.folder.path().display().to_string();
        let mentions = |path: PathBuf| {
            std::fs::read(path).is_ok_and(|text| String::from_utf8_lossy(&text).contains(&word))
        };
        let all = std::fs::read_dir("/proc").expect("readable").flatten();
        all.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|number: &u32| {
                let of = |file: &str| PathBuf::from(format!("/proc/{number}/{file}"));
                mentions(of("cmdline")) || mentions(of("environ"))
            })
            .collect()
    }

    /// Waits until processes and files are gone.
    fn expect_nothing_left(&self) {
        eventually("processes end", || self.processes().is_empty());
        eventually("the folder is gone", || {
            !self.run_dir().join("lab").exists()
        });
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // After a failed assertion; else nothing is there.
        let _ = self.run("down", &[]);
    }
}

/// Waits until `holds`, at most ten seconds.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A socket in the namespace of a party.
fn socket(lab: &Value, party: &str) -> UdpSocket {
    let namespaces = lab["namespaces"].as_array().expect("a list");
    let namespace = namespaces.iter().find(|one| one["name"] == party);
    let path = namespace.expect("the party is there")["path"].as_str();
    let netns = File::open(path.expect("a path")).expect("the holder lives");
    let opened = std::thread::spawn(move || {
        // SAFETY: takes no pointers; moves this thread only.
        let entered = unsafe { libc::setns(netns.as_raw_fd(), libc::CLONE_NEWNET) };
        assert_eq!(entered, 0, "{}", std::io::Error::last_os_error());
        UdpSocket::bind("0.0.0.0:4000").expect("a free port")
    });
    let socket = opened.join().expect("no panic");
    socket
        .set_read_timeout(Some(Duration::from_millis(500)))
        .expect("a time");
    socket
}

/// Who the receiver takes the sender for; `None` if nothing arrives.
fn seen(from: &UdpSocket, to: &UdpSocket, address: &str) -> Option<SocketAddr> {
    from.send_to(b"hello", (address, 4000)).ok()?;
    let mut buffer = [0; 16];
    let (len, sender) = to.recv_from(&mut buffer).ok()?;
    assert_eq!(&buffer[..len], b"hello");
    Some(sender)
}

#[test]
fn parties_reach_each_other_as_their_networks_let_them() {
    let lab = Lab::new();
    if !lab.up() {
        return;
    }
    let up = lab.listed();
    let address = |party: &str| {
        let parties = up[0]["plan"]["parties"].as_array().expect("a list");
        let found = parties.iter().find(|one| one["name"] == party);
        found.expect("there")["address"]
            .as_str()
            .expect("text")
            .to_owned()
    };
    let sockets = ["alice", "bob", "carol", "server"].map(|party| socket(&up[0], party));
    let [alice, bob, carol, server] = &sockets;
    let ip = |sender: Option<SocketAddr>| sender.map(|sender| sender.ip().to_string());
    let gateway = up[0]["plan"]["gateway"].as_str().map(str::to_owned);
    // Nobody gets in behind a translator unasked; then the answer does.
    assert_eq!(seen(server, alice, &address("alice")), None);
    assert_eq!(seen(server, carol, "203.0.113.10"), None);
    assert_eq!(ip(seen(alice, server, &address("server"))), gateway);
    let translated = gateway.as_deref().expect("an address");
    assert_eq!(ip(seen(server, alice, translated)), Some(address("server")));
    let home = seen(carol, server, &address("server"));
    assert_eq!(ip(home), Some("203.0.113.10".to_owned()));
    // Public ones are seen as they are, from everywhere.
    assert_eq!(
        ip(seen(bob, server, &address("server"))),
        Some(address("bob"))
    );
    assert_eq!(
        ip(seen(server, bob, &address("bob"))),
        Some(address("server"))
    );
    assert_eq!(
        ip(seen(alice, bob, &address("bob"))),
        Some(address("alice"))
    );
    assert_eq!(
        ip(seen(carol, bob, &address("bob"))),
        Some("203.0.113.10".to_owned())
    );
    drop(sockets);
    assert!(lab.run("down", &[]).status.success());
    lab.expect_nothing_left();
}

#[test]
fn a_command_runs_at_its_party_and_its_status_is_passed_on() {
    let lab = Lab::new();
    if !lab.up() {
        return;
    }
    let output = lab.exec("alice", &["ip", "-brief", "address", "show", "dev", "eth0"]);
    assert!(text(&output.stdout).contains("10.1.0."), "{output:?}");
    let output = lab.exec("gateway", &["ip", "-brief", "link"]);
    for interface in ["gw-in@", "gw-in2@", "gw-out@"] {
        assert!(text(&output.stdout).contains(interface), "{output:?}");
    }
    let status = |command: &[&str]| lab.exec("alice", command).status.code();
    assert_eq!(status(&["sh", "-c", "exit 42"]), Some(42));
    assert_eq!(status(&["no-such-command"]), Some(127));
    assert_eq!(status(&["/"]), Some(126));
    let output = lab.exec("alise", &["true"]);
    assert_eq!(output.status.code(), Some(2));
    let stderr = text(&output.stderr);
    assert!(
        stderr.contains("no \"alise\"") && stderr.contains("alice"),
        "{stderr}"
    );
}

#[test]
fn the_links_that_the_kernel_cannot_make_are_told() {
    let lab = Lab::new();
    if !lab.up() {
        return;
    }
    let links = &lab.listed()[0]["links"];
    let lacking = links["not_applied"].as_array().expect("a list");
    let qdisc = text(
        &lab.exec("alice", &["tc", "qdisc", "show", "dev", "eth0"])
            .stdout,
    );
    match links["by"].as_str().expect("a word") {
        "netem" => assert!(
            qdisc.contains("netem") && qdisc.contains("delay 20ms"),
            "{qdisc}"
        ),
        "tbf" => {
            assert!(
                qdisc.contains("tbf") && qdisc.contains("rate 2Mbit"),
                "{qdisc}"
            );
            assert_eq!(lacking[..], [Value::from("delay")]);
        }
        _ => assert_eq!(lacking[..], [Value::from("delay"), Value::from("rate")]),
    }
}

#[test]
fn a_second_lab_needs_a_name_of_its_own() {
    let lab = Lab::new();
    if !lab.up() {
        return;
    }
    let output = lab.run("up", &[&lab.scenario()]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("up already with by-hand"), "{stderr}");
    assert!(stderr.contains("--instance"), "{stderr}");
    let second = ["--instance", "second"];
    let output = lab.run("up", &[&second[..], &[&lab.scenario()]].concat());
    assert!(output.status.success(), "{output:?}");
    let names: Vec<Value> = lab
        .listed()
        .iter()
        .map(|lab| lab["instance"].clone())
        .collect();
    assert_eq!(names, ["main", "second"]);
    assert!(lab.run("down", &[]).status.success());
    assert_eq!(lab.listed().len(), 1);
    assert!(lab.run("down", &second).status.success());
    lab.expect_nothing_left();
}

#[test]
fn without_a_lab_exec_and_down_say_so() {
    let lab = Lab::new();
    for output in [lab.run("down", &[]), lab.exec("alice", &["true"])] {
        assert_eq!(output.status.code(), Some(1));
        let stderr = text(&output.stderr);
        assert!(stderr.contains("no lab named \"main\" is up"), "{stderr}");
        assert!(stderr.contains("lab up"), "{stderr}");
    }
    assert!(lab.listed().is_empty());
    assert!(!lab.run_dir().exists());
}

#[test]
fn wrong_arguments_leave_nothing() {
    let lab = Lab::new();
    for arguments in [
        &["no-such-scenario"][..],
        &["--instance", "Capital Letters", "call"],
        &["--instance", "../elsewhere", "call"],
    ] {
        let output = lab.run("up", arguments);
        let stderr = text(&output.stderr);
        if output.status.code() == Some(4) {
            println!("SKIPPED: {stderr}");
            continue;
        }
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        lab.expect_nothing_left();
    }
    for name in ["gateway", "internet", "switch"] {
        let text = SCENARIO.replace("\"alice\"", &format!("\"{name}\""));
        let path = lab.folder.path().join("taken.toml");
        std::fs::write(&path, text).expect("writable");
        let output = lab.run("up", &[&path.display().to_string()]);
        assert_eq!(output.status.code(), Some(2), "{name}");
        lab.expect_nothing_left();
    }
}

#[test]
fn down_ends_what_runs_in_the_lab_even_what_ignores_it() {
    let lab = Lab::new();
    if !lab.up() {
        return;
    }
    let stubborn = "trap '' TERM HUP INT; echo ready; while :; do sleep 1; done";
    let mut child = spawn(
        lab.command("exec")
            .args(["bob", "--", "sh", "-c", stubborn]),
    );
    read_line(&mut child);
    assert!(lab.run("down", &[]).status.success());
    child.wait().expect("it was started");
    lab.expect_nothing_left();
}

#[test]
fn a_killed_holder_leaves_what_down_can_remove() {
    let lab = Lab::new();
    if !lab.up() {
        return;
    }
    let mut child =
        spawn(
            lab.command("exec")
                .args(["bob", "--", "sh", "-c", "echo ready; sleep 60"]),
        );
    read_line(&mut child);
    let holder = lab.listed()[0]["holder"].as_u64().expect("a number");
    // SAFETY: plain numbers; the process is the lab's, which this test started.
    unsafe { libc::kill(holder as libc::pid_t, libc::SIGKILL) };
    eventually("the holder ends", || {
        !Path::new(&format!("/proc/{holder}")).exists()
    });
    let output = lab.exec("alice", &["true"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("lab down"), "{output:?}");
    assert!(lab.run("down", &[]).status.success());
    child.wait().expect("it was started");
    lab.expect_nothing_left();
}

fn spawn(command: &mut Command) -> Child {
    command
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

fn read_line(child: &mut Child) {
    use std::io::{BufRead as _, BufReader};
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("it was piped"))
        .read_line(&mut line)
        .expect("readable");
    assert_eq!(line, "ready\n");
}

#[test]
fn whatever_ends_up_in_the_middle_leaves_nothing() {
    let lab = Lab::new();
    if !lab.up() {
        return;
    }
    assert!(lab.run("down", &[]).status.success());
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGKILL] {
        let mut child = lab
            .command("up")
            .arg("busy-evening")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        // A hundred parties take a while.
        let state = lab.run_dir().join("lab/main/lab.json");
        eventually("it begins", || state.exists());
        // SAFETY: the child has not been waited for, so the number is still its.
        unsafe { libc::kill(child.id() as libc::pid_t, signal) };
        let status = child.wait().expect("it was started");
        assert_ne!(status.code(), Some(0), "it was too fast");
        lab.expect_nothing_left();
    }
}

#[test]
fn without_root_the_lab_is_up_in_a_user_namespace_or_says_that_it_may_not() {
    use std::os::unix::fs::{PermissionsExt as _, chown};
    const NOBODY: u32 = 65_534;
    // SAFETY: takes nothing and can't fail.
    if unsafe { libc::geteuid() } != 0 {
        println!("SKIPPED: only root can become somebody else");
        return;
    }
    let mut lab = Lab::new();
    let copy = lab.folder.path().join("skype-ips");
    std::fs::copy(&lab.program, &copy).expect("space for a copy");
    for file in [lab.folder.path(), &copy] {
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(file, open).expect("our own file");
    }
    chown(lab.folder.path(), Some(NOBODY), None).expect("our own file");
    lab.program = copy;
    lab.user = Some(NOBODY);
    if !lab.up() {
        return;
    }
    let output = lab.exec("alice", &["ip", "-brief", "address", "show", "dev", "eth0"]);
    assert!(text(&output.stdout).contains("10.1.0."), "{output:?}");
    assert!(lab.run("down", &[]).status.success());
    lab.expect_nothing_left();
}
