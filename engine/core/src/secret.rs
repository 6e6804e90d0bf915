//! A value that must not be seen. Its `Debug` and `Display` are redacted and it is never
//! serialised: reading it takes an explicit [`Secret::reveal`], which is easy to grep for.

use std::fmt;
use std::sync::Arc;

/// A credential of a connection, a machine key's secret, a signing key. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<Arc<str>>) -> Self {
        Self(value.into())
    }

    /// The value itself. Only the egress layer, the sealing code and the token check need it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// What the API and the console show in place of a secret that is set.
pub const MASK: &str = "********";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print_itself() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "Secret(redacted)");
        assert_eq!(secret.reveal(), "hunter2");
    }
}
