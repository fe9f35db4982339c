//! What becomes of account ids.

#[cfg(feature = "hmac")]
use std::sync::Arc;

use super::{BuildError, Builder};
#[cfg(feature = "hmac")]
use crate::keyed::Key;
use crate::registry::Accounts;

/// The shortest key for the hash, in bytes: RFC 2104 advises against less than what the hash has.
#[cfg(feature = "hmac")]
const SHORTEST_KEY: usize = 32;

#[derive(Clone, Debug, Default)]
pub(super) enum AccountIds {
    #[default]
    Shown,
    #[cfg(feature = "hmac")]
    Hashed(Key),
    Summed,
}

impl AccountIds {
    #[cfg_attr(
        not(feature = "hmac"),
        expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "no key can be given")
    )]
    pub(super) fn check(&self) -> Result<(), BuildError> {
        #[cfg(feature = "hmac")]
        if let Self::Hashed(key) = self
            && key.bytes() < SHORTEST_KEY
        {
            return Err(BuildError::AccountKey { bytes: key.bytes() });
        }
        Ok(())
    }
}

impl From<AccountIds> for Accounts {
    fn from(ids: AccountIds) -> Self {
        match ids {
            AccountIds::Shown => Self::Plain,
            #[cfg(feature = "hmac")]
            AccountIds::Hashed(key) => Self::Replaced(Arc::new(move |id| key.hash(id))),
            AccountIds::Summed => Self::Summed,
        }
    }
}

impl Builder {
    /// Shows no account: where a family has the label `account_id`, one series with the value `all` stands for all
    /// accounts, and is their sum; where it has another open label beside it, one for each value of that. It does so in
    /// families of mounted subsystems too, and takes the place of [`hash_account_ids`](Self::hash_account_ids).
    ///
    /// A gauge that is NaN is left out of the sum, which is NaN only if all are, or if both infinities are among them.
    /// The ids stay in the memory of the process; those over 128 bytes are hashed there at each use. Accounts past the
    /// cap count as one, the one that was set last.
    ///
    /// ```
    /// let metrics = backend_metrics::Metrics::builder().without_account_ids().build()?;
    /// metrics.update_strategy_account("ACC-7", 1, 4, -1_250.75);
    /// metrics.update_strategy_account("ACC-8", 2, 6, 1_000.25);
    /// assert_eq!(metrics.value(r#"strategy_pnl_total{account_id="all"}"#), Some(-250.5));
    /// # Ok::<(), backend_metrics::BuildError>(())
    /// ```
    pub fn without_account_ids(mut self) -> Self {
        self.accounts = AccountIds::Summed;
        self
    }

    /// Shows a keyed hash in place of each account id, in every family with the label `account_id`, those of
    /// mounted subsystems too. It takes the place of [`without_account_ids`](Self::without_account_ids).
    ///
    /// It is the first half of the HMAC-SHA256 of the id, in 32 hexadecimal digits. Who has the key can tell which
    /// account a series is of, from a shell or in PostgreSQL; nobody else can, even with a list of all ids:
    ///
    /// ```text
    /// printf %s ACC-7 | openssl dgst -sha256 -hmac "$KEY" -r | cut -c 1-32
    /// SELECT left(encode(hmac(id, :key, 'sha256'), 'hex'), 32), id FROM accounts;
    /// ```
    ///
    /// The replicas of a service need the same key, as the numbers of an account are the same in all of them.
    /// Another key makes other series. The ids stay in the memory of the process, and an id is hashed as a whole when
    /// it is used for the first time; one over 128 bytes at each use, which allocates.
    ///
    /// ```
    /// let key = "a secret of thirty-two bytes or more, out of a file";
    /// let metrics = backend_metrics::Metrics::builder().hash_account_ids(key).build()?;
    /// metrics.update_strategy_account("ACC-7", 1, 4, -1_250.75);
    /// assert!(!metrics.to_text().contains("ACC-7"));
    /// # Ok::<(), backend_metrics::BuildError>(())
    /// ```
    #[cfg(feature = "hmac")]
    pub fn hash_account_ids(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.accounts = AccountIds::Hashed(Key::new(key.into()));
        self
    }
}
