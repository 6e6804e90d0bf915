//! What an emitter calls its event by, so that it may send it again without its being accepted again:
//! the header `Idempotency-Key`, the event's own `id`, or a CloudEvent's `source` and `id`.
//!
//! A name belongs to its workspace and to the door that it came through. Whoever reads a page has its
//! publishable key; they must not be able to take a name that a back end is about to use.

use heddle_store::Once;
use http::HeaderMap;
use sha2::{Digest, Sha256};

use crate::caller::Credential;
use crate::emit::Checked;
use crate::error::ApiError;

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 255;

/// What a key must be.
pub const KEY_RULE: &str = "must have 1 to 255 characters of printable ASCII, without spaces at either end";

/// The answer to a name that another event has.
pub const KEY_TAKEN: ApiError = ApiError::Unprocessable {
    code: "idempotency_key_reused",
    message: "This idempotency key was used within the last 24 hours for another event. \
              Send the same event again, or take a new key.",
};

/// A name that came with the event itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// The `id` of Heddle's own format.
    Own(String),
    /// What makes a CloudEvent unique.
    Cloud {
        /// Its `source`.
        source: String,
        /// Its `id`.
        id: String,
    },
}

/// The header as it counts for one event.
#[derive(Clone, Copy, Debug)]
pub struct HeaderKey<'a> {
    /// What was sent.
    pub key: &'a str,
    /// The event's place in a bulk, whose header it is.
    pub place: Option<usize>,
}

/// Whether `text` can be a key.
pub fn is_key(text: &str) -> bool {
    (1..=MAX_KEY_BYTES).contains(&text.len())
        && text.trim() == text
        && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// The header's value, if there is one.
pub fn header(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    match value.to_str() {
        _ if values.next().is_some() => Err(ApiError::invalid("Idempotency-Key", "was sent twice")),
        Ok(key) if is_key(key) => Ok(Some(key.to_owned())),
        _ => Err(ApiError::invalid("Idempotency-Key", KEY_RULE)),
    }
}

/// What keeps this event from being accepted twice. Its own name counts before the header.
pub fn once(credential: Credential, event: &Checked, header: Option<HeaderKey<'_>>) -> Option<Once> {
    let door: &[u8] = if credential == Credential::Machine {
        b"back end"
    } else {
        b"page"
    };
    let key = match (&event.name, header) {
        (Some(Name::Own(name)), _) => digest(&[door, b"key", name.as_bytes()]),
        (Some(Name::Cloud { source, id }), _) => digest(&[door, b"cloud", source.as_bytes(), id.as_bytes()]),
        (None, Some(HeaderKey { key, place: None })) => digest(&[door, b"key", key.as_bytes()]),
        (
            None,
            Some(HeaderKey {
                key,
                place: Some(place),
            }),
        ) => digest(&[door, b"bulk", key.as_bytes(), &place.to_be_bytes()]),
        (None, None) => return None,
    };
    let fingerprint = digest(&[
        event.event.as_bytes(),
        event.resource.as_bytes(),
        event.resource_id.as_deref().unwrap_or_default().as_bytes(),
        event.payload.as_bytes(),
    ]);
    Some(Once { key, fingerprint })
}

/// Each part with its length before it, so that no two lists of parts come to the same bytes.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::caller::Credential::{Machine, Publishable};
    use crate::emit;

    fn sent(text: &str, credential: Credential, key: Option<(&str, Option<usize>)>) -> Option<Once> {
        let key = key.map(|(key, place)| HeaderKey { key, place });
        once(credential, &emit::check(text, 1_000).unwrap(), key)
    }

    #[test]
    fn an_id_and_a_header_are_the_same_name_and_the_id_counts_first() {
        let plain = r#"{"event":"a","payload":{"n":1}}"#;
        let named = r#"{"event":"a","payload":{"n":1},"id":"order-7"}"#;
        let by_header = sent(plain, Publishable, Some(("order-7", None)));
        assert!(by_header.is_some());
        assert_eq!(sent(named, Publishable, None), by_header);
        assert_eq!(sent(named, Publishable, Some(("other", None))), by_header);
        assert_eq!(sent(named, Publishable, Some(("other", Some(3)))), by_header);
        assert_eq!(sent(plain, Publishable, None), None);
    }

    #[test]
    fn doors_places_and_keys_are_told_apart() {
        let text = r#"{"event":"a","payload":{}}"#;
        let keys: Vec<_> = [
            (Publishable, "k", None),
            (Machine, "k", None),
            (Publishable, "k", Some(0)),
            (Publishable, "k", Some(1)),
            (Publishable, "l", Some(1)),
        ]
        .iter()
        .map(|(credential, key, place)| sent(text, *credential, Some((key, *place))).unwrap().key)
        .collect();
        for (n, key) in keys.iter().enumerate() {
            assert!(!keys[..n].contains(key), "{n}");
        }
    }

    #[test]
    fn a_fingerprint_is_of_what_would_be_stored() {
        let print = |text: &str| sent(text, Publishable, Some(("k", None))).unwrap().fingerprint;
        let first = print(r#"{"event":"a","payload":{"n":1}}"#);
        assert_eq!(
            print(r#" {"payload" : {"n":1}, "event":"a", "resource":"global", "type":"event"}"#),
            first
        );
        for other in [
            r#"{"event":"b","payload":{"n":1}}"#,
            r#"{"event":"a","payload":{"n":1.0}}"#,
            r#"{"event":"a","payload":{"n":1},"resource":"course"}"#,
            r#"{"event":"a","payload":{"n":1},"resource_id":"1"}"#,
        ] {
            assert_ne!(print(other), first, "{other}");
        }
        let of = |resource: &str, id: &str| {
            print(&format!(
                r#"{{"event":"a","payload":{{}},"resource":"{resource}","resource_id":"{id}"}}"#
            ))
        };
        assert_ne!(of("ab", "c"), of("a", "bc"));
    }

    #[test]
    fn a_header_that_is_no_key_is_refused() {
        let of = |values: &[&'static [u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("idempotency-key", HeaderValue::from_bytes(value).unwrap());
            }
            header(&headers)
        };
        assert_eq!(of(&[]).unwrap(), None);
        assert_eq!(of(&[b"order 7"]).unwrap().as_deref(), Some("order 7"));
        let long: &'static [u8] = &[b'x'; 256];
        let bad: [&[&'static [u8]]; 5] = [&[b""], &[b"a", b"a"], &["é".as_bytes()], &[long], &[b"a\tb"]];
        for values in bad {
            assert_eq!(of(values).unwrap_err().code(), "invalid_request", "{values:?}");
        }
    }
}
