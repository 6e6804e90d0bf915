//! Removes secrets from whatever comes back, before the plugin or the history sees it.
//!
//! The rule: every secret of a connection that is applied, in every encoding that an honest
//! receiver might echo it in, is replaced by `[redacted]`, wherever it stands in a reply's headers
//! or body and in error messages. A secret of fewer than [`MIN_SECRET_BYTES`] would turn up by
//! chance all over an answer, so [`Grant::new`](crate::Grant::new) refuses it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem::Finder;

/// The shortest secret that can be told from ordinary text.
pub const MIN_SECRET_BYTES: usize = 4;

const REPLACEMENT: &[u8] = b"[redacted]";

/// Knows what must not be seen.
#[derive(Default)]
pub(crate) struct Redactor {
    needles: Vec<Finder<'static>>,
}

impl Redactor {
    /// Learns a secret and its encodings: JSON, percent, form, HTML and base64.
    pub fn learn(&mut self, secret: &str) {
        if secret.len() < MIN_SECRET_BYTES {
            return;
        }
        self.add(secret.to_owned());
        for ascii in [false, true] {
            let json = json_escaped(secret, ascii);
            self.add(json.replace('/', "\\/"));
            self.add(
                json.replace('<', "\\u003c")
                    .replace('>', "\\u003e")
                    .replace('&', "\\u0026"),
            );
            self.add(json);
        }
        for keep in [&b"-._~"[..], b"-_.!~*'()", b"*-._", PATH_BYTES] {
            let encoded = percent_encoded(secret, keep);
            self.add(encoded.replace("%20", "+"));
            self.add(lower_hex(&encoded));
            self.add(encoded);
        }
        let html = secret
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        self.add(html.replace('"', "&quot;").replace('\'', "&#39;"));
        self.add(html.replace('"', "&#34;").replace('\'', "&#x27;"));
        self.add(html);
        // Without padding: what is found with padding is found without.
        self.add(STANDARD_NO_PAD.encode(secret));
        self.add(URL_SAFE_NO_PAD.encode(secret));
    }

    fn add(&mut self, needle: String) {
        let needle = needle.into_bytes();
        if self.needles.iter().all(|known| known.needle() != needle) {
            self.needles.push(Finder::new(&needle).into_owned());
        }
    }

    /// `text` without the secrets.
    pub fn bytes<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        // All spans are found in the text as it came and then merged, so that of two secrets that
        // overlap no part of either remains.
        let mut spans: Vec<(usize, usize)> = self
            .needles
            .iter()
            .flat_map(|finder| {
                finder
                    .find_iter(text)
                    .map(|start| (start, start + finder.needle().len()))
            })
            .collect();
        if spans.is_empty() {
            return Cow::Borrowed(text);
        }
        spans.sort_unstable();
        let mut clean = Vec::with_capacity(text.len());
        let mut seen = 0;
        for (start, end) in spans {
            if start >= seen {
                // A span that begins where the one before ended continues it.
                if start > seen || seen == 0 {
                    clean.extend_from_slice(&text[seen..start]);
                    clean.extend_from_slice(REPLACEMENT);
                }
                seen = end;
            } else {
                seen = seen.max(end);
            }
        }
        clean.extend_from_slice(&text[seen..]);
        Cow::Owned(clean)
    }

    /// `text` without the secrets.
    pub fn text(&self, text: String) -> String {
        match self.bytes(text.as_bytes()) {
            Cow::Borrowed(_) => text,
            Cow::Owned(clean) => String::from_utf8_lossy(&clean).into_owned(),
        }
    }
}

/// What a path segment may hold as it is (RFC 3986: `pchar` without `%`).
pub(crate) const PATH_BYTES: &[u8] = b"-._~!$&'()*+,;=:@";

