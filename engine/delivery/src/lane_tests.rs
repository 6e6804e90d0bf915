use proptest::prelude::*;

use super::*;

fn connection(n: u8) -> ConnectionId {
    ConnectionId::from_bytes([n; 16])
}

fn workspace(n: u8) -> WorkspaceId {
    WorkspaceId::from_bytes([n; 16])
}

const NOW: Timestamp = Timestamp(1_000);

fn at(milliseconds: i64) -> Timestamp {
    Timestamp(milliseconds)
}

/// One delivery of the lane ends.
fn done(lanes: &mut Lanes, connection: ConnectionId) {
    lanes.answered(connection);
    lanes.ended(connection);
}

/// Lanes, all of which are of workspace `connection / 10`.
struct World(Lanes);

impl World {
    fn new(places: usize) -> Self {
        Self(Lanes::new(places))
    }

    fn due(&mut self, n: u8) {
        self.0.due(connection(n), NOW);
    }

    /// Begins a round and lets those ask for `limit` each whose turn it is.
    fn round(&mut self, limit: usize) -> Vec<(u8, usize)> {
        self.round_of(|_, _| limit)
    }

    /// Begins a round in which each asks for what `limit` says of it and of what it has under way.
    fn round_of(&mut self, limit: impl Fn(u8, usize) -> usize) -> Vec<(u8, usize)> {
        self.arrive();
        self.0.begin(|_| 0);
        let mut asked = Vec::new();
        while let Some(turn) = self.0.turn() {
            let n = turn.connection.as_bytes()[0];
            let limit = limit(n, self.0.in_flight_of(turn.connection)).min(turn.most);
            match limit {
                0 => self.0.pass(turn.connection, Wait::OwnEnd),
                _ => {
                    self.0.ask(turn.connection, limit);
                    asked.push((n, limit));
                }
            }
        }
        asked
    }

    fn arrive(&mut self) {
        for unknown in self.0.arrive(NOW, 1_000) {
            self.0.place(unknown, workspace(unknown.as_bytes()[0] / 10));
        }
    }

    /// All that was asked for is there, and more.
    fn all_claimed(&mut self, asked: &[(u8, usize)]) {
        for (n, limit) in asked {
            self.0.claimed(connection(*n), *limit, Some(NOW));
        }
    }

    fn done(&mut self, connection: ConnectionId) {
        done(&mut self.0, connection);
    }

    fn places_of(&self, n: u8) -> usize {
        self.0
            .tenants
            .get(&workspace(n))
            .map_or(0, |tenant| tenant.places)
    }
}

#[test]
fn the_lane_that_is_due_longest_goes_first_and_what_is_not_due_waits() {
    let mut lanes = Lanes::new(10);
    lanes.due(connection(1), Timestamp(20));
    lanes.due(connection(2), Timestamp(10));
    lanes.due(connection(3), Timestamp(30));
    // Earlier work moves a lane forward, later work does not move it back.
    lanes.due(connection(1), Timestamp(15));
    lanes.due(connection(1), Timestamp(50));
    assert_eq!(lanes.arrive(Timestamp(15), 9), [connection(2), connection(1)]);
    assert_eq!(lanes.next(), Some(Timestamp(30)));
    assert!(lanes.arrive(Timestamp(29), 9).is_empty());
}

#[test]
fn the_lanes_of_a_workspace_take_turns() {
    let mut world = World::new(100);
    for n in [11, 12, 13] {
        world.due(n);
    }
    let first = world.round(1);
    assert_eq!(first, [(11, 1), (12, 1), (13, 1)]);
    world.all_claimed(&first);
    // One that comes now stands behind those that wait already.
    world.arrive();
    world.due(10);
    assert_eq!(world.round(1), [(11, 1), (12, 1), (13, 1), (10, 1)]);
}

#[test]
fn a_workspace_with_many_lanes_has_as_many_turns_as_one_with_a_single_one() {
    let mut world = World::new(1_000_000);
    for n in 10..20 {
        world.due(n);
    }
    world.due(90);
    let mut served = [0, 0];
    for _ in 0..50 {
        // Places for the next two turns only: what there is a choice about.
        world.0.places = world.0.in_flight + 2 * TURN;
        let asked = world.round(TURN);
        for (n, limit) in &asked {
            served[usize::from(*n >= 90)] += limit;
        }
        world.all_claimed(&asked);
        world.0.in_flight = 0;
        world.0.tenants.values_mut().for_each(|tenant| tenant.places = 0);
    }
    assert!(served[0].abs_diff(served[1]) <= 2 * TURN, "{served:?}");
}

