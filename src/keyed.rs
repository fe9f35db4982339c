//! A hash that only the holder of its key can compute.

use std::{fmt, fmt::Write as _};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A secret.
#[derive(Clone)]
pub(crate) struct Key(Vec<u8>);

impl Key {
    pub(crate) fn new(key: Vec<u8>) -> Self {
        Self(key)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.len()
    }

    /// The first half of the HMAC-SHA256 of a text, in hexadecimal digits: a million texts have the same one twice
    /// with a probability of 10^-27.
    pub(crate) fn hash(&self, text: &str) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("it takes a key of any length");
        let hash = mac.chain_update(text).finalize().into_bytes();
        hash[..16].iter().fold(String::with_capacity(32), |mut digits, byte| {
            _ = write!(digits, "{byte:02x}");
            digits
        })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

#[cfg(test)]
mod tests {
    use super::Key;

    /// The second of the test cases of RFC 4231.
    #[test]
    fn the_hash_is_that_of_the_standard() {
        let hash = Key::new(b"Jefe".to_vec()).hash("what do ya want for nothing?");
        assert_eq!(hash, "5bdcc146bf60754e6a042426089575c7");
    }

    #[test]
    fn the_key_is_not_shown() {
        assert_eq!(format!("{:?}", Key::new(b"secret".to_vec())), "Key");
    }
}
