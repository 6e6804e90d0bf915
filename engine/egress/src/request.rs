//! Reads the request of a plugin as what it is: input from a stranger.

use heddle_core::exchange::{Header, Request};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use reqwest::Url;

use crate::SendError;
use crate::grant::Grant;

/// The longest URL, in bytes.
pub const MAX_URL_BYTES: usize = 8 * 1024;
/// The most headers that a plugin may set.
pub const MAX_HEADERS: usize = 64;
/// The most that the names and values of those headers may have in all, in bytes.
pub const MAX_HEADER_BYTES: usize = 16 * 1024;

const METHODS: [Method; 5] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
];

/// Names of headers that are Heddle's own. Those of the connection and of framing, since a plugin
/// could smuggle a second request with them; those that choose the encoding or the part of an
/// answer, since a secret could come back in a form that is not recognized.
const RESERVED: [&str; 17] = [
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "if-range",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-forwarded-host",
];

/// Whether neither a plugin nor a credential may set this header.
pub(crate) fn is_reserved(name: &HeaderName) -> bool {
    RESERVED.contains(&name.as_str())
}

/// A plugin's request that is well-formed and goes to a declared host; without credentials yet.
#[derive(Debug)]
pub(crate) struct Draft {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
}

/// Checks everything about a request that can be checked without the network.
pub(crate) fn read(request: &Request, grant: &Grant, max_body_bytes: usize) -> Result<Draft, SendError> {
    let method = METHODS
        .into_iter()
        .find(|method| method.as_str() == request.method)
        .ok_or_else(|| SendError::refused("the method is none of GET, POST, PUT, PATCH and DELETE"))?;
    if request.body.len() > max_body_bytes {
        return Err(SendError::refused(format!(
            "the request's body is longer than {max_body_bytes} bytes"
        )));
    }
    let headers = read_headers(&request.headers)?;
    let url = match request.url.strip_prefix("credential:") {
        Some(rest) => match rest.split_once('?') {
            Some((name, query)) => with_query(grant.secret_url(name)?, query)?,
            None => grant.secret_url(rest)?,
        },
        None => read_url(&request.url).map_err(|problem| SendError::refused(format!("the URL {problem}")))?,
    };
    if !grant.allows(&url) {
        let host = authority(&url);
        return Err(SendError::refused(format!(
            "the host {host} is not among those that the plugin declares"
        )));
    }
    Ok(Draft { method, url, headers })
}

/// A secret URL with more in its query, which is all that a plugin may add to it.
fn with_query(mut url: Url, more: &str) -> Result<Url, SendError> {
    if url.as_str().len() + more.len() >= MAX_URL_BYTES {
        return Err(SendError::refused(format!(
            "the URL is longer than {MAX_URL_BYTES} bytes"
        )));
    }
    if more
        .bytes()
        .any(|byte| byte <= b' ' || byte == 0x7f || byte == b'#')
    {
        return Err(SendError::refused(
            "the URL has a space, control character or # in its query",
        ));
    }
    let query = match url.query() {
        None | Some("") => more.to_owned(),
        Some(own) => format!("{own}&{more}"),
    };
    url.set_query(Some(&query));
    Ok(url)
}

/// Reads an absolute URL; the error continues "the URL …" and never repeats it.
pub(crate) fn read_url(text: &str) -> Result<Url, String> {
    if text.len() > MAX_URL_BYTES {
        return Err(format!("is longer than {MAX_URL_BYTES} bytes"));
    }
    // The parser would drop some of these without a word.
    if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f) {
        return Err("has a space or control character".into());
    }
    let mut url = Url::parse(text).map_err(|error| format!("cannot be read: {error}"))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err("must begin with https://".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or password".into());
    }
    if url
        .host_str()
        .is_none_or(|host| host.is_empty() || host.len() > 255)
    {
        return Err("has no usable host name".into());
    }
    url.set_fragment(None);
    Ok(url)
}

