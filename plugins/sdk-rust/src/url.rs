//! Texts as parts of a URL.

use crate::Failure;

/// `text` with everything but RFC 3986's unreserved characters percent-encoded.
pub fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    push_encoded(&mut encoded, text);
    encoded
}

pub(crate) fn push_encoded(out: &mut String, text: &str) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

/// `text` as one segment of a URL's path. Nothing, `.` and `..` are refused: they would change which
/// resource the URL means, however they are encoded.
pub fn segment(text: &str) -> Result<String, Failure> {
    if matches!(text, "" | "." | "..") {
        return Err(Failure::mapping(format!(
            "{text:?} cannot be a part of the destination's URL"
        )));
    }
    Ok(encode(text))
}

/// A URL with texts as path segments: `url!("https://api.acme.example/lists/{}", id)?`. The result is
/// a `Result<String, Failure>`; see [`segment`](crate::url::segment) for what is refused.
#[macro_export]
macro_rules! url {
    ($template:literal $(, $segment:expr)* $(,)?) => {
        (|| -> ::core::result::Result<::std::string::String, $crate::Failure> {
            Ok(::std::format!($template $(, $crate::url::segment(::core::convert::AsRef::<str>::as_ref(&$segment))?)*))
        })()
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_segment_cannot_leave_its_place() {
        let url = |id: &str| url!("https://a.example/lists/{}/members", id);
        assert_eq!(url("7").unwrap(), "https://a.example/lists/7/members");
        assert_eq!(
            url("a/b?c=é#").unwrap(),
            "https://a.example/lists/a%2Fb%3Fc%3D%C3%A9%23/members"
        );
        assert_eq!(url("...").unwrap(), "https://a.example/lists/.../members");
        for refused in ["", ".", ".."] {
            assert!(url(refused).is_err(), "{refused:?}");
        }
    }
}
