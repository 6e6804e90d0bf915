//! The wiring: from settings to a running engine. `heddle serve` and the demo start the same one.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use heddle_delivery::{Delivery, Limits, Matching, Pacer, Parts, WatchedClock};
use heddle_egress::{Egress, EgressConfig, Route};
use heddle_sandbox::{Registry, Sandbox, SandboxConfig};
use heddle_store::{Store, StoreConfig, Synchronous};
use heddle_web::{Rates, WebState};
use tokio_util::sync::CancellationToken;

use crate::home::Home;
use crate::machine::{self, SystemClock};
use crate::settings::Settings;
use crate::{bundled, plugin};

/// How often the plugins folder is looked at for a plugin that was installed meanwhile.
const LOOK_FOR_PLUGINS: Duration = Duration::from_secs(2);

/// A running engine without its listener.
pub struct Engine {
    /// Everything that is stored.
    pub store: Store,
    /// The delivering half.
    pub delivery: Delivery,
    /// The API.
    pub router: axum::Router,
    /// The loaded plugins.
    pub plugins: Arc<Registry>,
    watching: CancellationToken,
    _lock: File,
}

/// Opens the store under `home` as a process beside the server may, too.
pub fn open_store(home: &Home, settings: &Settings) -> Result<Store> {
    let synchronous = if settings.synchronous == "normal" {
        Synchronous::Normal
    } else {
        Synchronous::Full
    };
    Store::open(StoreConfig {
        path: home.database(),
        master_key: home.master_key(),
        readers: 4,
        synchronous,
    })
    .with_context(|| format!("opening the database {}", home.database().display()))
}

/// Loads the bundled plugins and those of the plugins folder.
pub fn load_plugins(home: &Home) -> Result<Registry> {
    let config = SandboxConfig {
        cache_dir: Some(home.cache()),
        cache_key: home.cache_key()?,
        ..SandboxConfig::default()
    };
    let sandbox = Sandbox::new(config).context("starting the sandbox")?;
    let adapters = bundled::adapters()?;
    let adapters: Vec<_> = adapters
        .iter()
        .map(|(name, component)| (*name, component.as_slice()))
        .collect();
    Registry::new(sandbox, &adapters, Some(home.plugins())).context("loading the bundled plugins")
}

impl Engine {
    /// Starts everything but the listener.
    pub async fn start(home: &Home, settings: &Settings) -> Result<Self> {
        let lock = home.lock()?;
        let store = open_store(home, settings)?;
        store.set_default_limits(settings.limits);
        let plugins = Arc::new(load_plugins(home)?);
        plugin::report(&plugins);
        let config = egress_config(settings)?;
        let egress = match machine::names() {
            Some(names) => Egress::with_resolver(config, names),
            None => Egress::new(config),
        }
        .context("starting the egress layer")?;
        let clock = WatchedClock::new(Arc::new(SystemClock));
        let schedule = Arc::new(settings.retry_schedule.clone());
        let pacer = Pacer::start();
        let matching = Arc::new(Matching::default());
        let delivery = Delivery::start(Parts {
            store: store.clone(),
            plugins: Arc::clone(&plugins),
            egress: egress.clone(),
            pacer: pacer.clone(),
            matching: Arc::clone(&matching),
            clock: clock.clone(),
            entropy: machine::entropy,
            schedule: Arc::clone(&schedule),
            limits: Limits {
                in_flight: settings.in_flight,
                // An attempt outlives its longest request.
                attempt: Limits::default()
                    .attempt
                    .max(settings.egress_timeout + Duration::from_secs(5)),
                ..Limits::default()
            },
        })
        .await
        .context("taking up deliveries")?;
        let router = heddle_web::router(WebState {
            store: store.clone(),
            intake: delivery.intake(),
            plugins: Arc::clone(&plugins),
            egress,
            pacer,
            matching,
            clock,
            entropy: machine::entropy,
            schedule,
            rates: Arc::new(Rates::new(settings.limit_key_rate)),
            payload_bytes: settings.limit_payload_bytes,
            environment: settings.environment.clone(),
            session_key: home.session_key()?,
            public_url: settings.public_url.clone(),
            live: Arc::default(),
            bodies: Arc::default(),
        });
        let watching = CancellationToken::new();
        tokio::spawn(watch_plugins(Arc::clone(&plugins), watching.clone()));
        Ok(Self {
            store,
            delivery,
            router,
            plugins,
            watching,
            _lock: lock,
        })
    }

    /// Finishes what is in flight within `grace`, then closes the store. Returns whether all of it
    /// finished; what did not is delivered after the next start.
    pub async fn stop(self, grace: Duration) -> bool {
        self.watching.cancel();
        let finished = self.delivery.stop(grace).await;
        self.store.close().await;
        finished
    }
}

/// Takes up plugins that `heddle plugin install` put into the folder.
async fn watch_plugins(plugins: Arc<Registry>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_FOR_PLUGINS) => {}
        }
        let looked = Arc::clone(&plugins);
        // Compiling takes a while, so not on a thread that serves.
        if let Ok(changes) = tokio::task::spawn_blocking(move || looked.rescan()).await
            && !changes.is_empty()
        {
            plugin::report(&plugins);
        }
    }
}

fn egress_config(settings: &Settings) -> Result<EgressConfig> {
    let allow_networks = settings
        .egress_allow_networks
        .iter()
        .map(|network| {
            network.parse().with_context(|| {
                format!("egress_allow_networks: {network:?} is no network; write one such as 10.1.0.0/16")
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let routes = settings
        .egress_routes
        .iter()
        .map(|route| Route::parse(route).with_context(|| format!("egress_routes: {route:?}")))
        .collect::<Result<Vec<_>>>()?;
    for route in &settings.egress_routes {
        tracing::warn!(
            route,
            "EGRESS ROUTE IN FORCE: requests for this host go elsewhere, credentials included"
        );
    }
    if settings.egress_allow_http {
        tracing::warn!("destinations may be called without TLS (egress_allow_http)");
    }
    for network in &settings.egress_allow_networks {
        tracing::warn!(
            network,
            "destinations may be inside this network (egress_allow_networks)"
        );
    }
    Ok(EgressConfig {
        allow_networks,
        allow_http: settings.egress_allow_http,
        routes,
        total_timeout: settings.egress_timeout,
        ..EgressConfig::default()
    })
}
