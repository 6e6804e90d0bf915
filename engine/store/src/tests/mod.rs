//! What the store promises, tried through its verbs on a real file.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use heddle_core::connection::{Connection as Destination, Health};
use heddle_core::delivery::State;
use heddle_core::event::Event;
use heddle_core::id::{
    AttemptId, ConnectionId, DeliveryId, EventId, OrganisationId, PublishableKeyId, RuleId, TermId,
    WorkspaceId,
};
use heddle_core::ordering::OrderingKey;
use heddle_core::outcome::{Outcome, OutcomeCode};
use heddle_core::retry::Schedule;
use heddle_core::rule::Rule;
use heddle_core::secret::Secret;
use heddle_core::time::Timestamp;
use serde_json::{Map, json};
use tempfile::TempDir;

use crate::*;

mod at_once;
mod backup;
mod changes;
mod faults;
mod idempotency;
mod keys;
mod left_behind;
mod lifecycle;
mod lines;
mod lists;
mod mappings;
mod opening;
mod property;
mod removals;
mod replays;
mod retention;
mod sessions;
mod set_back;
mod simulated;
mod tenancy;
mod terms;
mod upgrade;
mod usage;
mod walks;

const NOW: Timestamp = Timestamp(1_774_000_000_000);
const MASTER_KEY: [u8; 32] = [7; 32];

fn later(milliseconds: u64) -> Timestamp {
    NOW.plus(Duration::from_millis(milliseconds))
}

/// One that may do everything in its organization.
fn machine_key(access_key: &str, organisation: OrganisationId) -> MachineKey {
    MachineKey {
        access_key: access_key.into(),
        organisation,
        name: "CI".into(),
        secret: Secret::new("hunter2-of-the-machine"),
        permissions: None,
        workspaces: None,
        created_by: None,
        created_at: NOW,
        expires_at: None,
        revoked_at: None,
    }
}

fn schedule() -> Schedule {
    "0s,1s,5s".parse().unwrap()
}

fn config(path: PathBuf) -> StoreConfig {
    StoreConfig {
        path,
        master_key: MASTER_KEY,
        readers: 2,
        synchronous: Synchronous::Normal,
    }
}

/// All of a list, batch by batch; the second is how many batches it took.
async fn all_of<T, F: Future<Output = Result<Batch<T>, StoreError>>>(
    next: impl Fn(Option<Mark>) -> F,
) -> Result<(Vec<T>, usize), StoreError> {
    let (mut all, mut batches, mut mark) = (Vec::new(), 0, None);
    loop {
        let batch = next(mark).await?;
        batches += 1;
        all.extend(batch.records);
        if batch.next.is_none() {
            return Ok((all, batches));
        }
        assert_ne!(mark, batch.next, "it does not go on");
        mark = batch.next;
    }
}

impl Store {
    async fn list_rules(&self, reach: impl Into<Reach>, filter: RuleFilter) -> Result<Vec<Rule>, StoreError> {
        let reach = reach.into();
        let some = |mark| self.some_rules(reach.clone(), filter.clone(), mark);
        Ok(all_of(some).await?.0)
    }

    async fn list_connections(
        &self,
        reach: impl Into<Reach>,
        workspace: Option<WorkspaceId>,
    ) -> Result<Vec<Destination>, StoreError> {
        let reach = reach.into();
        Ok(
            all_of(|mark| self.some_connections(reach.clone(), workspace, mark))
                .await?
                .0,
        )
    }

    async fn list_workspaces(&self, reach: impl Into<Reach>) -> Result<Vec<Workspace>, StoreError> {
        let reach = reach.into();
        Ok(all_of(|mark| self.some_workspaces(reach.clone(), mark)).await?.0)
    }

    /// Accepts events that have no key.
    async fn accept_events(&self, acceptances: Vec<Acceptance>) -> Result<Vec<EventRecord>, StoreError> {
        let emission = |acceptance| Emission {
            acceptance,
            once: None,
        };
        let accepted = self
            .accept(acceptances.into_iter().map(emission).collect())
            .await?
            .accepted;
        let new = |accepted| match accepted {
            Accepted::New(record) => record,
            other => panic!("{other:?}"),
        };
        Ok(accepted.into_iter().map(new).collect())
    }
}