#[test]
fn one_workspace_alone_leaves_a_quarter_of_the_places() {
    let mut world = World::new(1_000);
    for n in 10..20 {
        world.due(n);
    }
    for _ in 0..100 {
        let asked = world.round(TURN);
        world.all_claimed(&asked);
    }
    assert_eq!(world.places_of(1), 750);
    // Whoever comes next finds room at once, and so does the one after that.
    world.due(20);
    assert_eq!(world.round(16), [(20, 16)]);
    world.due(30);
    assert_eq!(world.round(16), [(30, 16)]);
}

#[test]
fn the_last_place_is_used_too() {
    let mut world = World::new(1);
    world.due(10);
    assert_eq!(world.round(16), [(10, 1)]);
    world.due(20);
    assert!(world.round(16).is_empty(), "there is none left");
    world.0.claimed(connection(10), 1, Some(NOW));
    world.done(connection(10));
    assert_eq!(world.round(16), [(20, 1)], "the other one waited");
}

#[test]
fn what_was_asked_for_and_not_there_is_given_back() {
    let mut world = World::new(100);
    world.due(10);
    assert_eq!(world.round(16), [(10, 16)]);
    world.0.claimed(connection(10), 1, None);
    assert_eq!((world.0.in_flight, world.places_of(1)), (1, 1));
    assert_eq!(world.0.tenants[&workspace(1)].served, 1);
    world.done(connection(10));
    assert_eq!((world.0.in_flight, world.places_of(1)), (0, 0));
    assert!(world.0.lanes.is_empty());
}

#[test]
fn what_a_claim_found_replaces_what_was_guessed() {
    let mut world = World::new(100);
    world.due(10);
    world.round(1);
    world.0.claimed(connection(10), 1, Some(Timestamp(7_000)));
    assert!(world.round(1).is_empty());
    assert_eq!(world.0.next(), Some(Timestamp(7_000)));
}

#[test]
fn a_full_lane_waits_for_an_end_of_its_own_and_keeps_its_place() {
    let mut world = World::new(100);
    let (full, other) = (connection(10), connection(11));
    world.due(10);
    world.round(1);
    world.0.claimed(full, 1, Some(NOW));
    assert!(world.round(0).is_empty());
    assert_eq!(world.0.lanes[&full].standing, Standing::Full(2));
    // More work, and the end of others, change nothing.
    world.due(10);
    world.due(11);
    assert_eq!(world.round(1), [(11, 1)]);
    world.0.claimed(other, 1, Some(NOW));
    world.done(full);
    assert_eq!(world.round(1), [(10, 1), (11, 1)]);
}

#[test]
fn a_lane_may_have_the_next_one_while_the_last_is_being_recorded_but_not_its_place() {
    let mut world = World::new(2);
    let lane = connection(10);
    world.due(10);
    world.round_of(|_, under_way| 1_usize.saturating_sub(under_way));
    world.0.claimed(lane, 1, Some(NOW));
    let one = |_, under_way| 1_usize.saturating_sub(under_way);
    assert!(world.round_of(one).is_empty());
    world.0.answered(lane);
    assert_eq!(world.round_of(one), [(10, 1)]);
    world.0.claimed(lane, 1, Some(NOW));
    world.0.answered(lane);
    assert!(world.0.is_full(), "both are still being recorded");
    assert!(world.round_of(one).is_empty());
    world.0.ended(lane);
    assert_eq!(world.round_of(one), [(10, 1)]);
    world.0.claimed(lane, 1, None);
    world.0.ended(lane);
    world.done(lane);
    assert_eq!((world.0.in_flight, world.places_of(1)), (0, 0));
    assert!(world.0.lanes.is_empty());
}

#[test]
fn a_lane_that_others_leave_no_room_is_looked_at_in_every_round() {
    let mut world = World::new(100);
    world.due(10);
    world.arrive();
    for _ in 0..3 {
        world.0.begin(|_| 0);
        let turn = world.0.turn().unwrap();
        assert_eq!(turn.connection, connection(10));
        world.0.pass(turn.connection, Wait::Round);
        assert_eq!(world.0.turn(), None);
    }
}

