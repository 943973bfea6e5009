//! Contents that can be checked: made from a seed that the question carries, or sealed.

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes128Gcm, Nonce};
use sha2::{Digest as _, Sha256};

/// Bytes of a seal's tag.
pub(super) const TAG: usize = 16;

/// `len` bytes that both ends can make from `seed`.
pub(super) fn made_from(seed: u64, len: usize) -> Vec<u8> {
    // Neighbouring seeds have nothing in common after a hash.
    let mut rng = fastrand::Rng::with_seed(number_of(&[&seed.to_be_bytes()]));
    let mut bytes = vec![0; len];
    rng.fill(&mut bytes);
    bytes
}

/// A number made from all of these.
pub(super) fn number_of(parts: &[&[u8]]) -> u64 {
    let hash = secret(parts);
    u64::from_be_bytes(*hash.first_chunk().expect("a hash has 32 bytes"))
}

/// A secret made from all of these.
pub(super) fn secret(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Encrypts and authenticates with AES-128-GCM, as TLS, DTLS, SSH, SRTP and QUIC do. The key is
/// made from what both ends said in clear, so that they need not agree on one.
#[derive(Clone)]
pub(super) struct Seal(Aes128Gcm);

impl std::fmt::Debug for Seal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Seal")
    }
}

impl Seal {
    /// One whose key comes from these bytes.
    pub(super) fn new(clear: &[&[u8]]) -> Self {
        let key = secret(clear);
        Self(Aes128Gcm::new_from_slice(&key[..16]).expect("16 bytes"))
    }

    fn nonce(number: u64) -> [u8; 12] {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&number.to_be_bytes());
        nonce
    }

    /// The `number`th message, with its tag behind it. `head` is not encrypted, but authentic.
    pub(super) fn seal(&self, number: u64, head: &[u8], plain: &[u8]) -> Vec<u8> {
        let payload = Payload {
            msg: plain,
            aad: head,
        };
        let nonce = Self::nonce(number);
        let sealed = self.0.encrypt(Nonce::from_slice(&nonce), payload);
        sealed.expect("a message is short")
    }

    /// What was sealed; `None` if anything differs.
    pub(super) fn open(&self, number: u64, head: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let payload = Payload {
            msg: sealed,
            aad: head,
        };
        let nonce = Self::nonce(number);
        self.0.decrypt(Nonce::from_slice(&nonce), payload).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_breaks_the_seal() {
        let seal = Seal::new(&[b"client", b"server"]);
        let mut sealed = seal.seal(7, b"head", b"plain");
        assert_eq!(sealed.len(), 5 + TAG);
        assert_eq!(
            seal.open(7, b"head", &sealed).as_deref(),
            Some(&b"plain"[..])
        );
        assert_eq!(seal.open(8, b"head", &sealed), None);
        assert_eq!(seal.open(7, b"heap", &sealed), None);
        sealed[0] ^= 1;
        assert_eq!(seal.open(7, b"head", &sealed), None);
    }

    #[test]
    fn neighbouring_seeds_make_different_bytes() {
        assert_ne!(made_from(1, 64), made_from(2, 64));
        assert_eq!(made_from(1, 64)[..10], made_from(1, 10));
    }
}
