//! Lanes: each connection has its own, so that one slow destination holds up no other. Pure: the
//! dispatcher gives the time and does what the lanes say.

use std::collections::{BTreeSet, HashMap};

use heddle_core::id::ConnectionId;
use heddle_core::time::Timestamp;

/// The most that one lane claims in one turn, so that every ready lane gets its turn soon.
pub const TURN: usize = 64;

#[derive(Debug, Default)]
struct Lane {
    in_flight: usize,
    /// When its earliest waiting delivery is due, as far as is known.
    next_due: Option<Timestamp>,
}

/// All lanes with waiting work or work under way. A lane without either is forgotten.
#[derive(Debug, Default)]
pub struct Lanes {
    lanes: HashMap<ConnectionId, Lane>,
    /// The lanes that wait, earliest first. Lanes that are due take turns by how long they are due,
    /// which a turn pushes back to the time of the rest of their work.
    waiting: BTreeSet<(Timestamp, ConnectionId)>,
    in_flight: usize,
}

impl Lanes {
    /// Work of `connection` is due at `at`, or earlier work is already known.
    pub fn due(&mut self, connection: ConnectionId, at: Timestamp) {
        let lane = self.lanes.entry(connection).or_default();
        let next = lane.next_due.map_or(at, |known| known.min(at));
        self.reschedule(connection, Some(next));
    }

    /// What is known of the lane's work after a claim replaces what was known before. `taken`
    /// deliveries are now under way.
    pub fn claimed(&mut self, connection: ConnectionId, taken: usize, next_due: Option<Timestamp>) {
        self.lanes.entry(connection).or_default().in_flight += taken;
        self.in_flight += taken;
        self.reschedule(connection, next_due);
    }

    /// One delivery of the lane ended.
    pub fn ended(&mut self, connection: ConnectionId) {
        if let Some(lane) = self.lanes.get_mut(&connection) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
            self.in_flight = self.in_flight.saturating_sub(1);
        }
        self.forget_if_idle(connection);
    }

    /// Deliveries under way over all lanes.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Deliveries of one lane under way.
    pub fn in_flight_of(&self, connection: ConnectionId) -> usize {
        self.lanes.get(&connection).map_or(0, |lane| lane.in_flight)
    }

    /// The lanes that are due at `now`, in the order of their turns.
    pub fn ready(&self, now: Timestamp) -> impl Iterator<Item = ConnectionId> + '_ {
        self.waiting
            .iter()
            .take_while(move |(due, _)| *due <= now)
            .map(|(_, connection)| *connection)
    }

    /// When the first lane that is not due yet will be.
    pub fn next_after(&self, now: Timestamp) -> Option<Timestamp> {
        self.waiting
            .range((Timestamp(now.0.saturating_add(1)), lowest())..)
            .next()
            .map(|(due, _)| *due)
    }

    fn reschedule(&mut self, connection: ConnectionId, next_due: Option<Timestamp>) {
        let lane = self.lanes.entry(connection).or_default();
        if let Some(old) = lane.next_due {
            self.waiting.remove(&(old, connection));
        }
        lane.next_due = next_due;
        if let Some(new) = next_due {
            self.waiting.insert((new, connection));
        }
        self.forget_if_idle(connection);
    }

    fn forget_if_idle(&mut self, connection: ConnectionId) {
        if self
            .lanes
            .get(&connection)
            .is_some_and(|lane| lane.in_flight == 0 && lane.next_due.is_none())
        {
            self.lanes.remove(&connection);
        }
    }
}

fn lowest() -> ConnectionId {
    ConnectionId::from_bytes([0; 16])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(n: u8) -> ConnectionId {
        ConnectionId::from_bytes([n; 16])
    }

    fn ready(lanes: &Lanes, now: i64) -> Vec<ConnectionId> {
        lanes.ready(Timestamp(now)).collect()
    }

    #[test]
    fn the_lane_that_is_due_longest_goes_first() {
        let mut lanes = Lanes::default();
        lanes.due(connection(1), Timestamp(20));
        lanes.due(connection(2), Timestamp(10));
        lanes.due(connection(3), Timestamp(30));
        assert_eq!(ready(&lanes, 20), [connection(2), connection(1)]);
        assert_eq!(lanes.next_after(Timestamp(20)), Some(Timestamp(30)));
        assert_eq!(lanes.next_after(Timestamp(30)), None);
    }

    #[test]
    fn earlier_work_moves_a_lane_forward_and_later_work_does_not_move_it_back() {
        let mut lanes = Lanes::default();
        lanes.due(connection(1), Timestamp(20));
        lanes.due(connection(1), Timestamp(50));
        assert_eq!(ready(&lanes, 20), [connection(1)]);
        lanes.due(connection(1), Timestamp(5));
        assert_eq!(ready(&lanes, 5), [connection(1)]);
    }

    #[test]
    fn a_lane_that_had_its_turn_stands_behind_those_that_wait() {
        let mut lanes = Lanes::default();
        lanes.due(connection(1), Timestamp(10));
        lanes.due(connection(2), Timestamp(11));
        // The dispatcher never dates a lane back to the age of its backlog.
        lanes.claimed(connection(1), 64, Some(Timestamp(12)));
        assert_eq!(ready(&lanes, 12), [connection(2), connection(1)]);
    }

    #[test]
    fn a_lane_without_work_is_forgotten() {
        let mut lanes = Lanes::default();
        lanes.due(connection(1), Timestamp(1));
        lanes.claimed(connection(1), 2, None);
        assert_eq!((lanes.in_flight(), lanes.in_flight_of(connection(1))), (2, 2));
        assert!(ready(&lanes, 99).is_empty());
        lanes.ended(connection(1));
        lanes.ended(connection(1));
        assert_eq!(lanes.in_flight(), 0);
        assert!(lanes.lanes.is_empty() && lanes.waiting.is_empty());
    }

    #[test]
    fn what_a_claim_found_replaces_what_was_guessed() {
        let mut lanes = Lanes::default();
        lanes.due(connection(1), Timestamp(1));
        lanes.claimed(connection(1), 1, Some(Timestamp(70)));
        assert!(ready(&lanes, 69).is_empty());
        assert_eq!(lanes.next_after(Timestamp(1)), Some(Timestamp(70)));
    }
}
