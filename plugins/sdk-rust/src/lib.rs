//! Write a Heddle destination in Rust: a manifest, and straight-line functions with `?`.
//!
//! An adapter is a pure function. It has no network, clock, randomness or secret: it says which
//! request to make next, Heddle makes it, applies the credential, and calls the function again from
//! the start with one reply more. [`Http::send`] hides that: it returns the recorded reply when
//! there is one and otherwise leaves the function with the request.
//!
//! ```
//! use heddle_sdk::prelude::*;
//!
//! struct Acme;
//!
//! impl Adapter for Acme {
//!     const MANIFEST: &'static str = r#"{
//!         "name": "acme", "title": "Acme",
//!         "authentication": {"type": "api_key", "fields": [
//!             {"key": "api_key", "label": "API key", "type": "password", "required": true}]},
//!         "hosts": ["api.acme.example"],
//!         "credentials": [{"name": "api_key", "field": "api_key", "apply": "bearer"}],
//!         "actions": {"add_tag": {"key": "add_tag", "label": "Add tag"}}
//!     }"#;
//!
//!     fn deliver(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
//!         let tag = delivery.input("id")?;
//!         let person = json!({"email": delivery.email()?});
//!         let found = http.send(Request::post("https://api.acme.example/people").json(&person))?;
//!         let id = text_at(&found.success()?.json()?, "/id")?;
//!         let url = url!("https://api.acme.example/people/{}/tags/{}", id, tag)?;
//!         http.send(Request::put(url))?.success()?;
//!         Ok(Receipt::new("tagged").external_id(id))
//!     }
//! }
//!
//! heddle_sdk::export!(Acme); // emits the component's exports, on wasm32 only
//!
//! let run = heddle_sdk::testing::Scene::action("add_tag")
//!     .input("id", "vip")
//!     .reply(200, json!({"id": "p1"}))
//!     .reply(204, json!(null))
//!     .deliver::<Acme>();
//! assert_eq!(run.requests[1].url, "https://api.acme.example/people/p1/tags/vip");
//! assert_eq!(run.done()["external_id"], "p1");
//! ```
//!
//! `docs/writing-an-adapter.md` goes from `cargo new` to a delivered event.

mod answer;
#[doc(hidden)]
pub mod call;
mod failure;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod guest;
mod http;
mod input;
mod mail;
#[cfg(target_arch = "wasm32")]
mod memory;
mod person;
pub mod template;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod time;
pub mod url;

pub use answer::{Account, CatalogField, Choice, Choices, FieldType, Receipt};
pub use failure::{Failure, FailureKind, Stop};
pub use http::{Header, Http, Reply, Request};
pub use input::{Connection, Delivery, Event, Query, address, text_at};
pub use mail::Mailbox;
pub use person::{Person, items, text_of};
pub use serde_json;
pub use time::instant_ms;

/// What most adapters use.
pub mod prelude {
    pub use crate::template::Escape;
    pub use crate::{
        Account, Adapter, CatalogField, Choice, Choices, Connection, Delivery, Failure, FieldType, Http,
        Query, Receipt, Reply, Request, Stop, items, text_at, text_of, url,
    };
    pub use serde_json::{Value, json};
}

/// A destination.
///
/// Every function must be pure: the same input and replies lead to the same requests and the same
/// answer. Do not keep state in statics, and let [`Stop::Send`] pass through with `?`: it is how the
/// request leaves the function.
pub trait Adapter {
    /// The manifest, as JSON; `wit/adapter.wit` documents its members. Most adapters write
    /// `include_str!("../manifest.json")`.
    const MANIFEST: &'static str;

    /// Delivers one event by `delivery.action`.
    fn deliver(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop>;

    /// Whether the connection works. Must leave nothing behind at the destination. A failure that is
    /// permanent before the first request says that the settings cannot work: Heddle refuses them.
    fn check(connection: &Connection, http: &mut Http) -> Result<Account, Stop> {
        let _ = (connection, http);
        Ok(Account::unnamed(
            "this destination has no check; nothing was sent",
        ))
    }

    /// Things to pick from for `query.input` of `query.action`: lists, tags, channels.
    fn choices(query: &Query, http: &mut Http) -> Result<Choices, Stop> {
        let _ = (query, http);
        Err(not_offered("choices"))
    }

    /// The destination's field catalog, for mappings.
    fn fields(query: &Query, http: &mut Http) -> Result<Vec<CatalogField>, Stop> {
        let _ = (query, http);
        Err(not_offered("a field catalog"))
    }
}

fn not_offered(what: &str) -> Stop {
    Failure::permanent(format!("this destination does not offer {what}")).into()
}

/// Emits the component's exports for an [`Adapter`], when compiled for `wasm32`; elsewhere nothing,
/// so that the adapter's tests run natively.
#[macro_export]
macro_rules! export {
    ($adapter:ty) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code)] // The generated exports are `unsafe extern` functions.
        mod __heddle_exports {
            #[allow(unused_imports)]
            use super::*;
            type Plugin = $crate::guest::Exports<$adapter>;
            $crate::guest::export_adapter!(Plugin with_types_in $crate::guest);
        }
    };
}
