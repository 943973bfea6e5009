//! SSH (RFC 4253) as OpenSSH speaks it: banners, key exchange, then packets that look as those of
//! `chacha20-poly1305@openssh.com`, whose lengths are encrypted too. They carry channels
//! (RFC 4254): a shell in which somebody types, or the copy of a file as `scp` makes it.

use fastrand::Rng;

use super::seal::{Seal, TAG, made_from};
use super::streams::Answer;
use super::tally::Tally;
use crate::simulator::net::program::Ground;
use crate::simulator::speech::noise;

pub(super) const SSH: Ground = Ground::other("SSH");
pub(super) const CLIENT_BANNER: &str = "SSH-2.0-OpenSSH_9.6\r\n";
const SERVER_BANNER: &str = "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n";

/// Messages (RFC 4250, section 4.1.2; RFC 5656).
pub(super) mod number {
    pub(in super::super) const SERVICE_REQUEST: u8 = 5;
    pub(in super::super) const SERVICE_ACCEPT: u8 = 6;
    pub(in super::super) const KEXINIT: u8 = 20;
    pub(in super::super) const NEWKEYS: u8 = 21;
    pub(in super::super) const ECDH_INIT: u8 = 30;
    pub(in super::super) const ECDH_REPLY: u8 = 31;
    pub(in super::super) const USERAUTH_REQUEST: u8 = 50;
    pub(in super::super) const USERAUTH_SUCCESS: u8 = 52;
    pub(in super::super) const CHANNEL_OPEN: u8 = 90;
    pub(in super::super) const CHANNEL_OPEN_CONFIRMATION: u8 = 91;
    pub(in super::super) const CHANNEL_WINDOW_ADJUST: u8 = 93;
    pub(in super::super) const CHANNEL_DATA: u8 = 94;
    pub(in super::super) const CHANNEL_REQUEST: u8 = 98;
    pub(in super::super) const CHANNEL_SUCCESS: u8 = 99;
}
/// Bytes of the cookie in a KEXINIT, behind its number.
const COOKIE: std::ops::Range<usize> = 1..17;
/// Most bytes of a packet that is believed (RFC 4253, section 6.1, and room).
const LONGEST: usize = 40_000;
/// Most bytes of data in a packet, as OpenSSH's channels.
const DATA: usize = 32_768;
/// Bytes of the longest file and of the longest output of a command.
pub(super) const LONGEST_FILE: usize = 3_000_000;
pub(super) const LONGEST_OUTPUT: usize = 20_000;

pub(super) fn string(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
}

pub(super) fn key_exchange_init(rng: &mut Rng) -> Vec<u8> {
    let kex = "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,\
               diffie-hellman-group16-sha512";
    let ciphers = "chacha20-poly1305@openssh.com,aes128-gcm@openssh.com,aes128-ctr";
    let macs = "umac-128-etm@openssh.com,hmac-sha2-256-etm@openssh.com,hmac-sha2-256";
    let compression = "none,zlib@openssh.com";
    let lists = [
        kex,
        "ssh-ed25519,ecdsa-sha2-nistp256,rsa-sha2-512",
        ciphers,
        ciphers,
        macs,
        macs,
        compression,
        compression,
        "",
        "",
    ];
    let lists: Vec<u8> = lists
        .iter()
        .flat_map(|list| string(list.as_bytes()))
        .collect();
    [&[number::KEXINIT][..], &noise(rng, 16), &lists, &[0; 5]].concat()
}

/// A string's bytes at the beginning of a message's rest.
fn content(bytes: &[u8]) -> Option<&[u8]> {
    let (len, rest) = bytes.split_first_chunk()?;
    rest.get(..u32::from_be_bytes(*len) as usize)
}

/// One end's transport: the banner, then packets, in clear up to NEWKEYS.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    server: bool,
    heard: Vec<u8>,
    /// Whether the banner has come.
    greeted: bool,
    /// The cookies of client and server, from which the key is made.
    cookies: [Vec<u8>; 2],
    /// What this end's and the other's packets are sealed with by now.
    sealed: [Option<Seal>; 2],
    counts: [u64; 2],
}

impl Transport {
    pub(super) fn new(server: bool) -> Self {
        Self {
            server,
            heard: Vec::new(),
            greeted: false,
            cookies: [Vec::new(), Vec::new()],
            sealed: [None, None],
            counts: [0; 2],
        }
    }

