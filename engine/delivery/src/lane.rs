//! Lanes and turns: each connection has a lane of its own, so that one slow destination holds up no
//! other, and turns go round the workspaces first, then round the lanes of each, so that a workspace
//! with a thousand connections gets no more than one with a single one. Pure: the dispatcher gives the
//! time and does what the lanes say.
//!
//! Two rules, and nothing else, decide who is next:
//!
//! - **The turn is the workspace's that has been served least**, counted in deliveries claimed while
//!   others waited. Whoever had nothing to do, or could do nothing, begins where the others are: nobody
//!   saves up turns.
//! - **A workspace may have up to three quarters of the places that the others leave.** There is always
//!   something left for whoever comes next, however long the attempts of the first may take; and the
//!   more there are, the more of all places are used.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use heddle_core::id::{ConnectionId, WorkspaceId};
use heddle_core::time::Timestamp;

use crate::pace::Key;

/// The most that one lane claims in one turn, so that every ready lane gets its turn soon.
pub const TURN: usize = 64;

/// The places that a workspace may have of those that the others leave.
fn share(left: usize) -> usize {
    left - left / 4
}

/// Where a lane stands. The number is its place in line among the lanes of its workspace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
    /// Nothing waits, as far as is known.
    #[default]
    Idle,
    /// Nothing may be claimed before this time.
    Later(Timestamp),
    /// It is due; nobody has looked yet whose it is.
    Due,
    /// It waits for its turn.
    Ready(u64),
    /// It has its turn.
    Asked { limit: usize, number: u64 },
    /// It has as much under way as it may.
    Full(u64),
    /// Its account has as much under way as it may.
    Crowded(u64),
    /// Something else leaves it no room.
    Blocked(u64),
}

#[derive(Debug, Default)]
struct Lane {
    workspace: Option<WorkspaceId>,
    /// Asked for, or with the destination.
    in_flight: usize,
    /// The destination is done with them, and they are being recorded.
    recording: usize,
    standing: Standing,
}

#[derive(Debug)]
struct Tenant {
    /// Under way or asked for.
    places: usize,
    /// Deliveries, from where the others were when it began.
    served: u64,
    ready: BTreeMap<u64, ConnectionId>,
}

/// Until when a lane that had its turn, and could not use it, is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Until then, or until more work is announced.
    Until(Timestamp),
    /// Until something of the lane has ended.
    OwnEnd,
    /// Until this account has less under way.
    Account(Key),
    /// Until the next round.
    Round,
}

/// A lane whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The lane.
    pub connection: ConnectionId,
    /// What it may claim at most.
    pub most: usize,
}

/// All lanes with waiting work or work under way. A lane without either is forgotten.
#[derive(Debug)]
pub struct Lanes {
    places: usize,
    in_flight: usize,
    lanes: HashMap<ConnectionId, Lane>,
    /// What is due at some time, earliest first.
    later: BTreeSet<(Timestamp, ConnectionId)>,
    blocked: Vec<ConnectionId>,
    /// The lanes that wait for room of their account, by their place in line.
    crowds: HashMap<Key, BTreeMap<u64, ConnectionId>>,
    tenants: HashMap<WorkspaceId, Tenant>,
    /// The workspaces with ready lanes, least served first.
    order: BTreeSet<(u64, WorkspaceId)>,
    /// How much the workspace was served whose turn was last: where newcomers begin.
    level: u64,
    numbers: u64,
    /// With more tenants than this, those that have nothing are forgotten.
    sweep_at: usize,
    /// A turn was given, and is not answered yet.
    is_asking: bool,
}

impl Lanes {
    /// Lanes for at most `places` deliveries under way at once.
    pub fn new(places: usize) -> Self {
        Self {
            places,
            in_flight: 0,
            lanes: HashMap::new(),
            later: BTreeSet::new(),
            blocked: Vec::new(),
            crowds: HashMap::new(),
            tenants: HashMap::new(),
            order: BTreeSet::new(),
            level: 0,
            numbers: 0,
            sweep_at: 1024,
            is_asking: false,
        }
    }

