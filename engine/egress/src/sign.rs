//! Signatures over the exact bytes of a body.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_PAD_INDIFFERENT};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderName, HeaderValue};
use sha2::{Sha256, Sha512};

use crate::{SendContext, SendError};

/// The scheme that a connection signs by, with its keys.
pub(crate) enum Signer {
    /// <https://www.standardwebhooks.com>: symmetric, version 1. Every key signs; the current one
    /// comes first.
    StandardWebhooks(Vec<Vec<u8>>),
    /// A plain HMAC of the body in a header of the receiver's choice.
    Hmac {
        algorithm: Algorithm,
        key: Vec<u8>,
        header: HeaderName,
        encoding: Encoding,
        prefix: String,
    },
}

/// The hash inside the HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    /// Reads `sha256`, `sha512`, `hmac_sha256` and `hmac_sha512`, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "sha256" | "hmac_sha256" => Some(Self::Sha256),
            "sha512" | "hmac_sha512" => Some(Self::Sha512),
            _ => None,
        }
    }
}

/// How a plain signature is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Hex,
    Base64,
}

impl Encoding {
    /// Reads `hex` and `base64`, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "hex" => Some(Self::Hex),
            "base64" => Some(Self::Base64),
            _ => None,
        }
    }
}

/// The key inside a Standard Webhooks secret: base64, with `whsec_` before it or without.
pub(crate) fn standard_webhooks_key(secret: &str) -> Option<Vec<u8>> {
    let text = secret.strip_prefix("whsec_").unwrap_or(secret);
    STANDARD_PAD_INDIFFERENT
        .decode(text)
        .ok()
        .filter(|key| !key.is_empty())
}

impl Signer {
    /// The headers that sign `body`.
    pub fn headers(
        &self,
        context: &SendContext,
        body: &[u8],
    ) -> Result<Vec<(HeaderName, HeaderValue)>, SendError> {
        match self {
            Self::StandardWebhooks(keys) => {
                let (id, seconds) = (context.delivery_id.as_str(), context.now.seconds().to_string());
                let signatures: Vec<String> = keys
                    .iter()
                    .map(|key| {
                        let parts = [id.as_bytes(), b".", seconds.as_bytes(), b".", body];
                        format!("v1,{}", STANDARD.encode(mac(Algorithm::Sha256, key, &parts)))
                    })
                    .collect();
                Ok(vec![
                    (HeaderName::from_static("webhook-id"), value(id)?),
                    (HeaderName::from_static("webhook-timestamp"), value(&seconds)?),
                    (
                        HeaderName::from_static("webhook-signature"),
                        value(&signatures.join(" "))?,
                    ),
                ])
            }
            Self::Hmac {
                algorithm,
                key,
                header,
                encoding,
                prefix,
            } => {
                let code = mac(*algorithm, key, &[body]);
                let code = match encoding {
                    Encoding::Hex => hex::encode(code),
                    Encoding::Base64 => STANDARD.encode(code),
                };
                Ok(vec![(header.clone(), value(&format!("{prefix}{code}"))?)])
            }
        }
    }
}

fn value(text: &str) -> Result<HeaderValue, SendError> {
    HeaderValue::from_str(text)
        .map_err(|_| SendError::refused("the signature cannot be written into a header"))
}

fn mac(algorithm: Algorithm, key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    fn over<M: Mac + KeyInit>(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
        let mut mac = <M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of any length");
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().to_vec()
    }
    match algorithm {
        Algorithm::Sha256 => over::<Hmac<Sha256>>(key, parts),
        Algorithm::Sha512 => over::<Hmac<Sha512>>(key, parts),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heddle_core::time::Timestamp;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn context() -> SendContext {
        SendContext {
            delivery_id: "msg_p5jXN8AQM9LWM0D4loKWxJek".into(),
            now: Timestamp(1_614_265_330_999),
            answers: crate::Held::default(),
        }
    }

    fn texts(signer: &Signer, body: &[u8]) -> Vec<(String, String)> {
        let headers = signer.headers(&context(), body).unwrap();
        headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect()
    }

    #[test]
    fn the_published_vector_of_standard_webhooks_is_met() {
        let signer = Signer::StandardWebhooks(vec![standard_webhooks_key(SECRET).unwrap()]);
        let headers = texts(&signer, br#"{"test": 2432232314}"#);
        assert_eq!(
            headers[0],
            ("webhook-id".into(), "msg_p5jXN8AQM9LWM0D4loKWxJek".into())
        );
        assert_eq!(headers[1], ("webhook-timestamp".into(), "1614265330".into()));
        assert_eq!(
            headers[2],
            (
                "webhook-signature".into(),
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".into()
            )
        );
    }

    #[test]
    fn a_secret_is_read_with_and_without_its_prefix_and_not_when_it_is_no_base64() {
        assert_eq!(
            standard_webhooks_key(SECRET),
            standard_webhooks_key("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        );
        assert_eq!(standard_webhooks_key("whsec_not base64!"), None);
        assert_eq!(standard_webhooks_key("whsec_"), None);
    }

    #[test]
    fn while_a_secret_is_rotated_out_both_sign() {
        let keys = vec![
            b"new key new key new key!".to_vec(),
            standard_webhooks_key(SECRET).unwrap(),
        ];
        let signature = &texts(&Signer::StandardWebhooks(keys), br#"{"test": 2432232314}"#)[2].1;
        let (new, old) = signature.split_once(' ').unwrap();
        assert!(new.starts_with("v1,") && new != old);
        assert_eq!(old, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    /// RFC 4231, test cases 1, 2 and 6 (a key longer than the block).
    #[test]
    fn the_vectors_of_rfc_4231_are_met() {
        let long_key = [0xaa; 131];
        let cases: [(Algorithm, &[u8], &[u8], &str); 5] = [
            (
                Algorithm::Sha256,
                &[0x0b; 20],
                b"Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                Algorithm::Sha512,
                &[0x0b; 20],
                b"Hi There",
                "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde\
                 daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854",
            ),
            (
                Algorithm::Sha256,
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                Algorithm::Sha512,
                b"Jefe",
                b"what do ya want for nothing?",
                "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
                 9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
            ),
            (
                Algorithm::Sha256,
                &long_key,
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ];
        for (algorithm, key, body, expected) in cases {
            let header = HeaderName::from_static("x-signature");
            let signer = |encoding, prefix: &str| Signer::Hmac {
                algorithm,
                key: key.to_vec(),
                header: header.clone(),
                encoding,
                prefix: prefix.into(),
            };
            assert_eq!(
                texts(&signer(Encoding::Hex, ""), body),
                [("x-signature".into(), expected.into())]
            );
            let base64 = format!("sha={}", STANDARD.encode(hex::decode(expected).unwrap()));
            assert_eq!(
                texts(&signer(Encoding::Base64, "sha="), body),
                [("x-signature".into(), base64)]
            );
        }
    }

    #[test]
    fn algorithms_and_encodings_are_read_in_any_case() {
        for text in ["sha256", "SHA256", "hmac_sha256", "HMAC_SHA256"] {
            assert_eq!(Algorithm::parse(text), Some(Algorithm::Sha256));
        }
        assert_eq!(Algorithm::parse("Hmac_Sha512"), Some(Algorithm::Sha512));
        assert_eq!(Algorithm::parse("md5"), None);
        assert_eq!(Encoding::parse("Base64"), Some(Encoding::Base64));
        assert_eq!(Encoding::parse("base32"), None);
    }
}
