//! Throttles: an account that asks for fewer requests, or is not up to those that it gets, is sent
//! fewer. Pure: told the time, and what attempts say.
//!
//! How many deliveries of it are under way at once halves with the first such answer of a batch, and
//! grows by one whenever as many as that went well: additive increase, multiplicative decrease, by which
//! a sender finds what a receiver bears without being told. A wait that the destination names is one for
//! the whole account. It is a `429` without one that makes up pauses of its own, each twice as long as
//! the last.

use std::collections::HashMap;
use std::time::Duration;

use heddle_core::time::Timestamp;

use crate::pace::Key;
use crate::sign::Sign;

/// The pause after a `429` that names none.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest that an account is left alone for one answer. The delivery itself obeys what it was
/// told for longer; but that may have been about this one alone.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// More entries than this, and those that nothing was heard of for an hour are thrown away.
const SWEEP_AT: usize = 1024;
const KEPT: Duration = Duration::from_secs(3600);

/// Goes with a claimed delivery, and comes back with its [`Sign`].
#[derive(Clone, Copy, Debug)]
pub struct Ease {
    /// Whose.
    pub account: Key,
    /// What it bears when it is well.
    pub full: usize,
    /// Whether a 429 is about the account, and not about one channel or person of it.
    pub as_a_whole: bool,
    number: u64,
}

/// All accounts that are sent less than they are said to bear.
#[derive(Debug, Default)]
pub struct Throttles {
    entries: HashMap<Key, Throttle>,
    number: u64,
    sweep_at: usize,
}

#[derive(Debug)]
struct Throttle {
    /// Deliveries under way at once.
    width: usize,
    /// How many went well since it last changed.
    went_well: usize,
    /// Since when, and for how long, there are none.
    pause: Option<(Timestamp, Duration)>,
    /// Pauses in a row.
    pauses: u32,
    /// The number of its last decrease.
    changed: u64,
    heard_at: Timestamp,
}

impl Throttles {
    /// How many deliveries of an account may be under way at once, if that is less than it says.
    pub fn width(&self, account: &Key) -> Option<usize> {
        Some(self.entries.get(account)?.width)
    }

    /// Until when nothing is sent to an account.
    pub fn paused(&self, account: &Key, now: Timestamp) -> Option<Timestamp> {
        let (since, pause) = self.entries.get(account)?.pause?;
        let until = since.plus(pause);
        // A clock that was set back ends it.
        (since <= now && now < until).then_some(until)
    }

    /// A delivery of an account was claimed.
    pub fn claimed(&mut self, account: Key, full: usize, as_a_whole: bool) -> Ease {
        self.number += 1;
        Ease {
            account,
            full,
            as_a_whole,
            number: self.number,
        }
    }

    /// What a claimed delivery says, once. Gives the pause that begins with it, if the account had
    /// none before.
    pub fn ended(&mut self, ease: &Ease, sign: Sign, now: Timestamp) -> Option<Duration> {
        match sign {
            Sign::None | Sign::Down => None,
            Sign::Up => {
                self.went_well(ease, now);
                None
            }
            Sign::Throttled { retry_after } => self.slow_down(ease, retry_after, ease.as_a_whole, now),
            Sign::Strained { retry_after } => self.slow_down(ease, retry_after, retry_after.is_some(), now),
        }
    }

    fn went_well(&mut self, ease: &Ease, now: Timestamp) {
        let Some(throttle) = self.entries.get_mut(&ease.account) else {
            return;
        };
        if ease.number <= throttle.changed {
            return;
        }
        throttle.heard_at = now;
        throttle.pauses = 0;
        throttle.went_well += 1;
        if throttle.went_well >= throttle.width {
            throttle.went_well = 0;
            throttle.width += 1;
        }
        if throttle.width >= ease.full {
            throttle.width = ease.full;
            if self.paused(&ease.account, now).is_none() {
                self.entries.remove(&ease.account);
            }
        }
    }

    fn slow_down(
        &mut self,
        ease: &Ease,
        retry_after: Option<Duration>,
        pauses: bool,
        now: Timestamp,
    ) -> Option<Duration> {
        self.sweep(now);
        let throttle = self.entries.entry(ease.account).or_insert(Throttle {
            width: ease.full,
            went_well: 0,
            pause: None,
            pauses: 0,
            changed: 0,
            heard_at: now,
        });
        throttle.heard_at = now;
        // Those of one batch are answered alike: that is one answer.
        let is_news = ease.number > throttle.changed;
        if is_news {
            self.number += 1;
            throttle.changed = self.number;
            throttle.width = (throttle.width.min(ease.full) / 2).max(1);
            throttle.went_well = 0;
        }
        if !pauses {
            return None;
        }
        let pause = match retry_after {
            Some(asked) => asked,
            None if is_news => FIRST_PAUSE * (1 << throttle.pauses.min(16)),
            None => return None,
        };
        let pause = pause.min(LONGEST_PAUSE);
        throttle.pauses += u32::from(is_news);
        let running = throttle.pause.filter(|(since, _)| *since <= now);
        let ends = |(since, pause): (Timestamp, Duration)| since.plus(pause);
        if running.is_some_and(|running| ends(running) >= now.plus(pause)) {
            return None;
        }
        throttle.pause = Some((now, pause));
        (is_news && throttle.pauses == 1).then_some(pause)
    }

    fn sweep(&mut self, now: Timestamp) {
        if self.entries.len() >= self.sweep_at.max(SWEEP_AT) {
            self.entries
                .retain(|_, throttle| throttle.heard_at.plus(KEPT) > now);
            self.sweep_at = self.entries.len() * 2;
        }
    }
}

#[cfg(test)]
#[path = "throttle_tests.rs"]
mod tests;
