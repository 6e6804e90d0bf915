//! What goes into the store and what comes out, beyond the types of `heddle-core`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use heddle_core::calendar::Day;
use heddle_core::catalog::Catalog;
use heddle_core::delivery::{State, Status, Tally};
use heddle_core::event::Event;
use heddle_core::exchange::Header;
use heddle_core::id::{
    AttemptId, CatalogId, ConnectionId, DeliveryId, EventId, MappingId, OrganisationId, PublishableKeyId,
    ReplayId, RuleId, TermId, WorkspaceId,
};
use heddle_core::ordering::OrderingKey;
use heddle_core::outcome::{Outcome, OutcomeCode};
use heddle_core::quota::Limits;
use heddle_core::replay::{Filter, Progress, Rules};
use heddle_core::retry::Schedule;
use heddle_core::rule::Rule;
use heddle_core::secret::Secret;
use heddle_core::time::Timestamp;

use crate::error::OverQuota;
use crate::lease::Lease;

/// How to open a store. It has no `Debug`: the master key is in it.
#[derive(Clone)]
pub struct StoreConfig {
    /// The database file; made when it is not there, its directory is not.
    pub path: PathBuf,
    /// Seals the secrets. A database is opened with the key that it was made with, or not at all.
    pub master_key: [u8; 32],
    /// Connections that read beside the one that writes; at least one.
    pub readers: usize,
    /// When a commit counts as done.
    pub synchronous: Synchronous,
}

/// When a commit counts as done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// When the disk has it: what is acknowledged survives a loss of power.
    #[default]
    Full,
    /// When the operating system has it: what is acknowledged survives the death of the process.
    Normal,
}

/// A pair of keys by which a back end signs its calls.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct MachineKey {
    /// `mk_…`; the `kid` of the token.
    pub access_key: String,
    pub organisation: OrganisationId,
    pub name: String,
    pub secret: Secret,
    /// The words of what it may do; `None` is everything.
    pub permissions: Option<Vec<String>>,
    /// The only workspaces that it opens, each once; `None` is all of the organization.
    pub workspaces: Option<Arc<[WorkspaceId]>>,
    /// The access key of the caller that made it; `None` is the operator.
    pub created_by: Option<String>,
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
    /// Since when it is refused for good.
    pub revoked_at: Option<Timestamp>,
}

/// The tenant boundary.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Workspace {
    pub id: WorkspaceId,
    pub organisation: OrganisationId,
    /// One of its name in an organization.
    pub name: String,
    pub description: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What became of the wish to delete a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkspaceDeletion {
    /// It is gone; this is what it was.
    Deleted(Workspace),
    /// It has another name than the one that was given.
    OtherName,
    /// There is no such workspace.
    NotFound,
}

/// A step of the removal of what a deleted workspace had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovalStep {
    /// Rows that it deleted.
    pub rows: usize,
    /// Whether nothing is left.
    pub done: bool,
}

/// A key that is safe in a browser: it can emit events into its workspace and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct PublishableKey {
    pub id: PublishableKeyId,
    pub workspace: WorkspaceId,
    pub name: String,
    /// The whole text, `mesh_pub_…`.
    pub key: String,
    /// The origins of the pages that may use it; none is any.
    pub allowed_origins: Vec<String>,
    /// The access key of the caller that made it; `None`: it came with the workspace.
    pub created_by: Option<String>,
    pub created_at: Timestamp,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
}

impl PublishableKey {
    /// Whether it is past its time.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// What a workspace calls one of its events or resources.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Term {
    pub id: TermId,
    pub workspace: WorkspaceId,
    pub kind: TermKind,
    /// One of its key in its kind and workspace: an event's name, or its `resource`.
    pub key: String,
    pub label: String,
    pub description: Option<String>,
    /// Whether it is still to be picked.
    pub active: bool,
    /// `None`: it came with the workspace.
    pub created_by: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The two kinds of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TermKind {
    /// A name of events.
    EventType,
    /// A kind of things that events are about.
    Resource,
}

impl TermKind {
    /// The word in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EventType => "event_type",
            Self::Resource => "resource",
        }
    }

    /// Back from [`Self::as_str`].
    pub fn parse(word: &str) -> Option<Self> {
        [Self::EventType, Self::Resource]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

/// What became of the wish to delete a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionDeletion {
    /// It is gone, its rules with it, and their waiting deliveries are canceled.
    Deleted,
    /// Nothing was deleted: a rule that is active uses it, and `force` was not given.
    HasActiveRules,
    /// This organization has no such connection.
    NotFound,
}

