use proptest::prelude::*;

use super::*;

const MADE: Timestamp = Timestamp(0);
const START: Timestamp = Timestamp(1_000_000);

fn connection() -> ConnectionId {
    ConnectionId::from_bytes([1; 16])
}

/// One destination and a clock.
struct Scene {
    circuits: Circuits,
    now: Timestamp,
}

impl Scene {
    fn new() -> Self {
        Self {
            circuits: Circuits::default(),
            now: START,
        }
    }

    /// One whose circuit has just opened.
    fn open() -> Self {
        let mut scene = Self::new();
        for n in 1..=FAILURES {
            let change = scene.attempt(Sign::Down);
            assert_eq!(change.is_some(), n == FAILURES, "{n}: {change:?}");
        }
        scene
    }

    fn leave(&mut self) -> Leave {
        self.circuits.leave(connection(), MADE, self.now)
    }

    fn claim(&mut self) -> Pass {
        self.circuits.claimed(connection(), MADE, false)
    }

    fn attempt(&mut self, sign: Sign) -> Option<Change> {
        let pass = self.claim();
        self.circuits.ended(&pass, sign, self.now)
    }

    fn later(&mut self, time: Duration) {
        self.now = self.now.plus(time);
    }

    /// Waits for the next probe; how long that was.
    fn until_probe(&mut self) -> Duration {
        let Leave::Held { until: Some(until) } = self.leave() else {
            panic!("{:?}", self.leave());
        };
        let wait = until.since(self.now);
        self.now = until.minus(Duration::from_millis(1));
        assert!(matches!(self.leave(), Leave::Held { .. }), "a moment before");
        self.now = until;
        assert_eq!(self.leave(), Leave::Probe);
        wait
    }
}

const STRAINED: Sign = Sign::Strained { retry_after: None };
const THROTTLED: Sign = Sign::Throttled { retry_after: None };

#[test]
fn ten_failures_in_a_row_open_the_circuit() {
    let mut scene = Scene::new();
    for _ in 0..FAILURES - 1 {
        assert_eq!(scene.attempt(Sign::Down), None);
        assert_eq!(scene.leave(), Leave::All);
    }
    let opened = Change::Opened {
        failures: FAILURES,
        pause: FIRST_PAUSE,
    };
    assert_eq!(scene.attempt(STRAINED), Some(opened));
    assert!(matches!(scene.leave(), Leave::Held { until: Some(_) }));
    let next_probe_at = START.plus(FIRST_PAUSE);
    assert_eq!(
        scene.circuits.circuit(connection(), MADE),
        Circuit::Open { next_probe_at }
    );
}

#[test]
fn any_answer_between_begins_the_count_anew() {
    for answer in [Sign::Up, THROTTLED] {
        let mut scene = Scene::new();
        for _ in 0..5 {
            for _ in 0..FAILURES - 1 {
                assert_eq!(scene.attempt(Sign::Down), None);
            }
            scene.attempt(Sign::None);
            scene.attempt(answer);
        }
        assert_eq!(scene.leave(), Leave::All);
        assert!(
            scene.circuits.entries.is_empty(),
            "nothing is kept of who is well"
        );
    }
}

#[test]
fn what_says_nothing_does_not_interrupt_a_row_of_failures() {
    let mut scene = Scene::new();
    for _ in 0..FAILURES {
        scene.attempt(Sign::Down);
        scene.attempt(Sign::None);
    }
    assert!(matches!(scene.leave(), Leave::Held { .. }));
}

#[test]
fn one_probe_at_a_time_and_its_answer_closes_the_circuit() {
    for answer in [Sign::Up, THROTTLED] {
        let mut scene = Scene::open();
        assert_eq!(scene.until_probe(), FIRST_PAUSE);
        let probe = scene.claim();
        assert_eq!(scene.leave(), Leave::Held { until: None });
        assert_eq!(scene.circuits.circuit(connection(), MADE), Circuit::Probing);
        assert_eq!(
            scene.circuits.ended(&probe, answer, scene.now),
            Some(Change::Closed)
        );
        assert_eq!(scene.leave(), Leave::All);
        assert_eq!(scene.circuits.circuit(connection(), MADE), Circuit::Closed);
    }
}

