//! The conversations that were not found, or wrongly, one by one.

use serde::Serialize;

use super::File;
use super::corpus::Conversation;
use super::labels::Truth;
use super::replay::Flow;

/// A conversation labelled Skype that was not found.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Miss {
    pub(super) capture: String,
    /// Protocol and ends, the end that sent the first packet in front.
    pub(super) flow: String,
    /// What its label rests on.
    pub(super) ground: String,
    /// Payload bytes of that end.
    pub(super) payload_bytes_toserver: u64,
    /// Payload bytes of the other end.
    pub(super) payload_bytes_toclient: u64,
    /// The first 16 of them, in hexadecimal.
    pub(super) head_toserver: String,
    pub(super) head_toclient: String,
    pub(super) reason: &'static str,
}

/// All of them.
pub(super) fn misses(files: &[File]) -> Vec<Miss> {
    let missed = |one: &&Conversation| {
        let flow = one.flow.as_ref();
        flow.is_none_or(|flow| !flow.skype.detected)
    };
    files
        .iter()
        .flat_map(|file| {
            let of_file = file.labelled_skype().filter(missed);
            of_file.map(|one| miss(&file.capture.name, one))
        })
        .collect()
}

fn miss(capture: &str, conversation: &Conversation) -> Miss {
    let payload = conversation.flow.as_ref().map(|flow| flow.payload.clone());
    let payload = payload.unwrap_or_default();
    Miss {
        capture: capture.to_owned(),
        flow: directed(conversation),
        ground: conversation.ground.clone(),
        payload_bytes_toserver: payload.bytes_toserver,
        payload_bytes_toclient: payload.bytes_toclient,
        head_toserver: payload.head_toserver,
        head_toclient: payload.head_toclient,
        reason: conversation.flow.as_ref().map_or(
            "the label names a conversation that is not in the capture",
            reason,
        ),
    }
}

/// Protocol and ends, first packet's sender first where that is known.
pub(super) fn directed(conversation: &Conversation) -> String {
    let ends = &conversation.ends;
    match &conversation.flow {
        Some(flow) => format!(
            "{} {} > {}",
            ends.proto(),
            flow.source(),
            flow.destination()
        ),
        None => ends.to_string(),
    }
}

/// What its bytes say of why no test found it.
fn reason(flow: &Flow) -> &'static str {
    let payload = &flow.payload;
    if flow.skype.ambiguous {
        "ambiguous: media that Skype and Teams share, and no name was seen"
    } else if payload.bytes_toserver + payload.bytes_toclient == 0 {
        "not one byte of payload"
    } else if payload.opening_seen == Some(false) {
        "its opening is not in the capture, and nothing is taken from the middle of a connection"
    } else if is_tls(&payload.head_toserver) || is_tls(&payload.head_toclient) {
        "a TLS handshake like any other: only a name could tell, and none that is known was seen"
    } else {
        "no documented test fits these bytes"
    }
}

/// Whether the stream begins with a handshake record of TLS 1.0 to 1.3 that holds a ClientHello
/// or a ServerHello (RFC 8446, sections 4 and 5.1).
fn is_tls(head: &str) -> bool {
    let byte = |at: usize| head.get(2 * at..2 * at + 2);
    head.starts_with("1603") && matches!(byte(5), Some("01" | "02"))
}

/// Conversations known not to be Skype that were called so: capture, ends, confidence and class.
pub(super) fn accusations(files: &[File]) -> Vec<[String; 4]> {
    let mut all = Vec::new();
    for file in files {
        for one in &file.conversations {
            let known = matches!(one.truth, Truth::Other | Truth::Teams);
            let flow = one.flow.as_ref().filter(|flow| flow.skype.detected);
            if let (true, Some(flow)) = (known, flow) {
                let word = |word: &Option<String>| word.clone().unwrap_or_default();
                all.push([
                    file.capture.name.clone(),
                    directed(one),
                    word(&flow.skype.confidence),
                    word(&flow.skype.class),
                ]);
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(head: &str, opening_seen: Option<bool>) -> Flow {
        let mut flow = Flow::plain("10.0.0.1:5", "192.0.2.1:443");
        flow.payload.bytes_toserver = head.len() as u64 / 2;
        flow.payload.head_toserver = head.to_owned();
        flow.payload.opening_seen = opening_seen;
        flow
    }

    #[test]
    fn the_reason_is_what_the_bytes_say() {
        assert_eq!(reason(&flow("", Some(true))), "not one byte of payload");
        let tls = "16030100b5010000b10301";
        assert!(reason(&flow(tls, Some(true))).starts_with("a TLS handshake"));
        assert!(reason(&flow(tls, Some(false))).starts_with("its opening"));
        assert!(reason(&flow("1603010000", Some(true))).starts_with("no documented test"));
        assert!(reason(&flow("0d", None)).starts_with("no documented test"));
        let mut media = flow("0001", None);
        media.skype.ambiguous = true;
        assert!(reason(&media).starts_with("ambiguous"));
    }

    #[test]
    fn what_was_missed_and_what_was_accused_is_listed() {
        let conversation = |truth, flow: Option<Flow>| Conversation {
            ends: Flow::plain("10.0.0.1:5", "192.0.2.1:443").ends(),
            truth,
            ground: "name".to_owned(),
            flow,
        };
        let found = || {
            let mut found = flow("00", Some(true));
            found.skype.detected = true;
            Some(found)
        };
        let file = File::of(
            "skype",
            1,
            vec![
                conversation(Truth::Skype, found()),
                conversation(Truth::Skype, Some(flow("abcd", Some(true)))),
                conversation(Truth::Skype, None),
                conversation(Truth::Other, found()),
                conversation(Truth::Unscored, found()),
            ],
        );
        let files = [file];
        let missed = misses(&files);
        assert_eq!(missed.len(), 2);
        assert_eq!(missed[0].flow, "TCP 10.0.0.1:5 > 192.0.2.1:443");
        assert_eq!(
            (
                missed[0].payload_bytes_toserver,
                missed[0].head_toserver.as_str()
            ),
            (2, "abcd")
        );
        assert!(missed[1].reason.contains("not in the capture"));
        assert_eq!(accusations(&files).len(), 1);
    }
}