/// A connection's default mapping as it is stored. Version 1 is the generated one, which is not.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct DefaultMapping {
    pub connection: ConnectionId,
    /// Of this version of it.
    pub id: MappingId,
    /// From 2.
    pub version: u32,
    pub name: String,
    /// JSON text that passed `heddle_core::mapping`.
    pub schema: Arc<str>,
    /// That of the catalog which was known when it was written.
    pub catalog_version: Option<String>,
    pub created_by: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What became of the wish to write a default mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MappingWritten {
    /// It is stored.
    Written(DefaultMapping),
    /// It is not: the mapping has this version, and not the one that the caller expected.
    OtherVersion(u32),
    /// This organization has no such connection.
    NotFound,
}

/// A field catalog as it is kept.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub struct CatalogRecord {
    pub id: CatalogId,
    pub connection: ConnectionId,
    /// [`Catalog::version`].
    pub version: String,
    pub catalog: Catalog,
    pub created_by: String,
    pub created_at: Timestamp,
    /// When what it says last changed.
    pub updated_at: Timestamp,
    /// When the destination was last asked.
    pub refreshed_at: Timestamp,
}

/// Which page of which choices.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub struct ChoicesKey {
    pub action: String,
    pub input: String,
    /// Empty without a search.
    pub search: String,
    /// Empty for the first page.
    pub cursor: String,
}

/// A page of choices as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChoicesRecord {
    /// JSON text.
    pub page: String,
    /// When the destination was asked.
    pub refreshed_at: Timestamp,
}

/// What a delivery needs to know to fill a destination's fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MappingMaterial {
    /// The stored schema, if there is one.
    pub schema: Option<Arc<str>>,
    /// The catalog, if it was ever read.
    pub catalog: Option<Catalog>,
}

/// Which rules to list; `None` does not narrow.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct RuleFilter {
    pub workspace: Option<WorkspaceId>,
    pub event: Option<String>,
    pub resource: Option<String>,
    pub resource_id: Option<String>,
}

/// Which events to list; `None` does not narrow.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct EventFilter {
    pub workspace: Option<WorkspaceId>,
    pub event: Option<String>,
    pub resource: Option<String>,
    pub resource_id: Option<String>,
    pub status: Option<Status>,
}

/// Which part of a list.
#[derive(Clone, Debug)]
pub struct Page {
    /// At most this many records.
    pub limit: usize,
    /// `next_cursor` of the page before; `None` is the first page.
    pub cursor: Option<String>,
}

/// A part of a list.
#[derive(Clone, Debug)]
pub struct PageOf<T> {
    /// In the list's order.
    pub records: Vec<T>,
    /// For the page after this one; `None` when this is the last. Matches `^[A-Za-z0-9_-]+$`.
    pub next_cursor: Option<String>,
}

/// An event to accept, with a delivery for each rule that it matched.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Acceptance {
    pub event: Event,
    pub deliveries: Vec<NewDelivery>,
}

/// An acceptance, and what keeps it from happening twice.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Emission {
    pub acceptance: Acceptance,
    /// `None`: it is accepted however often it comes.
    pub once: Option<Once>,
}

/// What an emitter calls its event by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Once {
    /// Of the name, which is the workspace's.
    pub key: [u8; 32],
    /// Of the event: the same name for another event is a mistake.
    pub fingerprint: [u8; 32],
}

/// What became of emissions.
#[derive(Debug)]
pub struct Intake {
    /// In their order.
    pub accepted: Vec<Accepted>,
    /// Those of their deliveries that were claimed in the same commit.
    pub claimed: Vec<Claimed>,
}

/// What became of an emission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is accepted now.
    New(EventRecord),
    /// It was accepted before, as this event.
    Replayed(EventRecord),
    /// Another event has its key.
    KeyTaken,
    /// Its workspace may not have more events this month.
    OverQuota(OverQuota),
}

/// What was done, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Events accepted.
    pub events: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Deliveries made of them, or of a replay with the rules of its time.
    pub deliveries: u64,
    /// Attempts that ended.
    pub attempts: u64,
    /// Attempts that delivered.
    pub delivered: u64,
    /// Attempts after which their delivery was given up.
    pub failed: u64,
}

