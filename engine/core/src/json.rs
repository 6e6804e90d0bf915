//! JSON from outside, checked once at the door and then kept byte for byte.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};

/// The contract's limit on an event's payload, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 256 * 1024;

/// The contract's limit on nesting.
pub const MAX_DEPTH: usize = 64;

/// With a key that begins so, serde_json's readers take a text for JSON of its own: past the limits
/// here, and not as it is stored and delivered.
const MARKS: &str = "$serde_json::private::";

/// Why a payload was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The contract's 413.
    #[error("payload has {bytes} bytes; the limit is {limit}")]
    TooLong {
        /// How many it has.
        bytes: usize,
        /// How many it may have.
        limit: usize,
    },
    /// The contract's 413.
    #[error("payload is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// Valid JSON, but no object.
    #[error("payload must be a JSON object")]
    NotAnObject,
    /// Anything that JSON readers disagree about, such as a key twice.
    #[error("payload is not acceptable JSON: {0}")]
    Malformed(String),
}

/// Checks the text of a payload: an object of at most `limit` bytes and within the other limits, without a key twice, a lone surrogate
/// or a NUL character, none of which every destination would read alike. The text itself is what is
/// stored and delivered.
pub fn check_payload(text: &str, limit: usize) -> Result<Arc<str>, PayloadError> {
    let bytes = text.len();
    if bytes > limit {
        return Err(PayloadError::TooLong { bytes, limit });
    }
    let text = text.trim_matches([' ', '\t', '\r', '\n']);
    check_text(text)?;
    if !text.starts_with('{') {
        return Err(PayloadError::NotAnObject);
    }
    Ok(text.into())
}

/// Checks any JSON text by the same rules, whatever its outermost value is.
pub fn check_text(text: &str) -> Result<(), PayloadError> {
    if depth(text) > MAX_DEPTH {
        return Err(PayloadError::TooDeep);
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    Strict
        .deserialize(&mut reader)
        .and_then(|()| reader.end())
        .map_err(|error| PayloadError::Malformed(error.to_string()))
}

/// The deepest nesting, counted on the text so that no recursion is spent on it.
fn depth(text: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Walks a JSON value and keeps nothing of it.
#[derive(Clone, Copy)]
struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        if text.contains('\0') {
            Err(E::custom("a string holds the character U+0000"))
        } else {
            Ok(())
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Strict)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut seen = Seen::default();
        while let Some(Key(key)) = members.next_key()? {
            if key.contains('\0') {
                return Err(A::Error::custom("a key holds the character U+0000"));
            }
            if key.starts_with(MARKS) {
                return Err(A::Error::custom(format!(
                    "a key begins with {MARKS}, which stands for something else here"
                )));
            }
            members.next_value_seed(Strict)?;
            if let Err(twice) = seen.add(key) {
                let shown: String = twice.chars().take(64).collect();
                return Err(A::Error::custom(format!(
                    "the key {shown:?} stands twice in one object"
                )));
            }
        }
        Ok(())
    }
}

/// A key; borrowed from the text, unless something in it is escaped.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// The keys of one object. Most have few, which are compared sooner than hashed.
#[derive(Default)]
struct Seen<'a> {
    few: Vec<Cow<'a, str>>,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Seen<'a> {
    const FEW: usize = 12;

    /// Adds a key, or gives it back when it is there.
    fn add(&mut self, key: Cow<'a, str>) -> Result<(), Cow<'a, str>> {
        if self.few.contains(&key) {
            return Err(key);
        }
        if self.few.len() < Self::FEW {
            self.few.push(key);
            return Ok(());
        }
        match self.many.replace(key) {
            Some(twice) => Err(twice),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_that_stands_twice_is_found_among_few_and_among_many() {
        for (count, twice) in [(2, 0), (12, 11), (13, 0), (13, 12), (40, 5), (40, 39)] {
            let object = |again: Option<usize>| {
                let keys = (0..count).chain(again);
                let members: Vec<String> = keys.map(|n| format!("\"key {n}\":{n}")).collect();
                format!("{{{}}}", members.join(","))
            };
            assert_eq!(check_text(&object(None)), Ok(()));
            let found = check_text(&object(Some(twice))).unwrap_err().to_string();
            assert!(
                found.contains(&format!("\"key {twice}\" stands twice")),
                "{found}"
            );
        }
    }

    #[test]
    fn a_payload_is_kept_byte_for_byte() {
        let text = r#"{"b": 1.10,  "a":1e2,"z":{"é":"é"},"big":12345678901234567890}"#;
        assert_eq!(check_payload(text, MAX_PAYLOAD_BYTES).as_deref(), Ok(text));
    }

    #[test]
    fn what_readers_disagree_about_is_refused() {
        let deep = format!("{}{}", "{\"a\":".repeat(65), "1".to_owned() + &"}".repeat(65));
        let cases = [
            (r#"[1]"#.to_owned(), "object"),
            (r#""text""#.into(), "object"),
            (r#"{"a":1,"a":2}"#.into(), "twice"),
            (r#"{"x":{"a":1,"\u0061":2}}"#.into(), "twice"),
            (r#"{"a":"\ud800"}"#.into(), "not acceptable"),
            ("{\"a\":\"\\u0000\"}".into(), "U+0000"),
            ("{\"a\\u0000\":1}".into(), "U+0000"),
            (r#"{"a":1e999}"#.into(), "not acceptable"),
            (r#"{"a":NaN}"#.into(), "not acceptable"),
            (r#"{"a":1,}"#.into(), "not acceptable"),
            (r#"{"a":1} x"#.into(), "not acceptable"),
            (
                r#"{"a":{"$serde_json::private::RawValue":"[[1]]"}}"#.into(),
                "stands for",
            ),
            (
                r#"{"a":{"\u0024serde_json::private::RawValue":"[[1]]"}}"#.into(),
                "stands for",
            ),
            (r#"{"$serde_json::private::Number":"1"}"#.into(), "stands for"),
            ("".into(), "not acceptable"),
            (deep, "deeper"),
            ("[".repeat(100_000), "deeper"),
        ];
        for (text, part) in cases {
            let error = check_payload(&text, MAX_PAYLOAD_BYTES).unwrap_err().to_string();
            assert!(error.contains(part), "{}: {error}", &text[..text.len().min(40)]);
        }
        let brackets_in_text = format!("{{\"a\":\"{}\\\"{}\"}}", "[".repeat(99), "{".repeat(99));
        assert!(check_payload(&brackets_in_text, MAX_PAYLOAD_BYTES).is_ok());
        assert!(matches!(
            check_payload(&format!("{{\"a\":\"{}\"}}", "x".repeat(100)), 100),
            Err(PayloadError::TooLong {
                bytes: 108,
                limit: 100
            })
        ));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = check_payload(&text, MAX_PAYLOAD_BYTES);
        }
    }
}
