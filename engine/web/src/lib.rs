//! Heddle's API over HTTP, to the published contract.
//!
//! - [`router`] is the list of all routes; every path of the API is in it
//! - `auth` and `keys` say who calls; `extract` reads what they ask; `views` writes the answers
//! - `error` is what can go wrong and the one mapping of it to HTTP; `frame` is around every route
//! - `cors` is for the two ingestion operations alone
//! - `workspaces`, `connections` (with `settings` and `headers`), `integrations`, `rules`, `events` (with `emit`),
//!   `deliveries` and `health` are the operations
//!
//! Whatever an operation looks up, it looks up within the caller's organisation: the ids of another
//! one are ids of nothing.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use heddle_core::retry::Schedule;
use heddle_core::time::Clock;
use heddle_egress::Egress;
use heddle_sandbox::Registry;
use heddle_store::Store;
use tower_http::catch_panic::CatchPanicLayer;

mod auth;
mod connections;
mod cors;
mod deliveries;
mod emit;
mod error;
mod events;
mod extract;
mod frame;
mod headers;
mod health;
mod integrations;
mod keys;
mod rules;
mod settings;
mod views;
mod workspaces;

/// What the API works with.
#[derive(Clone)]
pub struct WebState {
    /// Everything that is stored.
    pub store: Store,
    /// The destinations that can be connected.
    pub plugins: Arc<Registry>,
    /// Asked whether a destination's URL may be called.
    pub egress: Egress,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Fills a buffer with randomness: ids, keys, jitter.
    pub entropy: fn(&mut [u8]),
    /// When deliveries are tried whose connection has no schedule of its own.
    pub schedule: Arc<Schedule>,
    /// The word in publishable keys, such as `live`: letters, digits, `-` and `.`.
    pub environment: String,
}

impl WebState {
    fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        (self.entropy)(&mut bytes);
        bytes
    }
}

type App = Arc<WebState>;

/// The whole API.
pub fn router(state: WebState) -> Router {
    let app: App = Arc::new(state);
    let api = Router::new()
        .route("/workspaces", get(workspaces::list).post(workspaces::create))
        .route(
            "/workspaces/{workspace}",
            get(workspaces::get).put(workspaces::update),
        )
        .route(
            "/workspaces/{workspace}/connections",
            get(workspaces::connections),
        )
        .route("/workspaces/{workspace}/rules", get(workspaces::rules))
        .route("/workspaces/{workspace}/events", get(workspaces::events))
        .route("/integrations", get(integrations::list))
        .route("/connections", get(connections::list).post(connections::create))
        .route(
            "/connections/{connection}",
            get(connections::get)
                .put(connections::update)
                .delete(connections::delete),
        )
        .route("/rules", get(rules::list).post(rules::create))
        .route(
            "/rules/{rule}",
            get(rules::get).put(rules::update).delete(rules::delete),
        )
        .route(
            "/events",
            post(events::create)
                .layer(from_fn(cors::readable))
                .options(cors::preflight)
                .get(events::list),
        )
        .route(
            "/events/bulk",
            post(events::create_many)
                .layer(from_fn(cors::readable))
                .options(cors::preflight),
        )
        .route("/events/{event}", get(events::get))
        .route("/events/{event}/payload", get(events::payload))
        .route("/events/{event}/cancel", post(events::cancel))
        .route("/events/{event}/rules/{rule}/retry", post(deliveries::retry))
        .route("/events/{event}/rules/{rule}/cancel", post(deliveries::cancel))
        .route("/events/{event}/rules/{rule}/attempts", get(deliveries::attempts))
        .route(
            "/events/{event}/rules/{rule}/attempts/{attempt}",
            get(deliveries::attempt),
        )
        .route(
            "/events/{event}/rules/{rule}/attempts/{attempt}/response-details",
            get(deliveries::response_details),
        );
    Router::new()
        .nest("/api/v1", api)
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .fallback(frame::unknown_route)
        .method_not_allowed_fallback(frame::wrong_method)
        .layer(CatchPanicLayer::custom(frame::on_panic))
        .layer(from_fn_with_state(Arc::clone(&app), frame::frame))
        .with_state(app)
}