impl Usage {
    /// Adds more.
    pub fn add(&mut self, more: Self) {
        self.events += more.events;
        self.bytes += more.bytes;
        self.deliveries += more.deliveries;
        self.attempts += more.attempts;
        self.delivered += more.delivered;
        self.failed += more.failed;
    }
}

/// Which usage to report.
#[derive(Clone, Copy, Debug)]
pub struct UsageFilter {
    /// The first day.
    pub from: Day,
    /// The last day.
    pub to: Day,
    /// Of one workspace only.
    pub workspace: Option<WorkspaceId>,
}

/// Usage, by day and by workspace; days and workspaces without any are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct UsageReport {
    pub total: Usage,
    pub days: BTreeMap<Day, Usage>,
    pub workspaces: BTreeMap<WorkspaceId, Usage>,
}

/// What holds where nothing else is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DefaultLimits {
    /// Of each workspace.
    pub workspace: Limits,
    /// The workspaces of an organization; `None` is without limit.
    pub workspaces: Option<u64>,
    /// Events accepted in a calendar month, in UTC, in all workspaces of an organization together.
    pub organisation_events_per_month: Option<u64>,
}

/// A delivery to make. Its connection is the one that its rule names at the commit; when the rule
/// was deleted since it was matched, the delivery is not made.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct NewDelivery {
    pub id: DeliveryId,
    pub rule: RuleId,
    /// Where its rule led when it was matched.
    pub connection: ConnectionId,
    pub state: State,
    /// The line that it stands in; it goes behind those who are in there.
    pub ordering_key: Option<OrderingKey>,
    /// Until when it is claimed in the commit that makes it. It is not, whatever this says, when it stands
    /// in a line, is due later, or its rule leads elsewhere by now.
    pub leased_until: Option<Timestamp>,
}

/// Where a delivery stands in which line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line, which is one of its rule.
    pub key: OrderingKey,
    /// By acceptance; it stays the same when the delivery is tried anew.
    pub number: i64,
}

/// An accepted event without its payload, and how far its deliveries are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct EventRecord {
    pub id: EventId,
    pub workspace: WorkspaceId,
    pub event: String,
    pub resource: String,
    pub resource_id: Option<String>,
    pub created_by: String,
    pub created_at: Timestamp,
    /// What `tally` comes to.
    pub status: Status,
    pub tally: Tally,
    /// When a delivery of it was first claimed.
    pub started_at: Option<Timestamp>,
    /// When the last of its deliveries ended; a replay clears it until that ends.
    pub completed_at: Option<Timestamp>,
}

impl EventRecord {
    /// How many rules it matched.
    pub fn total_rules(&self) -> u32 {
        let Tally {
            pending,
            processing,
            retrying,
            completed,
            failed,
            canceled,
        } = self.tally;
        pending + processing + retrying + completed + failed + canceled
    }
}

/// A delivery: one event × one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct DeliveryRecord {
    pub id: DeliveryId,
    pub event: EventId,
    pub workspace: WorkspaceId,
    /// Stays readable after the rule was deleted.
    pub rule: RuleId,
    pub connection: ConnectionId,
    /// The connection's type.
    pub kind: String,
    pub state: State,
    /// The message of the last attempt that failed.
    pub last_error: Option<String>,
    pub created_at: Timestamp,
    /// When it was first claimed.
    pub started_at: Option<Timestamp>,
    /// When the attempt under way was claimed.
    pub claimed_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// `None`: it is not ordered.
    pub place: Option<Place>,
    /// The event whose delivery by this rule it waits for. Only [`crate::Store::delivery`] and
    /// [`crate::Store::deliveries_of`] say it.
    pub waits_for: Option<EventId>,
}

/// One try of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Attempt {
    pub id: AttemptId,
    /// Counted from 1 over the delivery's whole life.
    pub number: u32,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
    pub outcome_code: OutcomeCode,
    /// A short sentence; the store cuts it at [`MAX_MESSAGE_BYTES`].
    pub message: String,
    /// The last request that was made.
    pub request: Option<RequestSummary>,
    /// The HTTP status of the last answer.
    pub status: Option<u16>,
    /// How many requests were made.
    pub steps: u32,
    /// The last answer, when the caller wants it kept. Lists and [`crate::Store::attempt`] leave it
    /// out; [`crate::Store::response_details`] reads it.
    pub response: Option<ResponseDetails>,
}

