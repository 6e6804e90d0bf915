//! Heddle's API over HTTP, to the published contract.
//!
//! - [`router`] is the whole of it; every path of the API is declared in one list, with the permission
//!   that its callers need
//! - `routes` is how a route is declared, `permission` the words, `auth` and `keys` the credentials,
//!   `caller` what a handler knows of who is there; `extract` reads what they ask, within what `bodies`
//!   has room for; `views` writes the answers
//! - `error` is what can go wrong and the one mapping of it to HTTP; `frame` is around every route
//! - `cors` is for the two ingestion operations alone
//! - `workspaces`, `terms` (event types and resources), `usage`, `limits` (with `rate`, before every route), `machine_keys`, `publishable_keys`, `sessions` (with `session_access` and `session_tokens`), `connections` (with `settings` and `headers`), `integrations`, `rules`, `ingest` (with `sent`,
//!   `emit`, `cloudevents` and `idempotency`), `events`, `deliveries` and `health` are the operations
//! - `live` asks destinations while a caller waits, for `checks`, `choices`, `catalogs` and `mappings`
//!
//! Whatever an operation looks up, it looks up within the caller's reach: ids from outside of it are ids
//! of nothing.

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use heddle_core::retry::Schedule;
use heddle_core::time::Clock;
use heddle_delivery::{Intake, Matching, Pacer};
use heddle_egress::Egress;
use heddle_sandbox::Registry;
use heddle_store::Store;
use tower_http::catch_panic::CatchPanicLayer;

mod auth;
mod bodies;
mod caller;
mod catalogs;
mod checks;
mod choices;
mod cloudevents;
mod connections;
mod cors;
mod deliveries;
mod dry_run;
mod emit;
mod error;
mod events;
mod explain;
mod extract;
mod frame;
mod headers;
mod health;
mod idempotency;
mod ingest;
mod integrations;
mod keys;
mod limits;
mod lists;
mod live;
mod machine_keys;
mod mappings;
mod openapi;
mod ordering;
mod origins;
mod permission;
mod preview;
mod publishable_keys;
mod rate;
mod replays;
mod routes;
mod rules;
mod sent;
mod session_access;
mod session_tokens;
mod sessions;
mod settings;
mod terms;
mod usage;
mod views;
mod workspaces;

pub use bodies::Bodies;
pub use frame::too_many_connections;
pub use live::LiveCalls;
pub use machine_keys::{MAX_WORKSPACES, shown as machine_key};
pub use origins::origin;
pub use permission::{Access, Permission, Permissions, Route};
pub use rate::Rates;

use routes::Routes;

/// What the API works with.
#[derive(Clone)]
pub struct WebState {
    /// Everything that is stored.
    pub store: Store,
    /// Where events come in.
    pub intake: Intake,
    /// The destinations that can be connected.
    pub plugins: Arc<Registry>,
    /// Asked whether a destination's URL may be called.
    pub egress: Egress,
    /// Whose turn it is to send to a destination that states rates.
    pub pacer: Pacer,
    /// Holds events against rules.
    pub matching: Arc<Matching>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Fills a buffer with randomness: ids, keys, jitter.
    pub entropy: fn(&mut [u8]),
    /// When deliveries are tried whose connection has no schedule of its own.
    pub schedule: Arc<Schedule>,
    /// Signs the access tokens of sessions; made from the master key.
    pub session_key: [u8; 32],
    /// Where browsers reach this, such as `https://heddle.example.com`, if it is configured.
    pub public_url: Option<String>,
    /// Counts calls, and holds them against the rate of a credential and of a workspace.
    pub rates: Arc<Rates>,
    /// The most bytes of an event's payload; not above [`heddle_core::json::MAX_PAYLOAD_BYTES`].
    pub payload_bytes: usize,
    /// The word in publishable keys, such as `live`: letters, digits, `-` and `.`.
    pub environment: String,
    /// Who asks destinations how much.
    pub live: Arc<LiveCalls>,
    /// Whose bodies are in memory.
    pub bodies: Arc<Bodies>,
}

impl WebState {
    fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.entropy)(&mut bytes);
        bytes
    }
}

type App = Arc<WebState>;

