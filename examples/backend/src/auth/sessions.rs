//! Sessions: opened, refreshed, ended, and accounts that are locked.

use std::collections::HashMap;

use backend_metrics::{Metrics, labels::SessionEndReason};
use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use uuid::Uuid;

use super::{now, tokens::Claims};

/// How long a session lasts after its log-in or its last refresh.
const SESSION_TIME: TimeDelta = TimeDelta::minutes(30);
/// The most sessions of an account; a further log-in ends the oldest.
pub(super) const MOST_SESSIONS: usize = 10;
/// So many wrong passwords in a row lock an account.
pub(super) const MOST_FAILURES: u32 = 5;
/// How long it stays locked.
const LOCK_TIME: TimeDelta = TimeDelta::minutes(1);

/// The sessions of this process. The gauge of them is stepped under the lock, so it is as many as there are.
#[derive(Debug)]
pub(super) struct Sessions {
    metrics: Metrics,
    /// Accounts that someone tried to log in to. Only those that exist come in, so they are not without end.
    pub(super) holders: Mutex<HashMap<String, Holder>>,
}

/// An account that someone tried to log in to.
#[derive(Debug, Default)]
pub(super) struct Holder {
    /// The oldest first.
    sessions: Vec<Session>,
    failures: u32,
    locked_until: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    pub(super) id: Uuid,
    pub(super) ends: DateTime<Utc>,
    /// How often it was refreshed.
    pub(super) refreshes: u32,
}

impl Sessions {
    pub(super) fn new(metrics: Metrics) -> Self {
        Self { metrics, holders: Mutex::default() }
    }

    /// Opens a session of an account that exists, if the password was right and the account is not locked.
    pub(super) fn open(&self, account: &str, right: bool) -> Option<Session> {
        let now = now(self.metrics);
        let mut holders = self.holders.lock();
        let holder = holders.entry(account.to_owned()).or_default();
        if now < holder.locked_until {
            return None;
        }
        if !right {
            holder.failures += 1;
            if holder.failures == MOST_FAILURES {
                holder.failures = 0;
                holder.locked_until = now + LOCK_TIME;
                self.metrics.track_auth_lockout();
                tracing::warn!(account, "locked after too many wrong passwords");
            }
            return None;
        }
        holder.failures = 0;
        self.end_expired_of(holder, now);
        if holder.sessions.len() == MOST_SESSIONS {
            self.end(holder, 0, SessionEndReason::Revoked);
        }
        let session = Session { id: Uuid::new_v4(), ends: now + SESSION_TIME, refreshes: 0 };
        holder.sessions.push(session);
        self.metrics.track_session_created();
        Some(session)
    }

    /// Whether the session of a token is open.
    pub(super) fn is_open(&self, claims: &Claims) -> bool {
        self.find(&mut self.holders.lock(), claims).is_some()
    }

    /// Has the session of a token go on, if the token was not used before.
    pub(super) fn refresh(&self, claims: &Claims) -> Option<Session> {
        let mut holders = self.holders.lock();
        let (holder, index) = self.find(&mut holders, claims)?;
        if claims.refreshes != holder.sessions[index].refreshes {
            // Two have the token, one of whom stole it; who, nobody knows.
            self.end(holder, index, SessionEndReason::Revoked);
            tracing::warn!(account = claims.sub, "a refresh token was used twice");
            return None;
        }
        let session = &mut holder.sessions[index];
        session.refreshes += 1;
        session.ends = now(self.metrics) + SESSION_TIME;
        Some(*session)
    }

    /// Ends the session of a token, at the wish of its user.
    pub(super) fn log_out(&self, claims: &Claims) {
        let mut holders = self.holders.lock();
        if let Some((holder, index)) = self.find(&mut holders, claims) {
            self.end(holder, index, SessionEndReason::Logout);
        }
    }

    /// Ends the sessions that have expired; gives how many.
    pub(super) fn end_expired(&self) -> u64 {
        let now = now(self.metrics);
        let mut holders = self.holders.lock();
        holders.values_mut().map(|holder| self.end_expired_of(holder, now)).sum()
    }

    fn end_expired_of(&self, holder: &mut Holder, now: DateTime<Utc>) -> u64 {
        let expired = holder.sessions.extract_if(.., |session| session.ends <= now);
        expired.map(|_| self.metrics.track_session_ended(SessionEndReason::Expired)).count() as u64
    }

    /// Where the session of a token is, unless it has ended.
    fn find<'a>(
        &self,
        holders: &'a mut HashMap<String, Holder>,
        claims: &Claims,
    ) -> Option<(&'a mut Holder, usize)> {
        let now = now(self.metrics);
        let holder = holders.get_mut(&claims.sub)?;
        let is_it = |session: &Session| session.id == claims.session && now < session.ends;
        let index = holder.sessions.iter().position(is_it)?;
        Some((holder, index))
    }

    fn end(&self, holder: &mut Holder, index: usize, reason: SessionEndReason) {
        holder.sessions.remove(index);
        self.metrics.track_session_ended(reason);
    }
}
