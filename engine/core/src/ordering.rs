//! One after another: the deliveries of a rule that have the same key stand in a line, in the order in
//! which their events were accepted, and only one of a line is tried at a time.

use sha2::{Digest, Sha256};

use crate::id::RuleId;

/// How a rule orders its deliveries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The text of the expression that gives the key, as [`crate::condition::Key`] reads it.
    pub key: String,
    /// What becomes of those behind one that has failed.
    pub on_failure: OnFailure,
}

/// What becomes of those behind a delivery that has failed for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// The next one goes on.
    #[default]
    Continue,
    /// They wait until a person tries the failed one again, with success, or cancels it.
    Hold,
}

impl OnFailure {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Continue, Self::Hold];

    /// The word in SQL and in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Hold => "hold",
        }
    }

    /// Back from [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|choice| choice.as_str() == word)
    }
}

/// Which line of a rule a delivery stands in. A digest: however long the value is, it takes as much room
/// in the index, and an address that is a key is not written down a second time. Two values that came to
/// the same one would wait for each other, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OrderingKey([u8; 16]);

impl OrderingKey {
    /// Of a value that the key of a rule came to.
    pub fn of(rule: RuleId, value: &str) -> Self {
        let digest = Sha256::new()
            .chain_update(rule.as_bytes())
            .chain_update(value)
            .finalize();
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        Self(key)
    }

    /// Back from [`Self::as_bytes`].
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// As it is stored.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Where a delivery stands in the line of its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Turn {
    /// In no line: its rule gave it no key, or it is through.
    #[default]
    Free,
    /// It is its turn, and nobody else's of its line.
    Taken,
    /// Another one comes first.
    Waits,
    /// It has failed, and those behind it wait for a person.
    Holds,
}

impl Turn {
    /// The word in SQL, where [`Self::Free`] is `NULL`.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Free => None,
            Self::Taken => Some("taken"),
            Self::Waits => Some("waits"),
            Self::Holds => Some("holds"),
        }
    }

    /// Back from [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Taken, Self::Waits, Self::Holds]
            .into_iter()
            .find(|turn| turn.as_str() == Some(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    #[test]
    fn the_same_value_is_another_key_for_another_rule() {
        let rule = |n| RuleId::new(Timestamp(0), [n; 10]);
        assert_eq!(OrderingKey::of(rule(1), "nina"), OrderingKey::of(rule(1), "nina"));
        assert_ne!(OrderingKey::of(rule(1), "nina"), OrderingKey::of(rule(2), "nina"));
        assert_ne!(OrderingKey::of(rule(1), "nina"), OrderingKey::of(rule(1), "otto"));
    }

    #[test]
    fn words_lead_back() {
        for choice in OnFailure::ALL {
            assert_eq!(OnFailure::parse(choice.as_str()), Some(choice));
        }
        for turn in [Turn::Taken, Turn::Waits, Turn::Holds] {
            assert_eq!(turn.as_str().and_then(Turn::parse), Some(turn));
        }
        assert_eq!((OnFailure::parse("stop"), Turn::parse("free")), (None, None));
    }
}
