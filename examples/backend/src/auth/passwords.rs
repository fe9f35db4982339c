//! Passwords: hashed slowly, and a few at a time.

use std::{sync::Arc, thread};

use argon2::{
    Argon2,
    password_hash::{self, PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::{sync::Semaphore, task};

use super::internal;
use crate::reply::Problem;

/// A hash that no password has, for accounts that do not exist: they shall not be told apart by time.
pub(super) const NOBODYS_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3Mgc2FsdCEhIQ\
    $AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The hash of a password, slow by intent.
pub fn hash_password(password: &str) -> password_hash::Result<String> {
    Argon2::default().hash_password(password.as_bytes()).map(|hash: PasswordHash| hash.to_string())
}

/// Compares passwords with their hashes.
#[derive(Debug)]
pub(super) struct Passwords {
    /// A hash takes memory and a core, and anyone may ask for one: so no more at a time than there are cores.
    hashing: Arc<Semaphore>,
}

impl Passwords {
    pub(super) fn new() -> Self {
        let cores = thread::available_parallelism().map_or(1, Into::into);
        Self { hashing: Arc::new(Semaphore::new(cores)) }
    }

    /// Whether the password has the hash.
    pub(super) async fn verify(&self, password: String, hash: String) -> Result<bool, Problem> {
        let permit = self.hashing.clone().acquire_owned().await.map_err(internal)?;
        let verifying = task::spawn_blocking(move || {
            // Until it is done, even if nobody waits for it any more.
            let _permit = permit;
            Argon2::default().verify_password(password.as_bytes(), hash.as_str())
        });
        match verifying.await.map_err(internal)? {
            Ok(()) => Ok(true),
            Err(password_hash::Error::PasswordInvalid) => Ok(false),
            Err(error) => Err(internal(error)),
        }
    }
}