#[test]
fn of_the_lanes_that_wait_for_their_account_as_many_are_called_as_it_has_room_for() {
    let mut world = World::new(100);
    let (account, other) = ([1; 16], [2; 16]);
    for n in 10..15 {
        world.due(n);
    }
    world.arrive();
    world.0.begin(|_| 0);
    while let Some(turn) = world.0.turn() {
        let full = if turn.connection == connection(14) {
            other
        } else {
            account
        };
        world.0.pass(turn.connection, Wait::Account(full));
    }
    assert!(world.0.is_crowded(&account) && world.0.is_crowded(&other));
    let next = |world: &mut World| world.0.turn().map(|turn| turn.connection.as_bytes()[0]);
    assert_eq!((world.0.begin(|_| 0).len(), next(&mut world)), (0, None));
    let called = world.0.begin(|key| 2 * usize::from(*key == account));
    assert_eq!(called, HashMap::from([(account, 2)]));
    assert_eq!(
        (next(&mut world), next(&mut world), next(&mut world)),
        (Some(10), Some(11), None)
    );
    // One of them has no use for it after all, and keeps its place.
    world.0.pass(connection(10), Wait::Account(account));
    world.0.ask(connection(11), 1);
    assert_eq!(world.0.begin(|_| 1), HashMap::from([(account, 1), (other, 1)]));
    assert_eq!(
        (next(&mut world), next(&mut world), next(&mut world)),
        (Some(10), Some(14), None)
    );
    assert!(world.0.is_crowded(&account) && !world.0.is_crowded(&other));
}

#[test]
fn a_lane_that_waits_for_a_time_is_called_earlier_by_new_work() {
    let mut world = World::new(100);
    world.due(10);
    world.arrive();
    let turn = world.0.turn().unwrap();
    world.0.pass(turn.connection, Wait::Until(Timestamp(9_000)));
    assert!(world.round(1).is_empty());
    world.due(10);
    assert_eq!(world.round(1), [(10, 1)]);
}

#[test]
fn nobody_saves_up_turns() {
    let mut world = World::new(10_000);
    // Long alone, and much served.
    world.due(10);
    for _ in 0..50 {
        let asked = world.round(TURN);
        world.all_claimed(&asked);
    }
    let ahead = world.0.tenants[&workspace(1)].served;
    world.due(20);
    world.round(1);
    let newcomer = world.0.tenants[&workspace(2)].served;
    assert!(ahead - newcomer <= TURN as u64, "{ahead} and {newcomer}");
}

#[test]
fn tenants_without_work_are_forgotten() {
    let mut world = World::new(10);
    world.0.sweep_at = 0;
    for n in 10..250 {
        world.due(n);
        let asked = world.round(1);
        assert_eq!(asked.len(), 1);
        world.0.claimed(connection(n), 1, None);
        world.done(connection(n));
        world.0.sweep_at = world.0.sweep_at.min(2);
    }
    assert!(world.0.lanes.is_empty() && world.0.order.is_empty() && world.0.later.is_empty());
    assert!(world.0.tenants.len() <= 24, "{}", world.0.tenants.len());
}

/// A step of a random history: something of a lane ends, new work comes, or a round is made.
#[derive(Clone, Debug)]
enum Happens {
    Due(u8),
    End(u8),
    Round,
}

fn history() -> impl Strategy<Value = Vec<Happens>> {
    let n = 0..40_u8;
    let step = prop_oneof![
        3 => n.clone().prop_map(Happens::Due),
        4 => n.prop_map(Happens::End),
        3 => Just(Happens::Round),
    ];
    prop::collection::vec(step, 1..400)
}