#[test]
fn each_probe_that_fails_doubles_the_pause_up_to_the_longest() {
    let mut scene = Scene::open();
    let mut expected = FIRST_PAUSE;
    for _ in 0..8 {
        assert_eq!(scene.until_probe(), expected);
        expected = (expected * 2).min(LONGEST_PAUSE);
        let still = Change::StillOpen { pause: expected };
        assert_eq!(scene.attempt(Sign::Down), Some(still));
    }
    assert_eq!(expected, LONGEST_PAUSE);
    // After it closed, the first pause is the first again.
    scene.until_probe();
    assert_eq!(scene.attempt(Sign::Up), Some(Change::Closed));
    for _ in 0..FAILURES {
        scene.attempt(Sign::Down);
    }
    assert_eq!(scene.until_probe(), FIRST_PAUSE);
}

#[test]
fn those_that_were_under_way_when_it_opened_are_no_news() {
    let mut scene = Scene::new();
    let batch: Vec<Pass> = (0..16).map(|_| scene.claim()).collect();
    let changes: Vec<_> = batch
        .iter()
        .filter_map(|pass| scene.circuits.ended(pass, Sign::Down, scene.now))
        .collect();
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(scene.until_probe(), FIRST_PAUSE);

    let mut scene = Scene::new();
    let straggler = scene.claim();
    for _ in 0..FAILURES {
        scene.attempt(Sign::Down);
    }
    assert_eq!(scene.circuits.ended(&straggler, Sign::Up, scene.now), None);
    assert!(
        matches!(scene.leave(), Leave::Held { .. }),
        "only a probe closes it"
    );
}

#[test]
fn those_that_were_under_way_when_it_opened_do_not_open_it_again_once_it_is_closed() {
    let mut scene = Scene::new();
    let stragglers: Vec<Pass> = (0..FAILURES).map(|_| scene.claim()).collect();
    for _ in 0..FAILURES {
        scene.attempt(Sign::Down);
    }
    scene.until_probe();
    assert_eq!(scene.attempt(Sign::Up), Some(Change::Closed));
    for straggler in &stragglers {
        assert_eq!(scene.circuits.ended(straggler, Sign::Down, scene.now), None);
    }
    assert_eq!(scene.leave(), Leave::All);
}

#[test]
fn a_probe_that_learned_nothing_leaves_its_turn_to_the_next() {
    let mut scene = Scene::open();
    scene.until_probe();
    assert_eq!(scene.attempt(Sign::None), Some(Change::Unclear));
    assert_eq!(scene.leave(), Leave::Probe);
}

#[test]
fn what_a_person_asks_for_goes_through_as_a_probe_and_puts_off_no_other() {
    let mut scene = Scene::open();
    scene.later(Duration::from_secs(1));
    let forced = scene.circuits.claimed(connection(), MADE, true);
    assert_eq!(scene.circuits.circuit(connection(), MADE), Circuit::Probing);
    scene.circuits.ended(&forced, Sign::Down, scene.now);
    assert_eq!(scene.until_probe(), FIRST_PAUSE - Duration::from_secs(1));

    let mut scene = Scene::open();
    let forced = scene.circuits.claimed(connection(), MADE, true);
    assert_eq!(
        scene.circuits.ended(&forced, Sign::Up, scene.now),
        Some(Change::Closed)
    );
    assert_eq!(scene.leave(), Leave::All);
}

#[test]
fn a_connection_that_is_changed_begins_anew() {
    let mut scene = Scene::open();
    let old = scene.claim();
    let changed = Timestamp(5);
    assert_eq!(scene.circuits.leave(connection(), changed, scene.now), Leave::All);
    // What the old one says is not held against it.
    let first = scene.circuits.claimed(connection(), changed, false);
    scene.circuits.ended(&first, Sign::Down, scene.now);
    for _ in 0..FAILURES {
        scene.circuits.ended(&old, Sign::Down, scene.now);
    }
    assert_eq!(scene.circuits.leave(connection(), changed, scene.now), Leave::All);
    assert_eq!(scene.circuits.circuit(connection(), changed), Circuit::Closed);
}

