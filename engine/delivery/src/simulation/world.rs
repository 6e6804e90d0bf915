//! The world of one run: what is set up in it, its clock, its troubles, and the lives of the process.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use heddle_core::connection::{Connection, Health};
use heddle_core::id::{ConnectionId, OrganisationId, PublishableKeyId, RuleId, WorkspaceId};
use heddle_core::ordering::{OnFailure, Order};
use heddle_core::retry::Schedule;
use heddle_core::rule::Rule;
use heddle_core::time::{Clock, Timestamp};
use heddle_egress::{Egress, EgressConfig, Wire};
use heddle_store::{Disk, PublishableKey, Store, StoreConfig, StoreError, Synchronous, Workspace};
use serde_json::{Map, json};
use tempfile::TempDir;
use tokio::sync::Notify;

use super::chance::{Chance, random};
use super::clock::SimulatedClock;
use super::guest::{KINDS, PLUGINS};
use super::ledger::Ledger;
use super::trace::Trace;
use super::weather::Weather;
use crate::{Delivery, Limits, Pacer, Parts, WatchedClock};

/// When the engine's deliveries are tried.
pub const SCHEDULE: &str = "0s,1s,5s,20s,40s";

/// The own schedule of some connections.
pub const SHORT_SCHEDULE: &str = "0s,2s,3s";

/// The names of events.
pub const NAMES: [&str; 2] = ["lesson.completed", "course.bought"];

/// All of a run, shared by the actors in it.
pub struct World {
    pub clock: Arc<SimulatedClock>,
    watched: Mutex<Option<Arc<WatchedClock>>>,
    pub tenants: Tenants,
    chance: Mutex<Chance>,
    storm: Weather,
    weather: Mutex<Weather>,
    ledger: Mutex<Ledger>,
    trace: Mutex<Trace>,
    black_holes: Mutex<BTreeSet<ConnectionId>>,
    directory: TempDir,
    life: AtomicU32,
    dying: AtomicBool,
    death: Notify,
    pub steps_left: AtomicU32,
}

/// What is set up.
pub struct Tenants {
    pub organisation: OrganisationId,
    pub workspaces: Vec<Workspace>,
    pub connections: Vec<Connection>,
    pub rules: Vec<Rule>,
    concurrency: BTreeMap<ConnectionId, u32>,
}

/// The network's way out, which is never taken; made once, since it reads the machine's certificates.
static EGRESS: LazyLock<Egress> = LazyLock::new(|| {
    let config = EgressConfig {
        total_timeout: Duration::from_secs(5),
        ..EgressConfig::default()
    };
    Egress::new(config).expect("the egress layer starts")
});

/// An empty database, made once.
static EMPTY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let directory = scratch();
    let path = directory.path().join("heddle.db");
    let make = || {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime").block_on(async {
            let store = Store::open(config(path.clone())).expect("a database is made");
            store.close().await;
        });
    };
    // Whoever asks for it first may be on a runtime of its own.
    std::thread::scope(|scope| scope.spawn(make).join()).expect("it does not panic");
    std::fs::read(path).expect("the database is there")
});

/// In memory where the machine has a place for that.
fn scratch() -> TempDir {
    let memory = PathBuf::from("/dev/shm");
    let made = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    made.expect("a temporary directory")
}