/// Percent-encodes everything but letters, digits and the bytes in `keep`.
pub(crate) fn percent_encoded(text: &str, keep: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || keep.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The same percent-encoding with the hexadecimal digits in lower case.
fn lower_hex(encoded: &str) -> String {
    let mut pieces = encoded.split('%');
    let mut lower = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (digits, rest) = piece.split_at(2);
        lower.push('%');
        lower.push_str(&digits.to_ascii_lowercase());
        lower.push_str(rest);
    }
    lower
}

fn json_escaped(text: &str, ascii: bool) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let inner = &quoted[1..quoted.len() - 1];
    if !ascii || inner.is_ascii() {
        return inner.to_owned();
    }
    let mut escaped = String::with_capacity(inner.len() * 2);
    for c in inner.chars() {
        if c.is_ascii() {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    fn knowing(secrets: &[&str]) -> Redactor {
        let mut redactor = Redactor::default();
        secrets.iter().for_each(|secret| redactor.learn(secret));
        redactor
    }

    #[test]
    fn a_secret_disappears_in_every_encoding() {
        let secret = "p/ä\"<s> &'+%?\\";
        let redactor = knowing(&[secret]);
        let go = "p/ä\\\"\\u003cs\\u003e \\u0026'+%?\\\\";
        for echo in [
            secret.to_owned(),
            serde_json::to_string(secret).unwrap(),
            go.to_owned(),
            "p\\/\\u00e4\\\"<s> &'+%?\\\\".to_owned(),
            "p%2F%C3%A4%22%3Cs%3E%20%26%27%2B%25%3F%5C".to_owned(),
            "p%2f%c3%a4%22%3cs%3e%20%26%27%2b%25%3f%5c".to_owned(),
            "p%2F%C3%A4%22%3Cs%3E+%26%27%2B%25%3F%5C".to_owned(),
            "p%2F%C3%A4%22%3Cs%3E%20&'+%25%3F%5C".to_owned(),
            "p/ä&quot;&lt;s&gt; &amp;&#39;+%?\\".to_owned(),
            STANDARD.encode(secret),
            URL_SAFE_NO_PAD.encode(secret),
        ] {
            let clean = redactor.text(format!("before {echo} after"));
            assert!(
                clean.starts_with("before ") && clean.ends_with(" after"),
                "{clean}"
            );
            assert!(
                clean.trim_end_matches(" after").len() <= "before \"[redacted]\"==".len(),
                "{echo}: {clean}"
            );
        }
    }

    #[test]
    fn of_secrets_that_overlap_or_touch_nothing_remains() {
        let redactor = knowing(&["abcdef", "defghi", "ghij"]);
        assert_eq!(redactor.text("<abcdefghi>".into()), "<[redacted]>");
        assert_eq!(redactor.text("<abcdefghij>".into()), "<[redacted]>");
        assert_eq!(redactor.text("abcdefabcdef".into()), "[redacted]");
        assert_eq!(redactor.text("abcdef abcdef".into()), "[redacted] [redacted]");
        assert_eq!(redactor.text("abcdeghi".into()), "abcdeghi");
    }

    #[test]
    fn a_body_that_is_no_text_is_searched_all_the_same() {
        let redactor = knowing(&["secret"]);
        assert_eq!(&*redactor.bytes(b"\xff\x00secret\xfe"), b"\xff\x00[redacted]\xfe");
    }

    #[test]
    fn a_text_without_secrets_is_not_copied() {
        assert!(matches!(knowing(&["secret"]).bytes(b"nothing"), Cow::Borrowed(_)));
        assert!(matches!(knowing(&["abc"]).bytes(b"abcabc"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn whatever_surrounds_it_a_secret_is_gone(before in ".{0,40}", secret in "[a-zA-Z0-9/+=ä]{4,40}", after in ".{0,40}") {
            // A secret that is part of the replacement's own text is a case without meaning.
            prop_assume!(!"[redacted]".contains(&secret));
            let clean = knowing(&[&secret]).text(format!("{before}{secret}{after}"));
            let rest = clean.replace("[redacted]", "\u{0}");
            prop_assert!(!rest.contains(&secret));
        }
    }
}
