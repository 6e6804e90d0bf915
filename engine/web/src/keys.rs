//! The forms of keys, as the published clients check them.

use heddle_core::id::PublishableKeyId;

/// `^mk_[A-Za-z0-9_-]{22,}$`, at most 128 bytes.
pub fn is_access_key(text: &str) -> bool {
    text.len() <= 128
        && text.strip_prefix("mk_").is_some_and(|rest| {
            rest.len() >= 22
                && rest
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        })
}

/// `^mesh_pub_([A-Za-z0-9\-.]+)_([A-Za-z0-9\-.]+)_([^_]+)$`, at most 256 bytes.
pub fn is_publishable_key(text: &str) -> bool {
    let word = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
    };
    let parts = text
        .strip_prefix("mesh_pub_")
        .map(|rest| rest.split('_').collect::<Vec<_>>());
    text.len() <= 256
        && matches!(parts.as_deref(), Some([environment, id, secret])
            if word(environment) && word(id) && !secret.is_empty())
}

/// `mesh_pub_<environment>_<id>_<secret>` with 160 random bits.
pub fn publishable_key(environment: &str, id: PublishableKeyId, random: [u8; 20]) -> String {
    format!("mesh_pub_{environment}_{}_{}", id.0.simple(), hex::encode(random))
}

#[cfg(test)]
mod tests {
    use heddle_core::time::Timestamp;

    use super::*;

    #[test]
    fn access_keys_have_the_published_form() {
        assert!(is_access_key("mk_AbCdEfGhIjKlMnOpQr-_12"));
        for bad in [
            "mk_short",
            "MK_AbCdEfGhIjKlMnOpQr-_12",
            "mk_AbCdEfGhIjKlMnOpQr-_1 ",
            "",
            "mk_",
        ] {
            assert!(!is_access_key(bad), "{bad}");
        }
        assert!(!is_access_key(&format!("mk_{}", "a".repeat(200))));
    }

    #[test]
    fn a_publishable_key_that_is_made_has_the_published_form() {
        let id = PublishableKeyId::new(Timestamp(1_774_000_000_000), [7; 10]);
        assert!(is_publishable_key(&publishable_key("live", id, [9; 20])));
        for bad in [
            "mesh_pub_live_id",
            "mesh_pub_live_id_",
            "mesh_pub__id_x",
            "mesh_pub_a_b_c_d",
            "pub_a_b_c",
        ] {
            assert!(!is_publishable_key(bad), "{bad}");
        }
    }
}