/// A store on a file of its own, and ids in the order of their making.
struct World {
    directory: TempDir,
    store: Store,
    made: AtomicU64,
}

/// An organization with one workspace.
#[derive(Clone, Copy)]
struct Tenant {
    organisation: OrganisationId,
    workspace: WorkspaceId,
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(config(directory.path().join("heddle.db"))).unwrap();
        Self {
            directory,
            store,
            made: AtomicU64::new(0),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("heddle.db")
    }

    fn random(&self) -> [u8; 10] {
        let mut random = [0; 10];
        random[..8].copy_from_slice(&self.made.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        random
    }

    async fn tenant(&self, name: &str) -> Tenant {
        let organisation = OrganisationId::new(NOW, self.random());
        self.store
            .create_organisation(organisation, name.into(), NOW)
            .await
            .unwrap();
        Tenant {
            organisation,
            workspace: self.workspace(organisation, name).await,
        }
    }

    async fn workspace(&self, organisation: OrganisationId, name: &str) -> WorkspaceId {
        let id = WorkspaceId::new(NOW, self.random());
        let workspace = Workspace {
            id,
            organisation,
            name: name.into(),
            description: None,
            created_at: NOW,
            updated_at: NOW,
        };
        let key = PublishableKey {
            id: PublishableKeyId::new(NOW, self.random()),
            workspace: id,
            name: "default".into(),
            key: format!("mesh_pub_live_{id}_secret"),
            allowed_origins: Vec::new(),
            created_by: None,
            created_at: NOW,
            expires_at: None,
        };
        self.store.create_workspace(workspace, key).await.unwrap();
        id
    }

    async fn destination(&self, tenant: Tenant) -> Destination {
        let id = ConnectionId::new(NOW, self.random());
        let destination = Destination {
            id,
            workspace: tenant.workspace,
            kind: "webhook".into(),
            name: format!("Receiver {id}"),
            settings: Map::from_iter([("url".into(), json!("https://example.com/hook"))]),
            secrets: BTreeMap::from([("bearer_token".into(), Secret::new("hunter2-of-the-connection"))]),
            health: Health::Active,
            check: None,
            hidden: false,
            created_by: "mk_test".into(),
            created_at: NOW,
            updated_at: NOW,
        };
        self.store.create_connection(destination.clone()).await.unwrap();
        destination
    }

    async fn rule(&self, destination: &Destination) -> Rule {
        let rule = self.rule_like(destination);
        self.store.create_rule(rule.clone()).await.unwrap();
        rule
    }

    /// A rule that is not made yet.
    fn rule_like(&self, destination: &Destination) -> Rule {
        Rule {
            id: RuleId::new(NOW, self.random()),
            workspace: destination.workspace,
            connection: destination.id,
            kind: destination.kind.clone(),
            event: "lesson.completed".into(),
            resource: None,
            resource_id: None,
            condition: None,
            order: None,
            metadata: Map::from_iter([("action".into(), json!("send_webhook"))]),
            mapping: None,
            active: true,
            hidden: false,
            created_by: "mk_test".into(),
            created_at: NOW,
            updated_at: NOW,
        }
    }

    fn event(&self, workspace: WorkspaceId, at: Timestamp) -> Event {
        Event {
            id: EventId::new(at, self.random()),
            workspace,
            event: "lesson.completed".into(),
            resource: "course".into(),
            resource_id: Some("creator-accelerator".into()),
            payload: r#"{"email":"nina@academyflow.io", "n": 1.0}"#.into(),
            created_by: "mk_test".into(),
            created_at: at,
        }
    }

    fn acceptance<'a>(&self, event: Event, rules: impl IntoIterator<Item = &'a Rule>) -> Acceptance {
        let deliveries = rules
            .into_iter()
            .map(|rule| NewDelivery {
                id: DeliveryId::new(event.created_at, self.random()),
                rule: rule.id,
                connection: rule.connection,
                leased_until: None,
                state: State::new(event.created_at, &schedule(), 1),
                ordering_key: rule
                    .order
                    .as_ref()
                    .and(event.resource_id.as_deref())
                    .map(|key| OrderingKey::of(rule.id, key)),
            })
            .collect();
        Acceptance { event, deliveries }
    }