    /// Work of `connection` is due at `at`, or earlier work is already known.
    pub fn due(&mut self, connection: ConnectionId, at: Timestamp) {
        let known = self.lanes.entry(connection).or_default().standing;
        match known {
            Standing::Idle => self.put_off(connection, at),
            Standing::Later(known) if at < known => self.put_off(connection, at),
            // It is in line, or what its claim finds will say.
            _ => {}
        }
    }

    /// What is due at `now` gets in line; of lanes whose workspace is not known, at most `most` are
    /// given back, to be [`Self::place`]d.
    pub fn arrive(&mut self, now: Timestamp, most: usize) -> Vec<ConnectionId> {
        let mut unknown = Vec::new();
        while let Some((_, connection)) = self.later.first().filter(|(at, _)| *at <= now).copied() {
            let workspace = self.lanes.get(&connection).and_then(|lane| lane.workspace);
            if workspace.is_none() && unknown.len() == most {
                break;
            }
            self.later.pop_first();
            match workspace {
                Some(workspace) => self.line_up(connection, workspace),
                None => {
                    self.lane(connection).standing = Standing::Due;
                    unknown.push(connection);
                }
            }
        }
        unknown
    }

    /// A lane that has [arrived](Self::arrive) is of this workspace.
    pub fn place(&mut self, connection: ConnectionId, workspace: WorkspaceId) {
        if self.lane(connection).standing == Standing::Due {
            self.line_up(connection, workspace);
        }
    }

    /// A new round: lanes that others left no room are looked at again, in their old place. Of those that
    /// wait for their account, as many as `room` says that it has: however many wait, the others are not
    /// touched. Returns how many of these were called, for each account.
    pub fn begin(&mut self, room: impl Fn(&Key) -> usize) -> HashMap<Key, usize> {
        if self.tenants.len() > self.sweep_at {
            // One that is ahead of the others is not forgotten: it would begin anew.
            let level = self.level;
            self.tenants
                .retain(|_, tenant| tenant.places > 0 || !tenant.ready.is_empty() || tenant.served > level);
            self.sweep_at = self.tenants.len() * 2 + 1024;
        }
        for connection in std::mem::take(&mut self.blocked) {
            if let Standing::Blocked(number) = self.lane(connection).standing {
                self.ready(connection, number);
            }
        }
        let (mut first, mut called) = (Vec::new(), HashMap::new());
        self.crowds.retain(|account, crowd| {
            let count = room(account).min(crowd.len());
            if count > 0 {
                first.extend((0..count).map_while(|_| crowd.pop_first()));
                called.insert(*account, count);
            }
            !crowd.is_empty()
        });
        for (number, connection) in first {
            self.ready(connection, number);
        }
        called
    }

    /// Whether lanes wait for room of this account.
    pub fn is_crowded(&self, account: &Key) -> bool {
        self.crowds.contains_key(account)
    }

    /// Whose turn it is. To be answered with [`Self::ask`] or [`Self::pass`] before the next.
    pub fn turn(&mut self) -> Option<Turn> {
        let free = self.places.saturating_sub(self.in_flight);
        if free == 0 {
            return None;
        }
        let room = |tenant: &Tenant| share(free + tenant.places).saturating_sub(tenant.places);
        let (served, workspace, room) = self.order.iter().find_map(|(served, workspace)| {
            let room = room(self.tenants.get(workspace)?);
            (room > 0).then_some((*served, *workspace, room))
        })?;
        self.level = self.level.max(served);
        let tenant = self.tenants.get_mut(&workspace)?;
        let (number, connection) = tenant.ready.pop_first()?;
        if tenant.ready.is_empty() {
            self.order.remove(&(served, workspace));
        }
        self.lane(connection).standing = Standing::Asked { limit: 0, number };
        self.is_asking = true;
        let most = room.min(free).min(TURN);
        Some(Turn { connection, most })
    }

