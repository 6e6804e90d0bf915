//! The operator's detours: requests for one host go to another place instead, for providers'
//! sandboxes and for tests.

use reqwest::Url;

use crate::error::RouteError;
use crate::host::Host;

/// Requests for `host` go to `target_base`. The target is the operator's word: neither the address
/// guard nor the rule of https applies to it.
#[derive(Clone, Debug)]
pub struct Route {
    /// The host as the plugin names it, with a port unless it is the scheme's own.
    pub host: String,
    /// Scheme, host and port to go to. Path and query stay those of the request.
    pub target_base: Url,
}

impl Route {
    /// Reads `api.hubapi.com=http://127.0.0.1:41001`.
    pub fn parse(text: &str) -> Result<Self, RouteError> {
        let fail = |problem| RouteError {
            route: text.to_owned(),
            problem,
        };
        let (host, target) = text.split_once('=').ok_or_else(|| {
            fail("has no '='; write HOST=URL, such as api.example.com=http://127.0.0.1:4000")
        })?;
        let target_base = Url::parse(target.trim())
            .map_err(|_| fail("has a target that is no URL; write http://HOST:PORT"))?;
        let route = Self {
            host: host.trim().to_owned(),
            target_base,
        };
        route.compile().map_err(|error| fail(error.problem))?;
        Ok(route)
    }

    /// Checks what may have been put together by hand.
    pub(crate) fn compile(&self) -> Result<Detour, RouteError> {
        let fail = |problem| RouteError {
            route: format!("{}={}", self.host, self.target_base),
            problem,
        };
        let from = Host::parse(&self.host).ok_or_else(|| fail("does not begin with a host name"))?;
        let to = &self.target_base;
        if !matches!(to.scheme(), "http" | "https") || !to.has_host() {
            return Err(fail("has a target that is neither http nor https"));
        }
        if !to.username().is_empty() || to.password().is_some() {
            return Err(fail("has a user name or password in its target"));
        }
        if to.path() != "/" || to.query().is_some() || to.fragment().is_some() {
            return Err(fail(
                "has a path or query in its target; only scheme, host and port are replaced",
            ));
        }
        Ok(Detour { from, to: to.clone() })
    }
}

/// A route that was checked.
#[derive(Clone)]
pub(crate) struct Detour {
    from: Host,
    to: Url,
}

impl Detour {
    /// Where a request to `url` goes instead; `None` when this route is not for it.
    pub fn target(&self, url: &Url) -> Option<Url> {
        self.from.matches(url).then(|| {
            let mut target = self.to.clone();
            target.set_path(url.path());
            target.set_query(url.query());
            target
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_replaces_scheme_and_authority_and_keeps_path_and_query() {
        let route = Route::parse(" api.hubapi.com = http://127.0.0.1:41001 ")
            .unwrap()
            .compile()
            .unwrap();
        let url = Url::parse("https://API.hubapi.com/crm/v3/a%2Fb/%7Bx%7D?q=1%202&r=+").unwrap();
        let target = route.target(&url).unwrap();
        assert_eq!(
            target.as_str(),
            "http://127.0.0.1:41001/crm/v3/a%2Fb/%7Bx%7D?q=1%202&r=+"
        );
        assert!(
            route
                .target(&Url::parse("https://api.hubapi.com:8443/").unwrap())
                .is_none()
        );
        assert!(
            route
                .target(&Url::parse("https://hubapi.com/").unwrap())
                .is_none()
        );
    }

    #[test]
    fn a_route_that_cannot_be_followed_is_refused_with_the_reason() {
        for (text, reason) in [
            ("api.hubapi.com", "no '='"),
            ("api.hubapi.com=127.0.0.1:41001", "target"),
            ("api.hubapi.com=127.0.0.1", "no URL"),
            ("=http://127.0.0.1", "host name"),
            ("https://api.hubapi.com=http://127.0.0.1", "host name"),
            ("a.test=ftp://127.0.0.1", "neither http nor https"),
            ("a.test=http://u:p@127.0.0.1", "user name"),
            ("a.test=http://127.0.0.1/base", "path or query"),
            ("a.test=http://127.0.0.1/?q", "path or query"),
        ] {
            let error = Route::parse(text).unwrap_err().to_string();
            assert!(error.contains(reason) && error.contains(text), "{text}: {error}");
        }
    }
}
