//! Names to addresses, and the guard in between. The HTTP client asks here for every connection
//! that it opens and dials what it is given, so that the address that was vetted is the one dialed:
//! nothing resolves a second time behind the guard.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolving};
use tokio::sync::Semaphore;

use crate::guard;

/// Names to addresses. The system's resolver in production; tests answer by themselves.
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of a host name.
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// System lookups under way at once. Each holds a thread until the system gives up, so names whose
/// servers are dead must not take all threads away from the others.
const MAX_LOOKUPS: usize = 64;

type Lookup = Shared<BoxFuture<'static, Result<Arc<[IpAddr]>, Arc<io::Error>>>>;

/// The system's resolver. Callers who want the same name at the same time share one lookup.
#[derive(Clone)]
pub(crate) struct SystemResolver {
    under_way: Arc<Mutex<HashMap<String, Lookup>>>,
    turns: Arc<Semaphore>,
}

impl SystemResolver {
    pub fn new() -> Self {
        Self {
            under_way: Arc::default(),
            turns: Arc::new(Semaphore::new(MAX_LOOKUPS)),
        }
    }

    fn start(&self, host: String) -> Lookup {
        let Self { under_way, turns } = self.clone();
        // A task of its own: a caller that gives up takes neither the turn nor the answer with it.
        let task = tokio::spawn(async move {
            let _turn = turns.acquire_owned().await.map_err(io::Error::other);
            let found = tokio::net::lookup_host((host.as_str(), 0)).await;
            under_way
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remove(&host);
            found.map(|found| found.map(|address| address.ip()).collect::<Arc<[_]>>())
        });
        async move {
            task.await
                .unwrap_or_else(|error| Err(io::Error::other(error)))
                .map_err(Arc::new)
        }
        .boxed()
        .shared()
    }
}

impl Resolve for SystemResolver {
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let lookup = {
            let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            under_way
                .entry(host.to_owned())
                .or_insert_with(|| self.start(host.to_owned()))
                .clone()
        };
        lookup
            .map(|found| {
                found
                    .map(|found| found.to_vec())
                    .map_err(|error| io::Error::new(error.kind(), error.to_string()))
            })
            .boxed()
    }
}

/// Resolves for the HTTP client and lets only vetted addresses through.
pub(crate) struct Vetted {
    pub resolver: Arc<dyn Resolve>,
    /// The networks that the operator opened; `None` for the operator's own routes, which may lead
    /// anywhere.
    pub allowed: Option<Arc<[IpNet]>>,
}

impl reqwest::dns::Resolve for Vetted {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let found = self.resolver.resolve(&host);
        let allowed = self.allowed.clone();
        Box::pin(async move {
            let found = found.await?;
            let vetted = match allowed {
                Some(allowed) => vet(&host, found, &allowed)?,
                None => found,
            };
            // Port 0 stands for the port of the URL.
            Ok(Box::new(vetted.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

/// A name none of whose addresses may be dialed. The addresses themselves stay untold: what a name
/// means inside the operator's network is not the tenant's business.
#[derive(Debug, thiserror::Error)]
#[error("the name {host} leads to {what}, where requests may not go")]
pub(crate) struct Blocked {
    host: String,
    what: &'static str,
}

fn vet(
    host: &str,
    found: Vec<IpAddr>,
    allowed: &[IpNet],
) -> Result<Vec<IpAddr>, Box<dyn std::error::Error + Send + Sync>> {
    let mut objection = None;
    let vetted: Vec<IpAddr> = found
        .into_iter()
        .filter(|address| match guard::objection(*address, allowed) {
            Some(what) => {
                objection = Some(what);
                false
            }
            None => true,
        })
        .collect();
    match objection {
        Some(what) if vetted.is_empty() => Err(Box::new(Blocked {
            host: host.to_owned(),
            what,
        })),
        None if vetted.is_empty() => Err("no address found".into()),
        _ => Ok(vetted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn of_a_mixed_answer_only_the_public_addresses_remain() {
        let mixed = addresses(&[
            "10.0.0.1",
            "93.184.216.34",
            "::1",
            "2606:4700::1111",
            "::ffff:127.0.0.1",
        ]);
        assert_eq!(
            vet("mixed.test", mixed, &[]).unwrap(),
            addresses(&["93.184.216.34", "2606:4700::1111"])
        );
    }

    #[test]
    fn a_name_with_private_addresses_alone_is_blocked_without_telling_them() {
        let error = vet("inside.test", addresses(&["10.0.0.1"]), &[]).unwrap_err();
        assert!(error.is::<Blocked>());
        assert_eq!(
            error.to_string(),
            "the name inside.test leads to a private network, where requests may not go"
        );
        assert!(!vet("empty.test", Vec::new(), &[]).unwrap_err().is::<Blocked>());
    }

    #[tokio::test]
    async fn the_system_answers_for_names_asked_at_the_same_time() {
        let resolver = SystemResolver::new();
        let (first, second) = tokio::join!(resolver.resolve("localhost"), resolver.resolve("localhost"));
        assert_eq!(first.unwrap(), second.unwrap());
        assert!(resolver.under_way.lock().unwrap().is_empty());
    }
}