    /// `limit` deliveries of the lane whose turn it is are asked for; their places are taken.
    pub fn ask(&mut self, connection: ConnectionId, limit: usize) {
        self.is_asking = false;
        let lane = self.lane(connection);
        if let Standing::Asked { number, .. } = lane.standing {
            lane.standing = Standing::Asked { limit, number };
            lane.in_flight += limit;
            self.take_places(connection, limit);
        }
    }

    /// The lane whose turn it is can claim nothing.
    pub fn pass(&mut self, connection: ConnectionId, wait: Wait) {
        self.is_asking = false;
        let lane = self.lane(connection);
        let number = match lane.standing {
            Standing::Asked { number, .. } => number,
            _ => 0,
        };
        match wait {
            Wait::Until(at) => self.put_off(connection, at),
            Wait::OwnEnd if lane.in_flight > 0 => lane.standing = Standing::Full(number),
            Wait::OwnEnd | Wait::Round => {
                lane.standing = Standing::Blocked(number);
                self.blocked.push(connection);
            }
            Wait::Account(account) => {
                lane.standing = Standing::Crowded(number);
                self.crowds.entry(account).or_default().insert(number, connection);
            }
        }
    }

    /// A place for a delivery that is only being made, out of turn: where nobody waits for a turn, and
    /// nothing of its lane is due. `has_room` says whether the lane may have more beside so many that are
    /// under way. To be given back by [`Self::answered`] and [`Self::ended`], as if it had been claimed.
    pub fn seat(
        &mut self,
        connection: ConnectionId,
        workspace: WorkspaceId,
        now: Timestamp,
        has_room: impl FnOnce(usize) -> bool,
    ) -> bool {
        if self.is_asking || !self.order.is_empty() {
            return false;
        }
        let (standing, in_flight) = self
            .lanes
            .get(&connection)
            .map_or((Standing::Idle, 0), |lane| (lane.standing, lane.in_flight));
        let nothing_due = match standing {
            Standing::Idle => true,
            Standing::Later(at) => at > now,
            _ => false,
        };
        let (places, served) = self
            .tenants
            .get(&workspace)
            .map_or((0, self.level), |tenant| (tenant.places, tenant.served));
        let free = self.places.saturating_sub(self.in_flight);
        if !nothing_due || free == 0 || share(free + places) <= places || !has_room(in_flight) {
            return false;
        }
        // As if it had been its turn.
        self.level = self.level.max(served);
        let lane = self.lane(connection);
        lane.workspace = Some(workspace);
        lane.in_flight += 1;
        self.take_places(connection, 1);
        true
    }

    /// What is known of the lane's work after a claim replaces what was known before. `taken` of the
    /// deliveries that were asked for are now under way.
    pub fn claimed(&mut self, connection: ConnectionId, taken: usize, next_due: Option<Timestamp>) {
        let lane = self.lane(connection);
        if let Standing::Asked { limit, .. } = lane.standing {
            let unused = limit.saturating_sub(taken);
            lane.in_flight -= unused;
            lane.standing = Standing::Idle;
            self.give_back(connection, unused, true);
        }
        match next_due {
            Some(at) => self.put_off(connection, at),
            None => self.forget_if_idle(connection),
        }
    }

    /// The destination is done with one delivery of the lane: the lane has room for another. Its place
    /// among all is free when it has [`Self::ended`].
    pub fn answered(&mut self, connection: ConnectionId) {
        let Some(lane) = self.lanes.get_mut(&connection).filter(|lane| lane.in_flight > 0) else {
            return;
        };
        lane.in_flight -= 1;
        lane.recording += 1;
        if let Standing::Full(number) = lane.standing {
            self.ready(connection, number);
        }
    }

    /// One delivery of the lane, which was [`Self::answered`], ended.
    pub fn ended(&mut self, connection: ConnectionId) {
        let Some(lane) = self.lanes.get_mut(&connection).filter(|lane| lane.recording > 0) else {
            return;
        };
        lane.recording -= 1;
        self.give_back(connection, 1, false);
        self.forget_if_idle(connection);
    }