fn config(path: PathBuf) -> StoreConfig {
    StoreConfig {
        path,
        master_key: [7; 32],
        readers: 2,
        synchronous: Synchronous::Normal,
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// Attempts under way over all connections.
    pub const IN_FLIGHT: usize = 7;

    pub fn new(seed: u64) -> Arc<Self> {
        let mut chance = Chance::new(seed);
        let storm = Weather::of(&mut chance);
        let clock = Arc::new(SimulatedClock::default());
        let directory = scratch();
        std::fs::write(directory.path().join("heddle.db"), &*EMPTY).expect("the database is written");
        let world = Self {
            tenants: Tenants::new(&mut chance, clock.now()),
            clock,
            watched: Mutex::default(),
            steps_left: AtomicU32::new(u32::try_from(chance.between(5, 40)).unwrap_or_default()),
            chance: Mutex::new(chance),
            storm,
            // Nothing fails before it is set up.
            weather: Mutex::default(),
            ledger: Mutex::default(),
            trace: Mutex::default(),
            black_holes: Mutex::default(),
            directory,
            life: AtomicU32::new(0),
            dying: AtomicBool::new(true),
            death: Notify::new(),
        };
        world.note(format_args!("seed {seed}: {storm:?}"));
        Arc::new(world)
    }

    pub fn chance(&self) -> MutexGuard<'_, Chance> {
        locked(&self.chance)
    }

    pub fn weather(&self) -> Weather {
        *locked(&self.weather)
    }

    /// Whether this is a run in which nothing fails.
    pub fn is_fair(&self) -> bool {
        self.storm.is_fair()
    }

    /// Whether this is a run in which reading the database fails.
    pub fn reads_fail(&self) -> bool {
        self.storm.read_fails > 0
    }

    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        locked(&self.ledger)
    }

    pub fn trace(&self) -> MutexGuard<'_, Trace> {
        locked(&self.trace)
    }

    pub fn note(&self, text: fmt::Arguments<'_>) {
        let elapsed = self.clock.elapsed();
        self.trace().note(elapsed, text);
    }

    /// Something happens that must not.
    pub fn violated(&self, text: String) {
        self.note(format_args!("VIOLATION {text}"));
        self.ledger().violations.push(text);
    }

    pub fn now(&self) -> Timestamp {
        // Whoever asks, the process knows what it showed.
        let watched = locked(&self.watched).clone();
        watched.map_or_else(|| self.clock.now(), |watched| watched.now())
    }

    /// The number of the process.
    pub fn life(&self) -> u32 {
        self.life.load(Ordering::Relaxed)
    }

    pub fn concurrency_of(&self, connection: ConnectionId) -> u32 {
        self.tenants
            .concurrency
            .get(&connection)
            .copied()
            .unwrap_or_default()
    }

    pub fn name_of(&self, connection: ConnectionId) -> &str {
        let mut all = self.tenants.connections.iter();
        all.find(|known| known.id == connection)
            .map_or("?", |known| &known.name)
    }

    pub fn is_black_hole(&self, connection: ConnectionId) -> bool {
        locked(&self.black_holes).contains(&connection)
    }

    /// A destination that swallows everything, or one that is there again.
    pub fn turn_black_hole(&self, connection: ConnectionId) -> bool {
        let mut holes = locked(&self.black_holes);
        let opens = holes.insert(connection);
        if !opens {
            holes.remove(&connection);
        }
        opens
    }

    /// Has the process die as soon as the present task waits. Returns whether it does: one that dies
    /// already does not die again.
    pub fn crash(&self, place: &str) -> bool {
        if self.dying.swap(true, Ordering::Relaxed) {
            return false;
        }
        self.note(format_args!("CRASH {place}"));
        self.death.notify_one();
        true
    }

    /// Returns when the process is to die.
    pub async fn death(&self) {
        self.death.notified().await;
    }

    /// A process begins, on its runtime.
    pub fn process_starts(&self) {
        self.clock.process_starts();
        self.life.fetch_add(1, Ordering::Relaxed);
        self.note(format_args!("process {} starts", self.life()));
    }

    /// From here on, things fail, and the process may die.
    pub fn exposed(&self) {
        *locked(&self.weather) = self.storm;
        self.dying.store(false, Ordering::Relaxed);
    }

    /// The process is gone; called on its runtime.
    pub fn process_ends(&self) {
        *locked(&self.watched) = None;
        let down = Duration::from_millis(self.chance().below(20_000));
        self.clock.process_ends(down);
    }

    /// From here on, nothing fails. The clock stays as wrong as it is.
    pub fn calm(&self) {
        *locked(&self.weather) = Weather::default();
        locked(&self.black_holes).clear();
        self.dying.store(true, Ordering::Relaxed);
        self.note(format_args!("calm"));
    }

    /// The database, opened on the present runtime.
    pub fn store(self: &Arc<Self>) -> Store {
        let path = self.directory.path().join("heddle.db");
        let disk = Arc::clone(self) as Arc<dyn Disk>;
        Store::open_simulated(config(path), disk).expect("the database opens")
    }

    /// What the real thing is made of, on the present runtime.
    pub fn parts(self: &Arc<Self>, store: &Store) -> Parts {
        let watched = WatchedClock::new(Arc::clone(&self.clock) as Arc<dyn Clock>);
        *locked(&self.watched) = Some(Arc::clone(&watched));
        Parts {
            store: store.clone(),
            plugins: Arc::clone(&PLUGINS),
            egress: EGRESS.over(Arc::clone(self) as Arc<dyn Wire>),
            pacer: Pacer::start(),
            matching: Arc::default(),
            clock: watched,
            entropy: super::chance::entropy,
            schedule: Arc::new(schedule()),
            limits: Limits {
                in_flight: Self::IN_FLIGHT,
                attempt: Duration::from_secs(12),
                steps: 4,
                kept_response_bytes: 64,
            },
        }
    }

    /// The real thing, on the present runtime.
    pub async fn engine(self: &Arc<Self>, store: &Store) -> Result<Delivery, StoreError> {
        Delivery::start(self.parts(store)).await
    }
}

