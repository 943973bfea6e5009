//! What the daemon reports while the lab runs.

use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;
use skype_ips_common::layout::{TCP, UDP};

use crate::engine::Finding;
use crate::policy::{Action, Class, Confidence, Role};

/// A finding of the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Alert {
    /// When, microseconds since the Unix epoch.
    pub(super) at: u64,
    /// Whether it holds for all UDP of the inside address and port.
    pub(super) of_endpoint: bool,
    /// IP protocol number.
    pub(super) protocol: u8,
    /// The inside host.
    pub(super) inside: SocketAddr,
    /// The outside host.
    pub(super) outside: SocketAddr,
    /// What was found; `None` if it may as well be Teams'.
    pub(super) finding: Option<Finding>,
    /// Names of the tests.
    pub(super) evidence: Vec<String>,
    /// What the policy does about it.
    pub(super) action: Action,
}

/// A line of the daemon's events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The daemon's state has changed.
    Engine(String),
    /// It found something.
    Alert(Alert),
    /// Anything else.
    Other,
}

#[derive(Deserialize)]
#[serde(tag = "event_type", rename_all = "lowercase")]
enum Line {
    Engine {
        engine: EngineLine,
    },
    Alert(Box<AlertLine>),
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct EngineLine {
    state: String,
}

#[derive(Deserialize)]
struct AlertLine {
    timestamp: String,
    src_ip: IpAddr,
    src_port: u16,
    dest_ip: IpAddr,
    dest_port: u16,
    proto: String,
    skype: SkypeLine,
    policy: PolicyLine,
}

#[derive(Deserialize)]
struct SkypeLine {
    detected: bool,
    scope: String,
    class: Option<String>,
    role: Option<String>,
    confidence: Option<String>,
    evidence: Vec<String>,
}

#[derive(Deserialize)]
struct PolicyLine {
    action: String,
}

/// Reads a line of events; says what is wrong with it.
pub(super) fn parse(line: &str) -> Result<Event, String> {
    match serde_json::from_str(line).map_err(|error| error.to_string())? {
        Line::Engine { engine } => Ok(Event::Engine(engine.state)),
        Line::Alert(alert) => alert.read().map(Event::Alert),
        Line::Other => Ok(Event::Other),
    }
}

impl AlertLine {
    fn read(self) -> Result<Alert, String> {
        let unknown = |what: &str, word: &str| format!("unknown {what} {word:?}");
        let at = jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%.f%z", &self.timestamp)
            .and_then(|time| time.to_timestamp())
            .map_err(|error| format!("timestamp {:?}: {error}", self.timestamp))?;
        let SkypeLine {
            detected,
            scope,
            class,
            role,
            confidence,
            evidence,
        } = self.skype;
        let finding = || -> Result<Finding, String> {
            let word = |word: Option<String>| word.unwrap_or_default();
            let (class, role) = (word(class), word(role));
            let confidence = word(confidence);
            Ok(Finding {
                class: Class::from_word(&class).ok_or_else(|| unknown("class", &class))?,
                role: Role::from_word(&role).ok_or_else(|| unknown("role", &role))?,
                confidence: Confidence::from_word(&confidence)
                    .ok_or_else(|| unknown("confidence", &confidence))?,
            })
        };
        Ok(Alert {
            at: u64::try_from(at.as_microsecond()).map_err(|error| error.to_string())?,
            of_endpoint: match scope.as_str() {
                "endpoint" => true,
                "flow" => false,
                other => return Err(unknown("scope", other)),
            },
            protocol: match self.proto.as_str() {
                "TCP" => TCP,
                "UDP" => UDP,
                other => return Err(unknown("protocol", other)),
            },
            inside: SocketAddr::new(self.src_ip, self.src_port),
            outside: SocketAddr::new(self.dest_ip, self.dest_port),
            finding: detected.then(finding).transpose()?,
            evidence,
            action: Action::from_word(&self.policy.action)
                .ok_or_else(|| unknown("action", &self.policy.action))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALERT: &str = r#"{"event_type":"alert","timestamp":"2026-11-22T22:00:00.123456+0000",
        "src_ip":"192.168.1.34","src_port":13021,"dest_ip":"1.2.3.4","dest_port":40000,
        "proto":"UDP","community_id":"1:x","skype":{"detected":true,"scope":"endpoint",
        "class":"signaling","role":"client","confidence":"exact","evidence":["udp-generator"]},
        "policy":{"name":"skype","version":"0","action":"drop"}}"#;

    #[test]
    fn an_alert_has_its_time_in_microseconds_and_its_ends() {
        let Ok(Event::Alert(alert)) = parse(ALERT) else {
            panic!("an alert")
        };
        assert_eq!(alert.at, 1_795_384_800_123_456);
        assert!(alert.of_endpoint);
        assert_eq!(
            alert.inside,
            "192.168.1.34:13021".parse().expect("an address")
        );
        assert_eq!(alert.action, Action::Drop);
    }

    #[test]
    fn what_is_ambiguous_has_no_finding() {
        let line = ALERT
            .replace("\"detected\":true", "\"detected\":false,\"ambiguous\":true")
            .replace(
                "\"class\":\"signaling\",\"role\":\"client\",\"confidence\":\"exact\",",
                "",
            );
        let Ok(Event::Alert(alert)) = parse(&line) else {
            panic!("an alert: {line}")
        };
        assert_eq!(alert.finding, None);
        let lacking = line.replace("\"detected\":false", "\"detected\":true");
        assert!(parse(&lacking).is_err());
    }

    #[test]
    fn other_lines_are_told_from_broken_ones() {
        let ready = r#"{"event_type":"engine","engine":{"state":"ready"}}"#;
        assert_eq!(parse(ready), Ok(Event::Engine("ready".to_owned())));
        assert_eq!(parse(r#"{"event_type":"flow","x":1}"#), Ok(Event::Other));
        assert!(parse("not JSON").is_err());
        assert!(parse(&ALERT.replace("endpoint", "galaxy")).is_err());
    }
}