    /// More of the stream has come.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        self.heard.extend(bytes);
    }

    /// A packet with this message.
    pub(super) fn packet(&mut self, rng: &mut Rng, message: &[u8]) -> Vec<u8> {
        let by_server = usize::from(self.server);
        match message[0] {
            number::KEXINIT => self.cookies[by_server] = message[COOKIE].to_vec(),
            number::NEWKEYS => {
                let packet = Self::clear(rng, message);
                self.sealed[0] = Some(self.seal());
                return packet;
            }
            _ => {}
        }
        let Some(seal) = &self.sealed[0] else {
            return Self::clear(rng, message);
        };
        let body = Self::padded(rng, message, 8, 0);
        let number = self.counts[0] << 1 | by_server as u64;
        self.counts[0] += 1;
        let len = seal.hide(number, (body.len() as u32).to_be_bytes());
        [&len[..], &seal.seal(number, &len, &body)].concat()
    }

    fn seal(&self) -> Seal {
        Seal::new(&[b"ssh", &self.cookies[0], &self.cookies[1]])
    }

    /// The padding's length, the message and four bytes of padding or more, so that with `before`
    /// bytes in front it is so many blocks.
    fn padded(rng: &mut Rng, message: &[u8], block: usize, before: usize) -> Vec<u8> {
        let least = before + 1 + message.len() + 4;
        let padding = 4 + least.next_multiple_of(block) - least;
        [&[padding as u8][..], message, &noise(rng, padding)].concat()
    }

    fn clear(rng: &mut Rng, message: &[u8]) -> Vec<u8> {
        string(&Self::padded(rng, message, 8, 4))
    }

    /// The next message that has come, the banner as an empty one. `Err`: that isn't SSH.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, ()> {
        if !self.greeted {
            let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') else {
                return if self.heard.len() > 255 {
                    Err(())
                } else {
                    Ok(None)
                };
            };
            if !self.heard.starts_with(b"SSH-2.0-") {
                return Err(());
            }
            self.heard.drain(..=end);
            self.greeted = true;
            return Ok(Some(Vec::new()));
        }
        let Some(head) = self.heard.first_chunk::<4>().copied() else {
            return Ok(None);
        };
        let by_server = usize::from(!self.server);
        let number = self.counts[1] << 1 | by_server as u64;
        let len = match &self.sealed[1] {
            Some(seal) => seal.hide(number, head),
            None => head,
        };
        let len = u32::from_be_bytes(len) as usize;
        if len > LONGEST {
            return Err(());
        }
        let tag = if self.sealed[1].is_some() { TAG } else { 0 };
        let Some(body) = self.heard.get(4..4 + len + tag) else {
            return Ok(None);
        };
        let body = match &self.sealed[1] {
            Some(seal) => {
                self.counts[1] += 1;
                seal.open(number, &head, body).ok_or(())?
            }
            None => body.to_vec(),
        };
        self.heard.drain(..4 + len + tag);
        let padding = usize::from(*body.first().ok_or(())?);
        let end = body.len().checked_sub(padding).ok_or(())?;
        let message = body.get(1..end).ok_or(())?.to_vec();
        match *message.first().ok_or(())? {
            number::KEXINIT => {
                self.cookies[by_server] = message.get(COOKIE).ok_or(())?.to_vec();
            }
            number::NEWKEYS => self.sealed[1] = Some(self.seal()),
            _ => {}
        }
        Ok(Some(message))
    }

    /// Data on the channel, in as many packets as it takes.
    pub(super) fn data(&mut self, rng: &mut Rng, data: &[u8]) -> Vec<u8> {
        let mut packets = Vec::new();
        for part in data.chunks(DATA) {
            let head = [&[number::CHANNEL_DATA][..], &[0; 4]].concat();
            packets.extend(self.packet(rng, &[head, string(part)].concat()));
        }
        packets
    }
}

/// Data of a channel, from its message.
pub(super) fn channel_data(message: &[u8]) -> Option<&[u8]> {
    content(message.get(5..)?)
}

/// What a command prints: letters, made from the seed.
pub(super) fn output(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = made_from(seed, len);
    for byte in &mut bytes {
        *byte = b' ' + *byte % 95;
    }
    bytes
}

/// Two numbers from a line: `word seed length`.
fn asked(line: &[u8], word: &str, most: usize) -> Option<(u64, usize)> {
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    (words.next()? == word).then_some(())?;
    let seed = u64::from_str_radix(words.next()?, 16).ok()?;
    let len = words.next()?.trim_end().parse().ok()?;
    (len <= most).then_some((seed, len))
}

