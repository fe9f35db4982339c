//! Passwords: hashed slowly, a few at a time, in memory that is kept.

use std::{sync::Arc, thread, time::Duration};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::{
        self, PasswordHasher,
        phc::{Output, PasswordHash},
    },
};
use parking_lot::Mutex;
use tokio::{sync::Semaphore, task, time};

use super::internal;
use crate::reply::Problem;

/// A hash that no password has, for accounts that do not exist: they shall not be told apart by time.
pub(super) const NOBODYS_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3Mgc2FsdCEhIQ\
    $AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The hash of a password, slow by intent.
pub fn hash_password(password: &str) -> password_hash::Result<String> {
    Argon2::default().hash_password(password.as_bytes()).map(|hash: PasswordHash| hash.to_string())
}

/// How long a password may wait for its turn. Whoever sends more than can be hashed makes no queue.
const TURN_TIMEOUT: Duration = Duration::from_secs(1);

/// Compares passwords with their hashes.
#[derive(Debug)]
pub(super) struct Passwords {
    /// A hash takes memory and a core, and anyone may ask for one: so no more at a time than there are cores.
    hashing: Arc<Semaphore>,
    /// The memory of those that are done. Each log-in would otherwise have the system clear 19 MiB for it.
    memory: Arc<Mutex<Vec<Vec<Block>>>>,
}

impl Passwords {
    pub(super) fn new() -> Self {
        let cores = thread::available_parallelism().map_or(1, Into::into);
        Self { hashing: Arc::new(Semaphore::new(cores)), memory: Arc::default() }
    }

    /// Whether the password has the hash.
    pub(super) async fn verify(&self, password: String, hash: String) -> Result<bool, Problem> {
        let turn = time::timeout(TURN_TIMEOUT, self.hashing.clone().acquire_owned());
        let permit = turn.await.map_err(|_| Problem::TooMany(TURN_TIMEOUT))?.map_err(internal)?;
        let memory = self.memory.clone();
        let verifying = task::spawn_blocking(move || {
            // Until it is done, even if nobody waits for it any more.
            let _permit = permit;
            let mut blocks = memory.lock().pop().unwrap_or_default();
            let verified = verify(&password, &hash, &mut blocks);
            memory.lock().push(blocks);
            verified
        });
        verifying.await.map_err(internal)?.map_err(internal)
    }
}

/// Whether the password has the hash, found out in the memory given.
fn verify(password: &str, hash: &str, blocks: &mut Vec<Block>) -> password_hash::Result<bool> {
    let hash = PasswordHash::new(hash)?;
    let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else {
        return Err(password_hash::Error::EncodingInvalid);
    };
    let algorithm = Algorithm::try_from(hash.algorithm.as_str())?;
    let version = hash.version.map_or(Ok(Version::default()), Version::try_from)?;
    let params = Params::try_from(&hash)?;
    blocks.resize(params.block_count(), Block::new());
    let mut computed = vec![0; expected.len()];
    Argon2::new(algorithm, version, params).hash_password_into_with_memory(
        password.as_bytes(),
        salt,
        &mut computed,
        blocks,
    )?;
    // An `Output` is compared in constant time.
    Ok(Output::new(&computed)? == *expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_password_does_not_wait_for_ever() {
        let passwords = Passwords::new();
        let verify = || passwords.verify("wrong".to_owned(), NOBODYS_HASH.to_owned());
        let cores = passwords.hashing.available_permits().try_into().unwrap();
        let all = passwords.hashing.acquire_many(cores).await.unwrap();
        assert!(matches!(verify().await, Err(Problem::TooMany(_))));
        drop(all);
        assert!(matches!(verify().await, Ok(false)));
    }

    /// Memory that is used again holds what the hash before left in it.
    #[test]
    fn memory_is_used_again() {
        let mut blocks = Vec::new();
        let other =
            Argon2::new(Algorithm::Argon2i, Version::V0x10, Params::new(64, 3, 2, None).unwrap());
        let other: PasswordHash = other.hash_password(b"small").unwrap();
        let hash = hash_password("right").unwrap();
        for _ in 0..2 {
            assert_eq!(verify("right", &hash, &mut blocks), Ok(true));
            assert_eq!(verify("wrong", &hash, &mut blocks), Ok(false));
            assert_eq!(verify("small", &other.to_string(), &mut blocks), Ok(true));
            assert_eq!(verify("right", &other.to_string(), &mut blocks), Ok(false));
            assert_eq!(verify("right", NOBODYS_HASH, &mut blocks), Ok(false));
        }
        assert!(verify("right", "no hash", &mut blocks).is_err());
        assert!(verify("right", "$argon2id$v=19$m=64,t=2,p=1", &mut blocks).is_err());
    }
}