/// The API below `/api/v1`: every route with the permission that its callers need.
fn api() -> Routes {
    use Permission as P;
    Routes::default()
        .get("/workspaces", P::WorkspacesRead, workspaces::list)
        .post("/workspaces", P::WorkspacesWrite, workspaces::create)
        .get("/workspaces/{workspace}", P::WorkspacesRead, workspaces::get)
        .put("/workspaces/{workspace}", P::WorkspacesWrite, workspaces::update)
        .delete("/workspaces/{workspace}", P::WorkspacesWrite, workspaces::delete)
        .get(
            "/workspaces/{workspace}/connections",
            P::ConnectionsRead,
            workspaces::connections,
        )
        .get("/workspaces/{workspace}/rules", P::RulesRead, workspaces::rules)
        .get(
            "/workspaces/{workspace}/events",
            P::EventsRead,
            workspaces::events,
        )
        .get(
            "/workspaces/{workspace}/publishable-keys",
            P::WorkspacesRead,
            publishable_keys::list,
        )
        .post(
            "/workspaces/{workspace}/publishable-keys",
            P::KeysWrite,
            publishable_keys::create,
        )
        .delete(
            "/workspaces/{workspace}/publishable-keys/{publishable_key}",
            P::KeysWrite,
            publishable_keys::delete,
        )
        .get(
            "/workspaces/{workspace}/event-types",
            P::CatalogRead,
            terms::event_types,
        )
        .post(
            "/workspaces/{workspace}/event-types",
            P::CatalogWrite,
            terms::create_event_type,
        )
        .put(
            "/workspaces/{workspace}/event-types/{event_type}",
            P::CatalogWrite,
            terms::update_event_type,
        )
        .delete(
            "/workspaces/{workspace}/event-types/{event_type}",
            P::CatalogWrite,
            terms::delete_event_type,
        )
        .get(
            "/workspaces/{workspace}/resources",
            P::CatalogRead,
            terms::resources,
        )
        .post(
            "/workspaces/{workspace}/resources",
            P::CatalogWrite,
            terms::create_resource,
        )
        .put(
            "/workspaces/{workspace}/resources/{resource}",
            P::CatalogWrite,
            terms::update_resource,
        )
        .delete(
            "/workspaces/{workspace}/resources/{resource}",
            P::CatalogWrite,
            terms::delete_resource,
        )
        .get("/workspaces/{workspace}/usage", P::UsageRead, usage::of_workspace)
        .get("/workspaces/{workspace}/limits", P::UsageRead, limits::get)
        .put("/workspaces/{workspace}/limits", P::LimitsWrite, limits::update)
        .get("/usage", P::UsageRead, usage::of_organisation)
        .get("/integrations", P::IntegrationsRead, integrations::list)
        .get("/connections", P::ConnectionsRead, connections::list)
        .post("/connections", P::ConnectionsWrite, connections::create)
        .get("/connections/{connection}", P::ConnectionsRead, connections::get)
        .put(
            "/connections/{connection}",
            P::ConnectionsWrite,
            connections::update,
        )
        .delete(
            "/connections/{connection}",
            P::ConnectionsWrite,
            connections::delete,
        )
        .get(
            "/connections/{connection}/actions",
            P::ConnectionsRead,
            choices::actions,
        )
        .get(
            "/connections/{connection}/fields",
            P::ConnectionsRead,
            catalogs::fields,
        )
        .get(
            "/connections/{connection}/mappings/default",
            P::ConnectionsRead,
            mappings::get,
        )
        .put(
            "/connections/{connection}/mappings/default",
            P::ConnectionsWrite,
            mappings::put,
        )
        .post(
            "/connections/{connection}/check",
            P::ConnectionsWrite,
            checks::run_now,
        )
        .get("/rules", P::RulesRead, rules::list)
        .post("/rules", P::RulesCreate, rules::create)
        .post("/rules/dry-run", P::PayloadRead, dry_run::run)
        .get("/rules/{rule}", P::RulesRead, rules::get)
        .put("/rules/{rule}", P::RulesWrite, rules::update)
        .delete("/rules/{rule}", P::RulesWrite, rules::delete)
        .ingest("/events", ingest::create)
        .ingest("/events/bulk", ingest::create_many)
        .get("/events", P::EventsRead, events::list)
        .get("/events/{event}", P::EventsRead, events::get)
        .get("/events/{event}/payload", P::PayloadRead, events::payload)
        .get("/events/{event}/explain", P::PayloadRead, explain::event)
        .post("/events/{event}/cancel", P::EventsRetry, events::cancel)
        .post(
            "/events/{event}/rules/{rule}/retry",
            P::EventsRetry,
            deliveries::retry,
        )
        .post(
            "/events/{event}/rules/{rule}/cancel",
            P::EventsRetry,
            deliveries::cancel,
        )
        .get(
            "/events/{event}/rules/{rule}/attempts",
            P::EventsRead,
            deliveries::attempts,
        )
        .get(
            "/events/{event}/rules/{rule}/attempts/{attempt}",
            P::EventsRead,
            deliveries::attempt,
        )
        .get(
            "/events/{event}/rules/{rule}/attempts/{attempt}/response-details",
            // A destination may repeat in its answer what it was sent.
            P::PayloadRead,
            deliveries::response_details,
        )
        .get("/replays", P::EventsReplay, replays::list)
        .post("/replays", P::EventsReplay, replays::create)
        .post("/replays/preview", P::EventsReplay, replays::preview)
        .get("/replays/{replay}", P::EventsReplay, replays::get)
        .post("/replays/{replay}/pause", P::EventsReplay, replays::pause)
        .post("/replays/{replay}/resume", P::EventsReplay, replays::resume)
        .post("/replays/{replay}/cancel", P::EventsReplay, replays::cancel)
        .get("/sessions", P::SessionsRead, sessions::list)
        .post("/sessions", P::SessionsWrite, sessions::create)
        .post("/sessions/{session}/refresh", P::SessionsWrite, sessions::refresh)
        .delete("/sessions/{session}", P::SessionsWrite, sessions::revoke)
        .get("/keys", P::KeysRead, machine_keys::list)
        .post("/keys", P::KeysWrite, machine_keys::create)
        .delete("/keys/{access_key}", P::KeysWrite, machine_keys::revoke)
}

/// Every route of the API, for tests and documents.
pub fn routes() -> Vec<Route> {
    api().into_parts().1
}

/// The whole API.
pub fn router(state: WebState) -> Router {
    let app: App = Arc::new(state);
    let (api, _) = api().into_parts();
    Router::new()
        .nest("/api/v1", api)
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/openapi.json", get(openapi::json))
        .route("/docs", get(openapi::html))
        .fallback(frame::unknown_route)
        .method_not_allowed_fallback(frame::wrong_method)
        .layer(CatchPanicLayer::custom(frame::on_panic))
        .layer(from_fn_with_state(Arc::clone(&app), frame::frame))
        .with_state(app)
}

#[cfg(test)]
mod access_tests;