/// The longest message of an attempt that is kept, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 4096;

/// The longest URL of an attempt that is kept, in bytes.
pub const MAX_URL_BYTES: usize = 2048;

/// A request as the history shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestSummary {
    /// `POST` and the like.
    pub method: String,
    /// Without its query; the store cuts it at [`MAX_URL_BYTES`].
    pub url: String,
}

/// An answer as the history shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct ResponseDetails {
    pub status: u16,
    pub headers: Vec<Header>,
    pub body: Vec<u8>,
    /// Whether the body was longer than what is kept.
    pub truncated: bool,
}

/// A wish for work of one lane.
#[derive(Clone, Debug)]
pub struct ClaimRequest {
    /// The lane.
    pub connection: ConnectionId,
    /// At most this many deliveries.
    pub limit: usize,
    /// The connection is inactive: only what a person asked for is taken.
    pub forced_only: bool,
}

/// What a lane gave.
#[derive(Clone, Debug)]
pub struct LaneClaim {
    /// The lane.
    pub connection: ConnectionId,
    /// In due order.
    pub claimed: Vec<Claimed>,
    /// When the earliest is due, past or future, of those that the same request could still take.
    pub next_due: Option<Timestamp>,
}

/// A delivery that is the caller's for as long as it keeps the lease.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Claimed {
    pub lease: Lease,
    pub delivery: DeliveryId,
    pub workspace: WorkspaceId,
    pub connection: ConnectionId,
    /// As it is now, not as it was when the event was accepted.
    pub rule: Arc<Rule>,
    pub event: Arc<Event>,
    /// After the claim: `attempt_count` is the number of the attempt to make.
    pub state: State,
}

/// An attempt that ended.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct AttemptRecord {
    pub delivery: DeliveryId,
    pub attempt: Attempt,
    pub outcome: Outcome,
    /// The connection's, by which a next attempt is due.
    pub schedule: Arc<Schedule>,
    /// Draws the jitter.
    pub seed: u64,
    pub now: Timestamp,
}

/// What became of an attempt's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is in the history.
    Recorded {
        /// The delivery after it.
        state: State,
    },
    /// It is not: its lease had lapsed and the delivery has moved on.
    Stale,
}

/// A bulk replay, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Replay {
    pub id: ReplayId,
    pub organisation: OrganisationId,
    pub workspace: WorkspaceId,
    pub rules: Rules,
    pub filter: Filter,
    /// Rows a second.
    pub rate: u32,
    pub progress: Progress,
    /// How many rows it was to look at when it was made: deliveries, or events with current rules.
    pub total: u32,
    /// What it has passed over.
    pub behind: Option<Behind>,
    /// Rows that it has passed over.
    pub processed: u32,
    /// Deliveries that were tried anew.
    pub replayed: u32,
    /// Deliveries that were made by a rule that had none of that event.
    pub created: u32,
    /// Rows at which there was nothing to do (any more): changed since, or their rule deleted.
    pub skipped: u32,
    pub created_by: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub completed_at: Option<Timestamp>,
}

/// How far a replay is: behind this row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// The last delivery or event that it has passed over, by which it goes.
    pub row: [u8; 16],
    /// Of this event, only the deliveries of the rules up to this one are done.
    pub rule: Option<[u8; 16]>,
}

/// A step of a replay: some rows, perhaps none, and how far was looked for them.
#[derive(Clone, Debug)]
pub struct ReplayStep<R> {
    /// The rows.
    pub rows: R,
    /// Where the replay stands after them; `None`: where it stood.
    pub behind: Option<Behind>,
    /// There is nothing behind that.
    pub ends: bool,
}

/// The rows that a replay takes next.
#[derive(Clone, Debug)]
pub enum ReplayRows {
    /// Original rules: these deliveries.
    Deliveries(Vec<DeliveryId>),
    /// Current rules: these events, by id.
    Events(Vec<Event>),
}

/// What is to be done with the rows that a replay took.
#[derive(Clone, Debug)]
pub enum ReplayWork {
    /// Try these anew.
    Deliveries(Vec<DeliveryId>),
    /// Events with the deliveries that the rules of now call for. One that is there already is tried
    /// anew if the filter asks for its status.
    Events(Vec<Acceptance>),
}