/// The engine's.
pub fn schedule() -> Schedule {
    SCHEDULE.parse().expect("a schedule")
}

impl Tenants {
    fn new(chance: &mut Chance, now: Timestamp) -> Self {
        let organisation = OrganisationId::new(now, random());
        let mut tenants = Self {
            organisation,
            workspaces: Vec::new(),
            connections: Vec::new(),
            rules: Vec::new(),
            concurrency: BTreeMap::new(),
        };
        for workspace in 0..2 {
            tenants.add_workspace(workspace, now);
            for _ in 0..chance.between(1, 2) {
                tenants.add_connection(chance, workspace, now);
            }
        }
        tenants
    }

    fn add_workspace(&mut self, number: usize, now: Timestamp) {
        self.workspaces.push(Workspace {
            id: WorkspaceId::new(now, random()),
            organisation: self.organisation,
            name: format!("w{number}"),
            description: None,
            created_at: now,
            updated_at: now,
        });
    }

    fn add_connection(&mut self, chance: &mut Chance, workspace: usize, now: Timestamp) {
        let id = ConnectionId::new(now, random());
        let kind = chance.pick(KINDS).expect("there are kinds");
        let number = self.connections.len();
        let mut settings = Map::from_iter([("n".to_owned(), json!(number))]);
        let mut concurrency = kind.concurrency;
        if chance.happens(300) {
            concurrency = 1;
            settings.insert("concurrency".into(), json!(1));
        }
        if chance.happens(300) {
            settings.insert("retry_schedule".into(), json!(SHORT_SCHEDULE));
        }
        self.concurrency.insert(id, concurrency);
        let workspace = self.workspaces[workspace].id;
        let connection = Connection {
            id,
            workspace,
            kind: kind.name.into(),
            name: format!("c{number}"),
            settings,
            secrets: BTreeMap::new(),
            health: Health::Active,
            check: None,
            hidden: false,
            created_by: "mk_sim".into(),
            created_at: now,
            updated_at: now,
        };
        for _ in 0..chance.between(1, 2) {
            let event = match chance.below(3) {
                0 => "*",
                1 => NAMES[0],
                _ => NAMES[1],
            };
            let order = chance.happens(400).then(|| Order {
                key: "payload.who".into(),
                on_failure: match chance.happens(500) {
                    true => OnFailure::Hold,
                    false => OnFailure::Continue,
                },
            });
            self.rules.push(Rule {
                id: RuleId::new(now, random()),
                workspace,
                connection: id,
                kind: kind.name.into(),
                event: event.into(),
                resource: None,
                resource_id: None,
                condition: None,
                order,
                metadata: Map::from_iter([("action".to_owned(), json!("send"))]),
                mapping: None,
                active: true,
                hidden: false,
                created_by: "mk_sim".into(),
                created_at: now,
                updated_at: now,
            });
        }
        self.connections.push(connection);
    }

    /// The ids of the rules, by number.
    pub fn rule_ids(&self) -> Vec<RuleId> {
        self.rules.iter().map(|rule| rule.id).collect()
    }

    /// Writes all of it.
    pub async fn set_up(&self, store: &Store, now: Timestamp) -> Result<(), StoreError> {
        store
            .create_organisation(self.organisation, "Sim".into(), now)
            .await?;
        for workspace in &self.workspaces {
            let key = PublishableKey {
                id: PublishableKeyId::new(now, random()),
                workspace: workspace.id,
                name: "default".into(),
                key: format!("mesh_pub_live_{}", workspace.id),
                allowed_origins: Vec::new(),
                created_by: None,
                created_at: now,
                expires_at: None,
            };
            store.create_workspace(workspace.clone(), key).await?;
        }
        for connection in &self.connections {
            store.create_connection(connection.clone()).await?;
        }
        for rule in &self.rules {
            store.create_rule(rule.clone()).await?;
        }
        Ok(())
    }
}
