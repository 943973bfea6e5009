//! The configuration is read again while traffic goes on: what changes, what stays, what is refused.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::daemon::{CONFIG, Daemon, leftovers};
use crate::net::{Net, SKYPE_PORT};

/// Longest wait for something that the daemon does on its own within some seconds.
const A_WHILE: Duration = Duration::from_secs(20);

/// As [`CONFIG`], reporting only.
fn reporting() -> String {
    CONFIG.replace("default = \"drop\"", "default = \"alert\"")
}

fn version(daemon: &Daemon) -> String {
    let status = daemon.status();
    let version = status["policy"]["version"].as_str();
    version.expect("a version").to_owned()
}

/// Asks until the answer is as it should be.
fn until(daemon: &Daemon, limit: Duration, holds: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + limit;
    loop {
        let status = daemon.status();
        if holds(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "{status}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The next audit event of an action.
fn audit(daemon: &mut Daemon, action: &str) -> Value {
    loop {
        let event = daemon.event("audit", A_WHILE);
        let event = event.unwrap_or_else(|| panic!("no {action} among the events"));
        if event["audit"]["action"] == action {
            return event["audit"].clone();
        }
    }
}

#[test]
fn a_reload_judges_running_flows_by_what_was_learned_before() {
    for hook in ["tc", "off"] {
        let Some(net) = Net::build() else { return };
        let _server = net.serve();
        let daemon = Daemon::start(&net, &reporting(), &["--hook", hook]);
        assert_eq!(net.skype(4), [0, 1, 2, 3], "hook {hook}");
        let before = version(&daemon);
        daemon.write(CONFIG);
        let answer = daemon.post("/v1/reload", &json!({})).expect("a good file");
        assert_ne!(answer["policy"]["version"], before, "hook {hook}");
        let passed = net.skype_from(SKYPE_PORT, 4, 4);
        assert_eq!(passed, [] as [u32; 0], "hook {hook}: known before");
        assert_eq!(net.plain(10), 10, "hook {hook}");
        let folder = daemon.stop();
        assert_eq!(leftovers(&net, &folder), [] as [String; 0], "hook {hook}");
    }
}

#[test]
fn a_wrong_file_is_refused_whole_and_explained() {
    let Some(net) = Net::build() else { return };
    let _server = net.serve();
    let mut daemon = Daemon::start(&net, CONFIG, &["--hook", "tc"]);
    let before = version(&daemon);
    let wrong = CONFIG.replace("10.0.0.0/8", "10.0.0.1/8") + "defualt = \"drop\"\n";
    daemon.write(&wrong);
    let output = daemon.cli(&["reload", "--reason", "a try"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("10.0.0.1/8"), "{said}");
    assert!(said.contains("defualt"), "all problems at once: {said}");
    assert_eq!(version(&daemon), before);
    let status = daemon.status();
    assert_eq!(status["reload"]["outcome"], "refused");
    assert_eq!(
        status["reload"]["problems"].as_array().map(Vec::len),
        Some(2)
    );
    let text = daemon.cli(&["status"]).stdout;
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains("reload refused"), "{text}");
    assert_eq!(net.skype(4), [0], "what was in force goes on");
    let line = audit(&mut daemon, "reload");
    assert_eq!(line["outcome"], "refused");
    assert_eq!(line["reason"], "a try");
    assert_eq!(line["by"]["kind"], "peer");
    assert_eq!(line["by"]["uid"], 0);
    assert_eq!(line["policy_before"], line["policy_after"]);
    daemon.stop();
}

#[test]
fn what_rules_and_queues_were_made_for_needs_a_restart() {
    let Some(net) = Net::build() else { return };
    for (hook, old, new, named) in [
        ("tc", "count = 2", "count = 4", "`queues`"),
        (
            "tc",
            "version = 1",
            "version = 1\nconntrack = \"off\"",
            "`conntrack`",
        ),
        ("off", "10.0.0.0/8", "10.0.0.0/7", "`subnets`"),
    ] {
        let daemon = Daemon::start(&net, CONFIG, &["--hook", hook]);
        let before = version(&daemon);
        daemon.write(&CONFIG.replacen(old, new, 1));
        let output = daemon.cli(&["reload"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("needs restart"), "{said}");
        assert!(said.contains(named), "{said}");
        assert_eq!(version(&daemon), before);
        daemon.stop();
    }
}

#[test]
fn sighup_reloads_and_the_audit_line_says_so() {
    let Some(net) = Net::build() else { return };
    let mut daemon = Daemon::start(&net, CONFIG, &["--hook", "tc"]);
    let before = version(&daemon);
    daemon.write(&reporting());
    daemon.signal(libc::SIGHUP);
    let line = audit(&mut daemon, "reload");
    assert_eq!(line["by"], json!({ "kind": "signal" }));
    assert_eq!(line["outcome"], "done");
    assert_eq!(line["policy_before"], before);
    assert_eq!(line["policy_after"], version(&daemon));
    assert_ne!(line["policy_after"], before);
    daemon.signal(libc::SIGHUP);
    assert_eq!(audit(&mut daemon, "reload")["outcome"], "unchanged");
    daemon.stop();
}

#[test]
fn a_window_that_opens_stops_a_running_flow() {
    let Some(net) = Net::build() else { return };
    let _server = net.serve();
    let now = || jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    // The daemon has to be there before the next minute begins.
    while now().second() > 45 {
        std::thread::sleep(Duration::from_millis(500));
    }
    let hour = |minutes: i64| {
        let time = now() + jiff::SignedDuration::from_mins(minutes);
        time.strftime("%H:%M").to_string()
    };
    let config = format!(
        "{}\n[[policy.window]]\ndays = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"]\n\
         from = \"{}\"\nto = \"{}\"\ndefault = \"drop\"\n",
        reporting().replacen("version = 1", "version = 1\ntimezone = \"UTC\"", 1),
        hour(1),
        hour(60)
    );
    let daemon = Daemon::start(&net, &config, &["--hook", "tc"]);
    assert_eq!(net.skype(3), [0, 1, 2], "the window is shut");
    let windows = |status: &Value| {
        status["policy"]["open_windows"]
            .as_array()
            .map_or(0, Vec::len)
    };
    assert_eq!(windows(&daemon.status()), 0);
    let status = until(&daemon, Duration::from_secs(75), |status| {
        windows(status) == 1
    });
    assert_eq!(status["policy"]["open_windows"][0]["policy"], "skype");
    let ends = status["policy"]["open_windows"][0]["until"].as_str();
    assert!(
        ends.is_some_and(|ends| ends.contains(&hour(59)) || ends.contains(&hour(60))),
        "{status}"
    );
    assert_eq!(net.skype_from(SKYPE_PORT, 3, 3), [] as [u32; 0]);
    daemon.stop();
}

#[test]
fn an_exemption_lets_a_host_through_holds_through_a_reload_and_ends_by_itself() {
    for hook in ["tc", "off"] {
        let Some(net) = Net::build() else { return };
        let _server = net.serve();
        let mut daemon = Daemon::start(&net, CONFIG, &["--hook", hook]);
        assert_eq!(net.skype(3), [0], "hook {hook}");
        let output = daemon.cli(&[
            "exempt", "add", "10.9.1.2", "--for", "4s", "--reason", "a call",
        ]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(
            net.skype_from(SKYPE_PORT, 2, 3),
            [0, 1],
            "hook {hook}: exempt"
        );
        daemon.write(&(CONFIG.to_owned() + "# another version\n"));
        daemon.post("/v1/reload", &json!({})).expect("a good file");
        assert_eq!(
            net.skype_from(SKYPE_PORT, 2, 5),
            [0, 1],
            "hook {hook}: still"
        );
        let listed = daemon.get("/v1/exemptions");
        assert_eq!(listed["exemptions"][0]["host"], "10.9.1.2");
        assert_eq!(listed["exemptions"][0]["reason"], "a call");
        until(&daemon, A_WHILE, |status| status["exemptions"] == json!([]));
        assert_eq!(
            net.skype_from(SKYPE_PORT, 3, 7),
            [] as [u32; 0],
            "hook {hook}: over"
        );
        let line = audit(&mut daemon, "exempt-add");
        assert_eq!(
            (&line["host"], &line["reason"]),
            (&json!("10.9.1.2"), &json!("a call"))
        );
        assert_eq!(
            audit(&mut daemon, "exempt-end")["by"],
            json!({ "kind": "daemon" })
        );
        daemon.stop();
    }
}

#[test]
fn an_exemption_can_be_ended_before_its_time() {
    let Some(net) = Net::build() else { return };
    let _server = net.serve();
    let daemon = Daemon::start(&net, CONFIG, &["--hook", "tc"]);
    assert_eq!(net.skype(3), [0]);
    assert!(
        daemon
            .cli(&["exempt", "add", "10.9.0.0/16", "--for", "1h"])
            .status
            .success()
    );
    assert_eq!(net.skype_from(SKYPE_PORT, 2, 3), [0, 1]);
    let unknown = daemon.cli(&["exempt", "remove", "10.9.1.2"]);
    assert_eq!(unknown.status.code(), Some(1), "{unknown:?}");
    assert!(
        daemon
            .cli(&["exempt", "remove", "10.9.0.0/16"])
            .status
            .success()
    );
    assert_eq!(net.skype_from(SKYPE_PORT, 2, 5), [] as [u32; 0]);
    daemon.stop();
}

#[test]
fn a_reload_that_is_not_confirmed_goes_back_and_is_not_taken_by_a_signal_again() {
    let Some(net) = Net::build() else { return };
    let _server = net.serve();
    let mut daemon = Daemon::start(&net, CONFIG, &["--hook", "tc"]);
    let before = version(&daemon);
    assert_eq!(net.skype(3), [0]);
    daemon.write(&reporting());
    let output = daemon.cli(&["reload", "--confirm-within", "3s", "--reason", "try"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(net.skype_from(SKYPE_PORT, 2, 3), [0, 1]);
    assert_eq!(daemon.status()["confirm"]["state"], "pending");
    let taken_back = |status: &Value| status["confirm"]["state"] == "taken-back";
    until(&daemon, A_WHILE, taken_back);
    assert_eq!(version(&daemon), before);
    assert_eq!(net.skype_from(SKYPE_PORT, 2, 5), [] as [u32; 0]);
    assert_eq!(audit(&mut daemon, "rollback")["policy_after"], before);
    daemon.signal(libc::SIGHUP);
    let line = audit(&mut daemon, "reload");
    assert_eq!(line["outcome"], "refused", "{line}");
    assert_eq!(version(&daemon), before);
    daemon.write(&(reporting() + "# changed\n"));
    daemon.signal(libc::SIGHUP);
    assert_eq!(audit(&mut daemon, "reload")["outcome"], "done");
    assert_eq!(daemon.status()["confirm"], Value::Null);
    let folder = daemon.stop();
    assert_eq!(
        leftovers(&net, &folder),
        [] as [String; 0],
        "its state is gone"
    );
}

#[test]
fn a_confirmed_reload_stays() {
    let Some(net) = Net::build() else { return };
    let mut daemon = Daemon::start(&net, CONFIG, &["--hook", "tc"]);
    daemon.write(&reporting());
    let body = json!({ "confirm_within_seconds": 2 });
    let answer = daemon.post("/v1/reload", &body).expect("a good file");
    assert!(daemon.cli(&["confirm"]).status.success());
    assert_eq!(audit(&mut daemon, "confirm")["outcome"], "done");
    assert_eq!(
        daemon.cli(&["confirm"]).status.code(),
        Some(1),
        "nothing waits"
    );
    // Longer than it would have waited.
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(answer["policy"]["version"], version(&daemon));
    let folder = daemon.stop();
    assert_eq!(leftovers(&net, &folder), [] as [String; 0]);
}

#[test]
fn a_reload_that_costs_packets_goes_back_at_once() {
    let Some(net) = Net::build() else { return };
    let _server = net.serve();
    let daemon = Daemon::start(&net, CONFIG, &["--hook", "tc"]);
    let before = version(&daemon);
    daemon.write(&reporting());
    let body = json!({ "confirm_within_seconds": 3600, "max_lost": 0 });
    daemon.post("/v1/reload", &body).expect("a good file");
    // A daemon that hangs lets pass what it should judge.
    daemon.signal(libc::SIGSTOP);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(net.skype(3).len(), 3);
    daemon.signal(libc::SIGCONT);
    let taken_back = |status: &Value| status["confirm"]["state"] == "taken-back";
    let status = until(&daemon, A_WHILE, taken_back);
    let why = status["confirm"]["why"].as_str();
    assert!(why.is_some_and(|why| why.contains("lost")), "{status}");
    assert_eq!(version(&daemon), before);
    daemon.stop();
}

#[test]
fn packets_that_a_full_queue_lets_pass_are_lost_too() {
    for hook in ["tc", "off"] {
        let Some(net) = Net::build() else { return };
        let config = CONFIG.replace("[queues]", "[queues]\nlength = 1");
        let daemon = Daemon::start(&net, &config, &["--hook", hook]);
        daemon.write(&(config.clone() + "# another version\n"));
        let body = json!({ "confirm_within_seconds": 3600, "max_lost": 5 });
        daemon.post("/v1/reload", &body).expect("a good file");
        let lost = |status: &Value| status["confirm"]["lost"].as_u64();
        assert_eq!(lost(&daemon.status()), Some(0), "hook {hook}");
        // More than a daemon takes out of a queue of one, before its heartbeat is old.
        daemon.signal(libc::SIGSTOP);
        net.flood(50);
        daemon.signal(libc::SIGCONT);
        let taken_back = |status: &Value| status["confirm"]["state"] == "taken-back";
        let status = until(&daemon, A_WHILE, taken_back);
        let why = status["confirm"]["why"].as_str();
        assert!(
            why.is_some_and(|why| why.contains("lost")),
            "hook {hook}: {status}"
        );
        daemon.stop();
    }
}

#[test]
fn a_restart_keeps_the_promise_to_go_back() {
    let Some(net) = Net::build() else { return };
    let start = |folder, config: &str| Daemon::start_in(&net, folder, config, &["--hook", "tc"]);
    let kill = |daemon: Daemon| {
        daemon.signal(libc::SIGKILL);
        daemon.wait().1
    };
    let daemon = Daemon::start(&net, CONFIG, &["--hook", "tc"]);
    let confirmed = version(&daemon);
    daemon.write(&reporting());
    let within = |seconds: u64| json!({ "confirm_within_seconds": seconds });
    daemon
        .post("/v1/reload", &within(600))
        .expect("a good file");
    let tried = version(&daemon);

    // In time: it goes on waiting.
    let daemon = start(kill(daemon), &reporting());
    assert_eq!(version(&daemon), tried);
    assert_eq!(daemon.status()["confirm"]["state"], "pending");
    daemon.post("/v1/reload", &within(1)).expect("a good file");

    // Too late, twice.
    let mut folder = kill(daemon);
    std::thread::sleep(Duration::from_millis(1_200));
    for _ in 0..2 {
        let daemon = start(folder, &reporting());
        let status = daemon.status();
        assert_eq!(status["policy"]["version"], confirmed, "{status}");
        assert_eq!(status["confirm"]["state"], "taken-back");
        assert!(status["policy"]["not_of_the_files_because"].is_string());
        folder = kill(daemon);
    }

    // The files are others.
    let changed = reporting() + "# changed\n";
    let daemon = start(folder, &changed);
    let status = daemon.status();
    assert_ne!(status["policy"]["version"], confirmed);
    assert_eq!(status["policy"]["not_of_the_files_because"], Value::Null);
    let folder = daemon.stop();
    assert_eq!(leftovers(&net, &folder), [] as [String; 0]);
}
