//! HTTP/1.1 (RFC 9112) over connections that are kept: pages and pictures.

use std::str::FromStr as _;

use fastrand::Rng;

use super::browser::{Fetch, Heard, Part};
use super::seal::made_from;
use super::streams::Answer;
use super::tally::Tally;
use crate::simulator::net::program::Ground;

const HTTP: Ground = Ground::other("HTTP");
/// Most header lines of a message.
const LINES: usize = 32;

/// What a part holds: a text, or a picture's compressed bytes.
fn content(part: Part) -> Vec<u8> {
    let bytes = made_from(part.seed, part.len);
    if part.picture {
        return bytes;
    }
    let letters = b"etaoin shrdlu cmfwyp vbgkjq xz e";
    let mut text = b"<!DOCTYPE html><html><body><p>".to_vec();
    text.extend(bytes.iter().map(|byte| letters[usize::from(byte % 32)]));
    text.truncate(part.len);
    text
}

/// The path that asks for a part.
fn path(part: Part) -> String {
    let (folder, ending) = match part.picture {
        true => ("pictures", "avif"),
        false => ("pages", "html"),
    };
    format!("/{folder}/{:016x}/{}.{ending}", part.seed, part.len)
}

/// The part that a path asks for.
fn part(path: &str) -> Option<Part> {
    let mut steps = path.strip_prefix('/')?.split('/');
    let (folder, seed, file) = (steps.next()?, steps.next()?, steps.next()?);
    let asked = Part {
        seed: u64::from_str_radix(seed, 16).ok()?,
        len: usize::from_str(file.split('.').next()?).ok()?,
        picture: folder == "pictures",
    };
    // Nothing else is served, nor more than anybody asks for.
    (self::path(asked) == path && asked.len <= super::browser::LONGEST as usize).then_some(asked)
}

/// Bytes of the request at the beginning, and its path, once it is there. `Err`: it is none.
pub(super) fn request(bytes: &[u8]) -> Result<Option<(usize, String)>, httparse::Error> {
    let mut lines = [httparse::EMPTY_HEADER; LINES];
    let mut request = httparse::Request::new(&mut lines);
    Ok(match request.parse(bytes)? {
        httparse::Status::Complete(len) => Some((len, request.path.unwrap_or("").to_owned())),
        httparse::Status::Partial => None,
    })
}

/// Bytes of the head of the response at the beginning, and of the body that follows it, once the
/// head is there. `Err`: it is none.
pub(super) fn response(bytes: &[u8]) -> Result<Option<(usize, usize)>, httparse::Error> {
    let mut lines = [httparse::EMPTY_HEADER; LINES];
    let mut response = httparse::Response::new(&mut lines);
    let httparse::Status::Complete(head) = response.parse(bytes)? else {
        return Ok(None);
    };
    let mut lengths = response
        .headers
        .iter()
        .filter(|line| line.name.eq_ignore_ascii_case("content-length"));
    let length = lengths
        .next()
        .and_then(|line| std::str::from_utf8(line.value).ok());
    let body = length.and_then(|length| length.parse().ok());
    Ok(Some((head, body.ok_or(httparse::Error::HeaderValue)?)))
}

/// The client's end.
#[derive(Debug)]
pub(super) struct Client {
    site: String,
    asked: Option<Part>,
    heard: Vec<u8>,
}

impl Fetch for Client {
    const GROUND: Ground = HTTP;

    fn open(_rng: &mut Rng, site: &str) -> (Self, Vec<u8>) {
        let client = Self {
            site: site.to_owned(),
            asked: None,
            heard: Vec::new(),
        };
        (client, Vec::new())
    }

    fn ask(&mut self, _rng: &mut Rng, part: Part) -> Vec<u8> {
        self.asked = Some(part);
        let accept = match part.picture {
            true => "image/avif,image/webp,image/*,*/*;q=0.8",
            false => "text/html,application/xhtml+xml,*/*;q=0.8",
        };
        format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\n\
             User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
             Accept: {accept}\r\nAccept-Language: en-US,en;q=0.5\r\n\
             Accept-Encoding: identity\r\nConnection: keep-alive\r\n\r\n",
            path(part),
            self.site
        )
        .into_bytes()
    }

    fn hear(&mut self, _rng: &mut Rng, bytes: &[u8]) -> Option<Vec<Heard>> {
        self.heard.extend(bytes);
        let Some((head, body)) = response(&self.heard).ok()? else {
            return Some(Vec::new());
        };
        if self.heard.len() < head + body {
            return Some(Vec::new());
        }
        let asked = self.asked.take()?;
        let whole = self.heard.len() == head + body && self.heard[head..] == content(asked);
        self.heard.clear();
        Some(vec![Heard::Whole(whole)])
    }
}

/// The server's end.
#[derive(Debug, Default)]
pub(super) struct Server {
    heard: Vec<u8>,
}

impl Answer for Server {
    fn hear(&mut self, _rng: &mut Rng, tally: &mut Tally, bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
        self.heard.extend(bytes);
        let mut answers = Vec::new();
        while let Some((len, path)) = request(&self.heard).ok()? {
            let part = part(&path);
            tally.arrived(HTTP.what, part.is_some());
            let part = part?;
            self.heard.drain(..len);
            let kind = match part.picture {
                true => "image/avif",
                false => "text/html; charset=utf-8",
            };
            let head = format!(
                "HTTP/1.1 200 OK\r\nServer: nginx/1.24.0\r\nContent-Type: {kind}\r\n\
                 Content-Length: {}\r\nConnection: keep-alive\r\n\r\n",
                part.len
            );
            answers.push([head.as_bytes(), &content(part)].concat());
        }
        Some(answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PART: Part = Part {
        seed: 7,
        len: 5000,
        picture: false,
    };

    #[test]
    fn an_answer_in_pieces_is_compared_as_a_whole() {
        let (rng, tally) = (&mut Rng::with_seed(1), &mut Tally::default());
        for spoilt in [false, true] {
            let (mut client, first) = Client::open(rng, "www.example.com");
            assert!(first.is_empty());
            let question = client.ask(rng, PART);
            let mut server = Server::default();
            let (one, two) = question.split_at(40);
            assert_eq!(server.hear(rng, tally, one), Some(Vec::new()));
            let mut answer = server.hear(rng, tally, two).expect("HTTP").concat();
            answer[4000] ^= u8::from(spoilt);
            let (last, most) = answer.split_last().expect("not empty");
            assert_eq!(client.hear(rng, most), Some(Vec::new()));
            let whole = client.hear(rng, &[*last]);
            assert_eq!(whole, Some(vec![Heard::Whole(!spoilt)]));
        }
    }

    #[test]
    fn what_is_no_request_ends_the_connection() {
        let (rng, tally) = (&mut Rng::with_seed(1), &mut Tally::default());
        for bytes in [&b"\x16\x03\x01"[..], b"GET /else HTTP/1.1\r\n\r\n"] {
            assert_eq!(Server::default().hear(rng, tally, bytes), None);
        }
    }
}