/// The host of a URL, with its port unless that is the scheme's own.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn read_headers(headers: &[Header]) -> Result<HeaderMap, SendError> {
    if headers.len() > MAX_HEADERS {
        return Err(SendError::refused(format!(
            "the request has more than {MAX_HEADERS} headers"
        )));
    }
    if headers
        .iter()
        .map(|header| header.name.len() + header.value.len())
        .sum::<usize>()
        > MAX_HEADER_BYTES
    {
        return Err(SendError::refused(format!(
            "the request's headers have more than {MAX_HEADER_BYTES} bytes"
        )));
    }
    let mut map = HeaderMap::with_capacity(headers.len());
    for Header { name, value } in headers {
        let token = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| SendError::refused(format!("{name:?} is no header name")))?;
        if is_reserved(&token) {
            return Err(SendError::refused(format!(
                "the header {token} is set by Heddle itself"
            )));
        }
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| {
            SendError::refused(format!(
                "the header {token} has a line break or control character"
            ))
        })?;
        map.append(token, value);
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, value: &str) -> Header {
        Header {
            name: name.into(),
            value: value.into(),
        }
    }

    #[test]
    fn ordinary_headers_are_kept_in_order_and_in_number() {
        let map = read_headers(&[
            header("X-A", "1"),
            header("x-a", "ü"),
            header("Content-Type", "a/b"),
        ])
        .unwrap();
        let values: Vec<&[u8]> = map.get_all("x-a").iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(values, [&b"1"[..], "ü".as_bytes()]);
    }

    #[test]
    fn headers_that_could_break_out_are_refused() {
        for (name, value) in [
            ("X-A", "a\r\nX-B: b"),
            ("X-A", "a\nb"),
            ("X-A", "a\rb"),
            ("X-A", "a\0b"),
            ("X-A\r\nX-B", "a"),
            ("X A", "a"),
            ("X-Ä", "a"),
            (":authority", "a"),
            ("", "a"),
            ("Host", "evil.test"),
            ("CONTENT-LENGTH", "0"),
            ("Transfer-Encoding", "chunked"),
            ("Connection", "close"),
            ("Accept-Encoding", "identity"),
            ("Range", "bytes=0-3"),
        ] {
            let error = read_headers(&[header(name, value)]).unwrap_err();
            assert_eq!(error.kind, crate::SendErrorKind::Refused, "{name:?}: {value:?}");
            assert!(!error.message.contains(['\r', '\n', '\0']), "{:?}", error.message);
        }
    }

    #[test]
    fn headers_have_limits() {
        assert!(read_headers(&vec![header("X-A", "a"); MAX_HEADERS]).is_ok());
        assert!(read_headers(&vec![header("X-A", "a"); MAX_HEADERS + 1]).is_err());
        assert!(read_headers(&[header("X-A", &"a".repeat(MAX_HEADER_BYTES - 3))]).is_ok());
        assert!(read_headers(&[header("X-A", &"a".repeat(MAX_HEADER_BYTES - 2))]).is_err());
    }

    #[test]
    fn only_plain_absolute_web_urls_are_read() {
        for text in [
            "",
            "/path",
            "api.acme.com",
            "ftp://api.acme.com/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "https://",
            "https://user@api.acme.com/",
            "https://user:password@api.acme.com/",
            "https://:password@api.acme.com/",
            "https://api.acme.com\t/",
            "https://api.acme.com/\r\nHost: x",
            " https://api.acme.com/",
            "https://api.acme.com:99999/",
            "https://a b/",
        ] {
            assert!(read_url(text).is_err(), "{text:?}");
        }
        assert!(read_url(&format!("https://a.test/{}", "x".repeat(MAX_URL_BYTES))).is_err());
        assert!(read_url(&format!("https://{}.test/", "x".repeat(256))).is_err());
        assert_eq!(
            read_url("https://A.test/x?y#z").unwrap().as_str(),
            "https://a.test/x?y"
        );
    }
}