    /// Accepts an event at `at` that matched these rules.
    async fn accept<'a>(&self, at: Timestamp, rules: impl IntoIterator<Item = &'a Rule>) -> EventRecord {
        let rules: Vec<&Rule> = rules.into_iter().collect();
        let acceptance = self.acceptance(self.event(rules[0].workspace, at), rules.iter().copied());
        self.store
            .accept_events(vec![acceptance])
            .await
            .unwrap()
            .remove(0)
    }

    /// Claims at most `limit` of what is due for a connection, for a minute.
    async fn claim(&self, connection: ConnectionId, limit: usize, now: Timestamp) -> LaneClaim {
        let request = ClaimRequest {
            connection,
            limit,
            forced_only: false,
        };
        self.store
            .claim(vec![request], now, now.plus(Duration::from_secs(60)))
            .await
            .unwrap()
            .remove(0)
    }

    fn attempt(&self, claimed: &Claimed, outcome: Outcome, now: Timestamp) -> AttemptRecord {
        let attempt = Attempt {
            id: AttemptId::new(now, self.random()),
            number: claimed.state.attempt_count,
            started_at: now,
            finished_at: now,
            outcome_code: outcome.code,
            message: outcome.message.clone(),
            request: Some(RequestSummary {
                method: "POST".into(),
                url: "https://example.com/hook".into(),
            }),
            status: Some(503),
            steps: 1,
            response: None,
        };
        let schedule = Arc::new(schedule());
        AttemptRecord {
            delivery: claimed.delivery,
            attempt,
            outcome,
            schedule,
            seed: 1,
            now,
        }
    }

    async fn record(&self, claimed: &Claimed, outcome: Outcome, now: Timestamp) -> Settled {
        self.store
            .record_attempt(self.attempt(claimed, outcome, now))
            .await
            .unwrap()
    }

    /// Runs a query on the writing connection, for what no verb shows.
    async fn query<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> T {
        self.store.inner.writer.between(work).await.unwrap()
    }
}

fn server_error() -> Outcome {
    Outcome::retry(OutcomeCode::RejectedServerError, "The destination answered 503.")
}

fn delivered() -> Outcome {
    Outcome::delivered("The destination answered 200.")
}

fn first_page(limit: usize) -> Page {
    Page { limit, cursor: None }
}

async fn one_rule(world: &World) -> (Tenant, Destination, Rule) {
    let tenant = world.tenant("Academy").await;
    let destination = world.destination(tenant).await;
    let rule = world.rule(&destination).await;
    (tenant, destination, rule)
}

async fn event(world: &World, tenant: Tenant, id: EventId) -> EventRecord {
    world.store.event(tenant.organisation, id).await.unwrap().unwrap()
}

async fn delivery(world: &World, tenant: Tenant, event: EventId, rule: &Rule) -> DeliveryRecord {
    world
        .store
        .delivery(tenant.organisation, event, rule.id)
        .await
        .unwrap()
        .unwrap()
}

async fn health(world: &World, id: ConnectionId) -> Health {
    world
        .store
        .connection_for_delivery(id)
        .await
        .unwrap()
        .unwrap()
        .health
        .clone()
}

/// What is kept of a rule for matching.
fn matched_by(rule: &Rule) -> Rule {
    Rule {
        metadata: Map::new(),
        mapping: None,
        ..rule.clone()
    }
}

/// The rules of a workspace as matching sees them.
async fn rules_of(store: &Store, workspace: WorkspaceId) -> Vec<Rule> {
    let routing = store.rules_of(workspace).await.unwrap();
    routing
        .routes()
        .iter()
        .map(|route| route.rule().clone())
        .collect()
}
