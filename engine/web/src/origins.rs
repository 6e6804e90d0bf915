//! Origins of pages: read strictly, compared as browsers write them.

use http::header::{HOST, ORIGIN};
use http::{HeaderMap, Uri};
use serde_json::Value;

use crate::error::ApiError;
use crate::extract::text;

/// The most origins that a session or a key can be limited to.
const MAX_ORIGINS: usize = 10;

/// The origin of an http or https URL, as a browser writes it: in lower case, without the port that
/// goes without saying, without a path. `None` for anything else.
pub fn origin(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok().filter(|_| url.len() <= 2048)?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let authority = uri.authority().filter(|part| !part.as_str().contains('@'))?;
    let host = authority.host().to_ascii_lowercase();
    let inside = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .map(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    let is_name = || {
        let label = |label: &str| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        host.split('.').all(label)
    };
    if !inside.unwrap_or_else(is_name) {
        return None;
    }
    let port_text = &authority.as_str()[authority.host().len()..];
    let port = match port_text.strip_prefix(':') {
        None => default_port,
        Some(text) => text.parse::<u16>().ok().filter(|port| *port > 0)?,
    };
    Some(if port == default_port {
        format!("{scheme}://{host}")
    } else {
        format!("{scheme}://{host}:{port}")
    })
}

/// The value of `allowed_origins`, normalized, each once.
pub fn read(value: &Value) -> Result<Vec<String>, String> {
    let urls = value.as_array().ok_or("must be an array of http or https URLs")?;
    if urls.len() > MAX_ORIGINS {
        return Err(format!("may have at most {MAX_ORIGINS} URLs"));
    }
    let mut origins = Vec::new();
    for url in urls {
        let origin = origin(text(url)?)
            .ok_or("must be http or https URLs without a user, such as https://app.example.com")?;
        if !origins.contains(&origin) {
            origins.push(origin);
        }
    }
    Ok(origins)
}

/// Refuses a browser on a page that is not among `allowed`; none allowed is any. What sends no
/// `Origin` is no page of another site. `own` is where Heddle itself is reached.
pub fn check(headers: &HeaderMap, allowed: &[String], own: Option<&str>) -> Result<(), ApiError> {
    if allowed.is_empty() {
        return Ok(());
    }
    for sent in headers.get_all(ORIGIN) {
        let sent = sent.to_str().ok().and_then(origin);
        let known = sent.is_some_and(|sent| {
            let is_own = || own == Some(sent.as_str()) || is_host(headers, &sent);
            allowed.contains(&sent) || is_own()
        });
        if !known {
            return Err(ApiError::OriginNotAllowed);
        }
    }
    Ok(())
}

/// Whether the request went to the host that the origin names: Heddle's own pages do that.
fn is_host(headers: &HeaderMap, sent: &str) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let own = |scheme: &str| origin(&format!("{scheme}://{}", host?));
    sent.split_once("://")
        .is_some_and(|(scheme, _)| own(scheme).as_deref() == Some(sent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_do() {
        for (url, expected) in [
            ("https://App.Example.com", "https://app.example.com"),
            ("https://app.example.com/", "https://app.example.com"),
            ("https://app.example.com:443/a?b", "https://app.example.com"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("HTTP://127.0.0.1:80", "http://127.0.0.1"),
            ("https://[::1]:8443", "https://[::1]:8443"),
        ] {
            assert_eq!(origin(url).as_deref(), Some(expected), "{url}");
        }
        for bad in [
            "",
            "*",
            "null",
            "app.example.com",
            "https://",
            "ftp://a.example",
            "javascript:alert(1)",
            "https://u:p@a.example",
            "https://*.example.com",
            "https://a.example:0",
            "https://a.example:99999",
            "https://a b.example",
            "https://a..b",
            "//a.example",
            "https://[zz]",
            "https://a.example:",
            "file:///x",
        ] {
            assert_eq!(origin(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_page_is_let_in_from_an_allowed_origin_and_from_heddle_itself() {
        let allowed = ["https://app.example".to_owned()];
        let headers = |origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "heddle.example:8080".parse().unwrap());
            headers.extend(origin.map(|origin| (ORIGIN, origin.parse().unwrap())));
            headers
        };
        let own = Some("https://embed.example");
        for (origin, good) in [
            (None, true),
            (Some("https://app.example"), true),
            (Some("https://embed.example"), true),
            (Some("http://heddle.example:8080"), true),
            (Some("https://evil.example"), false),
            (Some("http://app.example"), false),
            (Some("http://heddle.example"), false),
            (Some("null"), false),
        ] {
            assert_eq!(check(&headers(origin), &allowed, own).is_ok(), good, "{origin:?}");
            assert!(check(&headers(origin), &[], own).is_ok(), "{origin:?}");
        }
    }
}