#[test]
fn another_connection_has_a_circuit_of_its_own() {
    let mut scene = Scene::open();
    let other = ConnectionId::from_bytes([2; 16]);
    assert_eq!(scene.circuits.leave(other, MADE, scene.now), Leave::All);
}

#[test]
fn a_clock_that_is_set_back_ends_the_pause() {
    let mut scene = Scene::open();
    scene.now = START.minus(Duration::from_secs(3600));
    assert_eq!(scene.leave(), Leave::Probe);
}

#[test]
fn circuits_of_destinations_that_are_well_are_forgotten() {
    let mut circuits = Circuits::default();
    let fail = |circuits: &mut Circuits, n: u32, sign: Sign, times: u32| {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        for _ in 0..times {
            let pass = circuits.claimed(ConnectionId::from_bytes(id), MADE, false);
            circuits.ended(&pass, sign, START);
        }
    };
    for n in 0..5_000 {
        fail(&mut circuits, n, Sign::Down, 3);
        fail(&mut circuits, n, Sign::Up, 1);
    }
    assert!(circuits.entries.is_empty());
}

proptest! {
    /// A destination that is down from some time to another, asked by many at once: it gets no more
    /// than a batch and the probes while it is down, and everything again within the longest pause.
    #[test]
    fn a_destination_that_is_down_is_hardly_asked_and_soon_found_again(
        batch in 1_usize..40,
        outage_s in 60_u64..100_000,
        took_ms in 1_u64..60_000,
    ) {
        let mut scene = Scene::new();
        let back = START.plus(Duration::from_secs(outage_s));
        let took = Duration::from_millis(took_ms);
        let mut asked = 0_usize;
        let mut steps = 0;
        while scene.now < back {
            steps += 1;
            prop_assert!(steps < 100_000);
            let claims = match scene.leave() {
                Leave::All => batch,
                Leave::Probe => 1,
                Leave::Held { until } => {
                    scene.now = until.unwrap();
                    continue;
                }
            };
            asked += claims;
            let passes: Vec<Pass> = (0..claims).map(|_| scene.claim()).collect();
            scene.later(took);
            for pass in &passes {
                scene.circuits.ended(pass, Sign::Down, scene.now);
            }
        }
        let first = batch + FAILURES as usize;
        let probes = 6 + usize::try_from(outage_s / LONGEST_PAUSE.as_secs()).unwrap();
        prop_assert!(asked <= first + probes, "{asked} requests");
        if let Leave::Held { until } = scene.leave() {
            scene.now = until.unwrap();
        }
        prop_assert!(scene.now.since(back) <= LONGEST_PAUSE + took);
        if scene.leave() == Leave::Probe {
            scene.attempt(Sign::Up);
        }
        prop_assert_eq!(scene.leave(), Leave::All);
    }

    /// However claims and ends are mixed, an open circuit is probed in the end.
    #[test]
    fn no_circuit_stays_shut(signs in prop::collection::vec((0..4_u8, any::<bool>(), 0..20_000_u64), 1..300)) {
        let mut scene = Scene::new();
        let mut passes = Vec::new();
        for (sign, claims, wait) in signs {
            scene.later(Duration::from_millis(wait));
            let leave = scene.leave();
            if claims && !matches!(leave, Leave::Held { .. }) {
                passes.push(scene.claim());
            } else if claims && wait % 7 == 0 {
                passes.push(scene.circuits.claimed(connection(), MADE, true));
            } else if !passes.is_empty() {
                let pass = passes.swap_remove(usize::try_from(wait).unwrap() % passes.len());
                let sign = [Sign::None, Sign::Up, Sign::Down, STRAINED][usize::from(sign)];
                scene.circuits.ended(&pass, sign, scene.now);
            }
        }
        for pass in passes {
            scene.circuits.ended(&pass, Sign::None, scene.now);
        }
        scene.later(LONGEST_PAUSE);
        let held = matches!(scene.leave(), Leave::Held { .. });
        prop_assert!(!held);
    }
}