/// The server's end.
#[derive(Debug)]
pub(super) struct Server {
    transport: Transport,
    /// Whether a file is copied here; else it is a shell.
    copy: bool,
    line: Vec<u8>,
    adjusted: usize,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            transport: Transport::new(true),
            copy: false,
            line: Vec::new(),
            adjusted: 0,
        }
    }
}

impl Server {
    /// Data has come on the channel.
    fn data(&mut self, rng: &mut Rng, tally: &mut Tally, data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        self.line.extend(data);
        if !self.copy {
            tally.arrived(SSH.what, true);
            if data == b"\r" {
                let line = std::mem::take(&mut self.line);
                let asked = asked(&line, "cat", LONGEST_OUTPUT);
                let printed = asked.map(|(seed, len)| output(seed, len));
                let answer = [b"\r\n", &printed.unwrap_or_default()[..]].concat();
                return self.transport.data(rng, &answer);
            }
            return self.transport.data(rng, data);
        }
        // The window is 2 MB; OpenSSH gives back what it has taken in steps.
        self.adjusted += data.len();
        if self.adjusted >= 3 * DATA {
            let more = (self.adjusted as u32).to_be_bytes();
            let head = [&[number::CHANNEL_WINDOW_ADJUST][..], &[0; 4]].concat();
            out.extend(self.transport.packet(rng, &[&head[..], &more].concat()));
            self.adjusted = 0;
        }
        let Some(end) = self.line.iter().position(|byte| *byte == b'\n') else {
            return out;
        };
        let (line, file) = self.line.split_at(end + 1);
        let Some((seed, len)) = asked(line, "C0644", LONGEST_FILE) else {
            return out;
        };
        if file.len() >= len {
            let unchanged = file == made_from(seed, len);
            tally.arrived(SSH.what, unchanged);
            self.line.clear();
            out.extend(self.transport.data(rng, &[u8::from(!unchanged)]));
        }
        out
    }

    fn answer(&mut self, rng: &mut Rng, tally: &mut Tally, message: &[u8]) -> Option<Vec<u8>> {
        let Some(kind) = message.first() else {
            // The banner.
            let message = key_exchange_init(rng);
            return Some(self.transport.packet(rng, &message));
        };
        let say = match *kind {
            number::ECDH_INIT => {
                let host_key = [string(b"ssh-ed25519"), string(&noise(rng, 32))].concat();
                let signature = [string(b"ssh-ed25519"), string(&noise(rng, 64))].concat();
                let reply = [
                    &[number::ECDH_REPLY][..],
                    &string(&host_key),
                    &string(&noise(rng, 32)),
                    &string(&signature),
                ];
                let packets = [
                    self.transport.packet(rng, &reply.concat()),
                    self.transport.packet(rng, &[number::NEWKEYS]),
                ];
                return Some(packets.concat());
            }
            number::SERVICE_REQUEST => [&[number::SERVICE_ACCEPT][..], &message[1..]].concat(),
            number::USERAUTH_REQUEST => vec![number::USERAUTH_SUCCESS],
            number::CHANNEL_OPEN => [
                &[number::CHANNEL_OPEN_CONFIRMATION][..],
                &[0; 8],
                &[0, 32, 0, 0, 0, 0, 128, 0],
            ]
            .concat(),
            number::CHANNEL_REQUEST => {
                self.copy = content(message.get(5..)?)? == b"exec";
                [&[number::CHANNEL_SUCCESS][..], &[0; 4]].concat()
            }
            number::CHANNEL_DATA => {
                return Some(self.data(rng, tally, channel_data(message)?));
            }
            _ => return Some(Vec::new()),
        };
        Some(self.transport.packet(rng, &say))
    }
}

impl Answer for Server {
    fn greeting(&mut self, _rng: &mut Rng) -> Vec<u8> {
        SERVER_BANNER.into()
    }

    fn hear(&mut self, rng: &mut Rng, tally: &mut Tally, bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
        self.transport.extend(bytes);
        let mut answers = Vec::new();
        while let Some(message) = self.transport.next().ok()? {
            let say = self.answer(rng, tally, &message)?;
            if !say.is_empty() {
                answers.push(say);
            }
        }
        Some(answers)
    }
}