    /// Whether a lane waits for something that may come back: a place, or room of its own, of its account or
    /// of something else.
    pub fn is_anybody_waiting(&self) -> bool {
        !self.order.is_empty() || !self.blocked.is_empty() || !self.crowds.is_empty()
    }

    /// Whether all places are taken.
    pub fn is_full(&self) -> bool {
        self.in_flight >= self.places
    }

    /// Deliveries of one lane that its destination is not done with.
    pub fn in_flight_of(&self, connection: ConnectionId) -> usize {
        self.lanes.get(&connection).map_or(0, |lane| lane.in_flight)
    }

    /// When the next lane is due that is not in line yet.
    pub fn next(&self) -> Option<Timestamp> {
        self.later.first().map(|(due, _)| *due)
    }

    fn lane(&mut self, connection: ConnectionId) -> &mut Lane {
        self.lanes.entry(connection).or_default()
    }

    fn put_off(&mut self, connection: ConnectionId, at: Timestamp) {
        let lane = self.lanes.entry(connection).or_default();
        if let Standing::Later(known) = lane.standing {
            self.later.remove(&(known, connection));
        }
        lane.standing = Standing::Later(at);
        self.later.insert((at, connection));
    }

    /// Behind all others of its workspace.
    fn line_up(&mut self, connection: ConnectionId, workspace: WorkspaceId) {
        self.lane(connection).workspace = Some(workspace);
        self.numbers += 1;
        self.ready(connection, self.numbers);
    }

    fn ready(&mut self, connection: ConnectionId, number: u64) {
        let lane = self.lanes.entry(connection).or_default();
        let Some(workspace) = lane.workspace else { return };
        lane.standing = Standing::Ready(number);
        let level = self.level;
        let tenant = self
            .tenants
            .entry(workspace)
            .or_insert_with(|| Tenant::new(level));
        if tenant.ready.is_empty() {
            tenant.served = tenant.served.max(level);
            self.order.insert((tenant.served, workspace));
        }
        tenant.ready.insert(number, connection);
    }

    fn take_places(&mut self, connection: ConnectionId, places: usize) {
        self.in_flight += places;
        let level = self.level;
        self.with_tenant(connection, |tenant| {
            tenant.places += places;
            tenant.served = tenant.served.max(level) + places as u64;
        });
    }

    /// `unused`: nobody was served with them.
    fn give_back(&mut self, connection: ConnectionId, places: usize, unused: bool) {
        self.in_flight = self.in_flight.saturating_sub(places);
        self.with_tenant(connection, |tenant| {
            tenant.places = tenant.places.saturating_sub(places);
            if unused {
                tenant.served = tenant.served.saturating_sub(places as u64);
            }
        });
    }

    /// Changes a lane's tenant, and keeps it in order.
    fn with_tenant(&mut self, connection: ConnectionId, change: impl FnOnce(&mut Tenant)) {
        let Some(workspace) = self.lanes.get(&connection).and_then(|lane| lane.workspace) else {
            return;
        };
        let level = self.level;
        let tenant = self
            .tenants
            .entry(workspace)
            .or_insert_with(|| Tenant::new(level));
        let before = tenant.served;
        change(tenant);
        if !tenant.ready.is_empty() && tenant.served != before {
            self.order.remove(&(before, workspace));
            self.order.insert((tenant.served, workspace));
        }
    }

    fn forget_if_idle(&mut self, connection: ConnectionId) {
        let idle = |lane: &Lane| lane.in_flight + lane.recording == 0 && lane.standing == Standing::Idle;
        if self.lanes.get(&connection).is_some_and(idle) {
            self.lanes.remove(&connection);
        }
    }
}

impl Tenant {
    fn new(level: u64) -> Self {
        Self {
            places: 0,
            served: level,
            ready: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod tests;