proptest! {
    /// Whatever happens: no more under way than there are places or than a lane may have, no
    /// workspace beyond its share when it takes, and nobody left out for whom there is room.
    #[test]
    fn no_history_leads_beyond_the_limits(
        history in history(),
        places in 1_usize..60,
        limits in prop::collection::vec(1_usize..20, 40),
    ) {
        let mut world = World::new(places);
        let limit_of = |n: u8| limits[usize::from(n)];
        let mut waits = [false; 40];
        let mut under_way = [0_usize; 40];
        for happens in history {
            match happens {
                Happens::Due(n) => {
                    waits[usize::from(n)] = true;
                    world.due(n);
                }
                Happens::End(n) if under_way[usize::from(n)] > 0 => {
                    under_way[usize::from(n)] -= 1;
                    world.done(connection(n));
                }
                Happens::End(_) => {}
                Happens::Round => {
                    world.arrive();
                    world.0.begin(|_| 0);
                    let mut passed = Vec::new();
                    while let Some(turn) = world.0.turn() {
                        let n = turn.connection.as_bytes()[0];
                        prop_assert!(turn.most > 0);
                        let room = limit_of(n).saturating_sub(world.0.in_flight_of(turn.connection));
                        let limit = room.min(turn.most);
                        if limit == 0 {
                            world.0.pass(turn.connection, Wait::OwnEnd);
                            passed.push(n);
                            continue;
                        }
                        let others = world.0.in_flight - world.places_of(n / 10);
                        world.0.ask(turn.connection, limit);
                        let most = share(places - others);
                        prop_assert!(world.places_of(n / 10) <= most, "{} of {most}", world.places_of(n / 10));
                        // Half of what is asked for is there.
                        let taken = limit.div_ceil(2);
                        under_way[usize::from(n)] += taken;
                        world.0.claimed(turn.connection, taken, (limit > 1).then_some(Timestamp(2_000)));
                        waits[usize::from(n)] = limit > 1;
                    }
                    // Who still waits has no room: all places are taken, or the share, or the lane.
                    for n in 0..40_u8 {
                        let free = places - world.0.in_flight;
                        let own = world.places_of(n / 10);
                        let has_room = free > 0 && own < share(free + own)
                            && under_way[usize::from(n)] < limit_of(n);
                        let claimable = world.0.lanes.get(&connection(n))
                            .is_some_and(|lane| !matches!(lane.standing, Standing::Later(_) | Standing::Idle));
                        prop_assert!(!(has_room && claimable), "{n} was left out");
                    }
                    // Work that is known of is never forgotten.
                    for n in 0..40_u8 {
                        if waits[usize::from(n)] {
                            let lane = world.0.lanes.get(&connection(n));
                            prop_assert!(lane.is_some_and(|lane| lane.standing != Standing::Idle), "{n} is lost");
                        }
                    }
                }
            }
            let sum: usize = under_way.iter().sum();
            prop_assert_eq!(world.0.in_flight, sum);
            prop_assert!(sum <= places);
            for n in 0..40_u8 {
                prop_assert!(under_way[usize::from(n)] <= limit_of(n));
                prop_assert_eq!(world.0.in_flight_of(connection(n)), under_way[usize::from(n)]);
            }
            for tenant in 0..4_u8 {
                let lanes = &under_way[usize::from(tenant) * 10..][..10];
                prop_assert_eq!(world.places_of(tenant), lanes.iter().sum::<usize>());
            }
        }
    }

    /// Two workspaces that always have something to do are served alike, however many lanes each has
    /// and whatever these bear; a third that comes and goes changes nothing.
    #[test]
    fn workspaces_that_always_wait_are_served_within_two_turns_of_each_other(
        few in 1_u8..3,
        many in 3_u8..10,
        most in prop::collection::vec(1_usize..=TURN, 40),
        guests in prop::collection::vec(any::<bool>(), 1..200),
    ) {
        let mut lanes = Lanes::new(1_000_000);
        let mine = |n: u8| n / 10;
        let working: Vec<u8> = (10..10 + few).chain(20..20 + many).collect();
        for n in &working {
            lanes.due(connection(*n), NOW);
        }
        let mut served = [0_usize; 4];
        for guest in guests {
            if guest {
                lanes.due(connection(30), NOW);
            }
            for unknown in lanes.arrive(NOW, 100) {
                lanes.place(unknown, workspace(mine(unknown.as_bytes()[0])));
            }
            lanes.begin(|_| 0);
            // A place becomes free, and one of those who wait has it.
            let Some(turn) = lanes.turn() else { break };
            let n = turn.connection.as_bytes()[0];
            let limit = most[usize::from(n)].min(turn.most);
            lanes.ask(turn.connection, limit);
            lanes.claimed(turn.connection, limit, (n < 30).then_some(NOW));
            (0..limit).for_each(|_| done(&mut lanes, turn.connection));
            served[usize::from(mine(n))] += limit;
            prop_assert!(served[1].abs_diff(served[2]) <= 2 * TURN, "{served:?}");
        }
    }

    /// A workspace that waits has its turn after at most one turn of each other one.
    #[test]
    fn nobody_waits_longer_than_a_turn_of_each_other_workspace(
        others in 1_u8..20,
        lanes_each in 1_u8..8,
        rounds in 0_usize..100,
    ) {
        let mut lanes = Lanes::new(1_000_000);
        let number = |tenant: u8, lane: u8| ConnectionId::from_bytes([tenant, lane, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let arrive = |lanes: &mut Lanes| {
            for unknown in lanes.arrive(NOW, 1_000) {
                lanes.place(unknown, workspace(unknown.as_bytes()[0]));
            }
        };
        for tenant in 1..=others {
            for lane in 0..lanes_each {
                lanes.due(number(tenant, lane), NOW);
            }
        }
        let one_turn = |lanes: &mut Lanes| {
            arrive(lanes);
            lanes.begin(|_| 0);
            let turn = lanes.turn().unwrap();
            lanes.ask(turn.connection, TURN);
            lanes.claimed(turn.connection, TURN, Some(NOW));
            (0..TURN).for_each(|_| done(lanes, turn.connection));
            turn.connection.as_bytes()[0]
        };
        for _ in 0..rounds {
            one_turn(&mut lanes);
        }
        // The last by name: a tie goes to the others.
        lanes.due(number(255, 0), NOW);
        let mut before = Vec::new();
        loop {
            let tenant = one_turn(&mut lanes);
            if tenant == 255 {
                break;
            }
            prop_assert!(!before.contains(&tenant), "{tenant} had two turns: {before:?}");
            before.push(tenant);
        }
    }
}

#[test]
fn a_seat_is_given_out_of_turn_only_where_nobody_waits() {
    let mut lanes = Lanes::new(8);
    let (a, b) = (connection(1), connection(2));
    let always = |_| true;
    assert!(
        lanes.seat(a, workspace(1), at(0), always),
        "nothing is known of it"
    );
    assert!(
        !lanes.seat(a, workspace(1), at(0), |in_flight| in_flight < 1),
        "it has one under way"
    );
    lanes.due(a, at(5));
    assert!(
        lanes.seat(a, workspace(1), at(4), always),
        "what waits is not due yet"
    );
    assert!(
        !lanes.seat(a, workspace(1), at(5), always),
        "what waits goes first"
    );
    assert!(
        lanes.seat(b, workspace(1), at(5), always),
        "the others are not held up by it"
    );

    assert!(lanes.arrive(at(5), 9).is_empty(), "its workspace is known");
    assert!(
        !lanes.seat(b, workspace(1), at(5), always),
        "somebody waits for a turn"
    );
    let turn = lanes.turn().unwrap();
    assert_eq!(turn.connection, a);
    assert!(!lanes.seat(b, workspace(1), at(5), always), "somebody has a turn");
    lanes.ask(a, 1);
    assert!(
        !lanes.seat(a, workspace(1), at(5), always),
        "its lane is being claimed"
    );
    assert!(lanes.seat(b, workspace(1), at(5), always));
}

#[test]
fn seats_count_like_places_and_come_back() {
    let mut lanes = Lanes::new(8);
    let a = connection(1);
    let always = |_| true;
    let taken = (0..9)
        .filter(|_| lanes.seat(a, workspace(1), at(0), always))
        .count();
    assert_eq!(taken, 6, "three quarters of eight");
    assert!(
        lanes.seat(connection(2), workspace(2), at(0), always),
        "the others have what is left"
    );
    assert_eq!(lanes.in_flight_of(a), 6);
    for _ in 0..6 {
        done(&mut lanes, a);
    }
    assert_eq!(lanes.in_flight_of(a), 0);
    assert_eq!(
        (0..9)
            .filter(|_| lanes.seat(a, workspace(1), at(0), always))
            .count(),
        6,
        "of the seven that the others leave"
    );
}

#[test]
fn whoever_had_seats_while_nobody_waited_is_not_behind_for_it() {
    let mut lanes = Lanes::new(8);
    let (busy, new) = (connection(1), connection(2));
    for _ in 0..1_000 {
        assert!(lanes.seat(busy, workspace(1), at(0), |_| true));
        done(&mut lanes, busy);
    }
    for (lane, workspace_of) in [(busy, workspace(1)), (new, workspace(2))] {
        lanes.due(lane, at(0));
        lanes.arrive(at(0), 9);
        lanes.place(lane, workspace_of);
    }
    let mut turns = Vec::new();
    for _ in 0..6 {
        let turn = lanes.turn().unwrap();
        lanes.ask(turn.connection, 1);
        turns.push(turn.connection);
        lanes.claimed(turn.connection, 1, Some(at(0)));
        done(&mut lanes, turn.connection);
        lanes.arrive(at(0), 9);
    }
    assert_eq!(turns.iter().filter(|lane| **lane == busy).count(), 3, "{turns:?}");
}
