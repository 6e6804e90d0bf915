//! A host as a URL names it, with its port when that is not the scheme's own.

use reqwest::Url;

/// A host name or literal address in the URL parser's own spelling: lower case, punycode, numbers
/// turned into dotted addresses. Patterns and requests pass through the same parser, so that two
/// spellings of one host are equal and two hosts never are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    name: String,
    /// `None`: the default port of whatever scheme the request has.
    port: Option<u16>,
}

impl Host {
    /// Reads `api.acme.com`, `api.acme.com:8443`, `127.0.0.1:80` or `[::1]:80`.
    pub fn parse(text: &str) -> Option<Self> {
        let foreign = |c: char| c.is_control() || c.is_whitespace() || "/?#@\\%".contains(c);
        if text.is_empty() || text.contains(foreign) {
            return None;
        }
        let url = Url::parse(&format!("https://{text}/")).ok()?;
        // The parser drops `:443`; a port that was written down is meant.
        let port = match text.rsplit_once(':') {
            Some((_, digits)) if !digits.ends_with(']') => Some(digits.parse().ok()?),
            _ => None,
        };
        Some(Self {
            name: url.host_str()?.to_owned(),
            port,
        })
    }

    /// The host of a URL.
    pub fn of(url: &Url) -> Option<Self> {
        Some(Self {
            name: url.host_str()?.to_owned(),
            port: url.port(),
        })
    }

    /// Whether a request to `url` goes to this host.
    pub fn matches(&self, url: &Url) -> bool {
        let default = match url.scheme() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        url.host_str() == Some(self.name.as_str()) && url.port_or_known_default() == self.port.or(default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(host: &str, url: &str) -> bool {
        Host::parse(host).unwrap().matches(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_host_is_the_same_host_in_any_case_and_with_the_default_port_written_out() {
        assert!(matches("api.acme.com", "https://API.Acme.Com/x"));
        assert!(matches("api.acme.com", "https://api.acme.com:443/"));
        assert!(matches("api.acme.com:443", "https://api.acme.com/"));
        assert!(matches("API.acme.com", "http://api.acme.com/"));
        assert!(matches("127.0.0.1:8080", "http://127.0.0.1:8080/"));
        assert!(matches("[::1]:8080", "http://[0:0:0:0:0:0:0:1]:8080/"));
        assert!(matches("[::1]", "https://[::1]/"));
    }

    #[test]
    fn another_port_a_suffix_or_a_prefix_is_another_host() {
        for url in [
            "https://api.acme.com:8443/",
            "https://evil-api.acme.com/",
            "https://api.acme.com.evil.test/",
            "https://acme.com/",
            "https://api.acme.com./",
            "https://evil.test/api.acme.com",
            "https://evil.test\\@api.acme.com/",
        ] {
            assert!(!matches("api.acme.com", url), "{url}");
        }
        assert!(!matches("api.acme.com:443", "http://api.acme.com/"));
    }

    #[test]
    fn what_is_more_than_a_host_is_not_read() {
        for text in [
            "", "a/b", "a@b", "a b", "a?b", "a#b", "a\\b", "a:b", "a:70000", "a\nb", "[::1", "%61.com",
        ] {
            assert_eq!(Host::parse(text), None, "{text:?}");
        }
    }
}
