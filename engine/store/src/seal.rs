//! Secrets at rest: sealed with ChaCha20-Poly1305 under the master key. What a sealed value belongs
//! to is authenticated with it, so that a row's secret opens in that row only.

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce};

use crate::error::StoreError;

/// The first byte of a sealed value; another one will mean another way of sealing.
const VERSION: u8 = 1;

const NONCE_BYTES: usize = 12;

/// What a sealed value is, and of which row.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub table: &'static str,
    pub row: &'a [u8],
}

impl Place<'_> {
    /// Unambiguous: no table's name has a NUL.
    fn bytes(&self) -> Vec<u8> {
        [self.table.as_bytes(), &[0], self.row].concat()
    }
}

/// Seals and opens.
#[derive(Clone)]
pub(crate) struct Sealer(ChaCha20Poly1305);

impl Sealer {
    pub fn new(master_key: [u8; 32]) -> Self {
        Self(ChaCha20Poly1305::new(&master_key.into()))
    }

    /// The version, a random nonce and the sealed text.
    pub fn seal(&self, place: Place<'_>, text: &[u8]) -> Result<Vec<u8>, StoreError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|error| StoreError::unavailable(error.to_string()))?;
        let sealed = self
            .0
            .encrypt(
                &Nonce::from(nonce),
                Payload {
                    msg: text,
                    aad: &place.bytes(),
                },
            )
            .map_err(|_| StoreError::broken("a secret is too long to be sealed"))?;
        Ok([&[VERSION], &nonce[..], &sealed].concat())
    }

    /// The text, if it was sealed under this key for this place.
    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        let broken = || StoreError::broken(format!("a sealed value of {} does not open", place.table));
        let Some((&VERSION, rest)) = sealed.split_first() else {
            return Err(broken());
        };
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_BYTES>().ok_or_else(broken)?;
        self.0
            .decrypt(
                &Nonce::from(*nonce),
                Payload {
                    msg: sealed,
                    aad: &place.bytes(),
                },
            )
            .map_err(|_| broken())
    }

    /// [`Self::open`] for text.
    pub fn open_text(&self, place: Place<'_>, sealed: &[u8]) -> Result<String, StoreError> {
        String::from_utf8(self.open(place, sealed)?)
            .map_err(|_| StoreError::broken(format!("a sealed value of {} is no text", place.table)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place<'_> = Place {
        table: "connections",
        row: &[1; 16],
    };

    #[test]
    fn a_sealed_value_opens_in_its_row_and_nowhere_else() {
        let sealer = Sealer::new([7; 32]);
        let sealed = sealer.seal(HERE, b"hunter2").unwrap();
        assert_eq!(sealer.open_text(HERE, &sealed).unwrap(), "hunter2");
        for elsewhere in [
            Place {
                row: &[2; 16],
                ..HERE
            },
            Place {
                table: "machine_keys",
                ..HERE
            },
        ] {
            assert!(sealer.open(elsewhere, &sealed).is_err());
        }
        assert!(Sealer::new([8; 32]).open(HERE, &sealed).is_err());
    }

    #[test]
    fn nothing_that_was_tampered_with_opens_or_panics() {
        let sealer = Sealer::new([7; 32]);
        let sealed = sealer.seal(HERE, b"hunter2").unwrap();
        for byte in 0..sealed.len() {
            let mut tampered = sealed.clone();
            tampered[byte] ^= 1;
            assert!(sealer.open(HERE, &tampered).is_err(), "byte {byte}");
            assert!(sealer.open(HERE, &sealed[..byte]).is_err(), "cut at {byte}");
        }
    }

    #[test]
    fn the_same_secret_never_looks_the_same() {
        let sealer = Sealer::new([7; 32]);
        assert_ne!(
            sealer.seal(HERE, b"hunter2").unwrap(),
            sealer.seal(HERE, b"hunter2").unwrap()
        );
    }
}
