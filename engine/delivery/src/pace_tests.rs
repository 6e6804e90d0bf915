use std::cmp::Reverse;
use std::collections::BinaryHeap;

use proptest::prelude::*;

use super::*;

const ACCOUNT: Key = [7; 16];

fn gate(n: u8, requests: u32, per: Duration) -> (Key, Window) {
    ([n; 16], Window { requests, per })
}

fn gates(gates: &[(Key, Window)]) -> Gates {
    gates.into()
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn ask(gates: &Gates) -> Ask {
    Ask {
        account: ACCOUNT,
        gates: Arc::clone(gates),
        concurrency: 100,
        begun: false,
        delivery: true,
        patience: ms(5_000),
    }
}

fn ticket(answer: Answer) -> Ticket {
    match answer {
        Answer::Wait(ticket) => ticket,
        other => panic!("expected to wait: {other:?}"),
    }
}

/// A delivery of the simulation: its requests, each with how long it takes and when in that time it
/// arrives, and the gates that it passes.
#[derive(Clone, Debug)]
struct Task {
    starts: Duration,
    requests: Vec<(Duration, Duration)>,
    gates: Gates,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Ask(usize),
    Reply(usize),
}

/// What a receiver saw: the arrivals at each gate, and when all was done.
struct Run {
    arrivals: HashMap<Key, (Window, Vec<Duration>)>,
    took: Duration,
    asks: usize,
}

/// Runs all tasks to their end, with virtual time.
fn simulate(tasks: &[Task], concurrency: usize) -> Run {
    let start = Instant::now();
    let mut paces = Paces::default();
    let mut events: BinaryHeap<Reverse<(Instant, Event)>> = tasks
        .iter()
        .enumerate()
        .map(|(index, task)| Reverse((start + task.starts, Event::Ask(index))))
        .collect();
    let mut done = vec![0; tasks.len()];
    let mut waiting: HashMap<Ticket, (usize, Instant)> = HashMap::new();
    let mut run = Run {
        arrivals: HashMap::new(),
        took: Duration::ZERO,
        asks: 0,
    };
    let mut under_way = 0_usize;
    loop {
        let soonest = [
            events.peek().map(|Reverse((at, _))| *at),
            paces.next(),
            waiting.values().map(|(_, until)| *until).min(),
        ];
        let Some(now) = soonest.into_iter().flatten().min() else {
            break;
        };
        let mut go = Vec::new();
        paces.advance(now);
        let mut asks = Vec::new();
        while let Some(Reverse((_, event))) = events.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            events.pop();
            match event {
                Event::Ask(index) => asks.push(index),
                Event::Reply(index) => {
                    let (took, _) = tasks[index].requests[done[index]];
                    paces.done(ACCOUNT, &tasks[index].gates, took, now);
                    done[index] += 1;
                    under_way -= 1;
                    run.took = now - start;
                    if done[index] < tasks[index].requests.len() {
                        asks.push(index);
                    }
                }
            }
        }
        for index in asks {
            run.asks += 1;
            let begun = done[index] > 0;
            let patience = if begun { ms(30_000) } else { ms(5_000) };
            let gates = Arc::clone(&tasks[index].gates);
            let asked = Ask {
                begun,
                patience,
                concurrency,
                ..ask(&gates)
            };
            match paces.ask(asked, now) {
                Answer::Go => go.push(index),
                Answer::Wait(ticket) => _ = waiting.insert(ticket, (index, now + patience)),
                Answer::Later(wait) => {
                    assert!(wait >= SHORTEST_LATER);
                    events.push(Reverse((now + wait, Event::Ask(index))));
                }
            }
        }
        for ticket in paces.granted() {
            go.push(waiting.remove(&ticket).expect("only who waits is called").0);
        }
        let impatient: Vec<_> = waiting
            .iter()
            .filter(|(_, (_, until))| *until <= now)
            .map(|(ticket, (index, _))| (*ticket, *index))
            .collect();
        for (ticket, index) in impatient {
            waiting.remove(&ticket);
            let wait = paces.leave(ACCOUNT, ticket, now).expect("it was in line");
            events.push(Reverse((now + wait, Event::Ask(index))));
        }
        for index in go {
            under_way += 1;
            assert!(under_way <= concurrency, "more at once than the account bears");
            let (took, arrives) = tasks[index].requests[done[index]];
            for (key, window) in tasks[index].gates.iter() {
                let (_, arrivals) = run.arrivals.entry(*key).or_insert((*window, Vec::new()));
                arrivals.push(now + arrives.min(took) - start);
            }
            events.push(Reverse((now + took, Event::Reply(index))));
        }
    }
    assert!(waiting.is_empty());
    for (task, done) in tasks.iter().zip(done) {
        assert_eq!(done, task.requests.len(), "every delivery has all its turns");
    }
    assert!(paces.accounts.is_empty() && paces.timers.is_empty());
    run
}

impl Run {
    /// The most that any window of a receiver would have counted, for each gate.
    fn check_windows(&self) {
        for (window, arrivals) in self.arrivals.values() {
            let mut arrivals = arrivals.clone();
            arrivals.sort_unstable();
            let requests = usize::try_from(window.requests).unwrap();
            for (first, over) in arrivals.iter().zip(arrivals.iter().skip(requests)) {
                assert!(
                    *over - *first >= window.per,
                    "{} requests within {:?}",
                    requests + 1,
                    *over - *first
                );
            }
        }
    }
}

fn tasks() -> impl Strategy<Value = (Vec<Task>, usize)> {
    let window = || (1_u32..20, 200_u64..4_000);
    let request = (0_u64..600, 0_u64..600).prop_map(|(took, arrives)| (ms(took), ms(arrives)));
    let task = (0_u64..5_000, prop::collection::vec(request, 1..4), 0_u8..3);
    (
        window(),
        window(),
        prop::collection::vec(task, 1..80),
        1_usize..20,
    )
        .prop_map(|((requests, per), (narrow, narrow_per), tasks, concurrency)| {
            let tasks = tasks.into_iter().map(|(starts, sent, about)| Task {
                starts: ms(starts),
                requests: sent,
                gates: match about {
                    0 => gates(&[gate(0, requests, ms(per))]),
                    n => gates(&[gate(0, requests, ms(per)), gate(n, narrow, ms(narrow_per))]),
                },
            });
            (tasks.collect(), concurrency)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However requests come, whatever they take and whenever they arrive within that time: no window
    /// of the receiver ever holds more than the rate allows, and everybody has a turn.
    #[test]
    fn no_window_of_a_receiver_ever_holds_more_than_the_rate((tasks, concurrency) in tasks()) {
        simulate(&tasks, concurrency).check_windows();
    }

    /// A burst is sent at four fifths of the rate at least, where answers come within a twentieth of
    /// the window.
    #[test]
    fn most_of_the_rate_is_used(
        requests in 1_u32..60,
        per in 500_u64..5_000,
        steps in 1_usize..4,
        took in prop::collection::vec(0_u64..=50, 1..40),
    ) {
        let window = gates(&[gate(0, requests, ms(per))]);
        let count = 10 * usize::try_from(requests).unwrap().max(4) / steps + 1;
        let tasks: Vec<Task> = (0..count)
            .map(|n| {
                let took = ms(took[n % took.len()] * per / 1_000);
                Task { starts: Duration::ZERO, requests: vec![(took, took / 2); steps], gates: Arc::clone(&window) }
            })
            .collect();
        let run = simulate(&tasks, usize::MAX);
        run.check_windows();
        let windows = (count * steps - 1) / usize::try_from(requests).unwrap();
        let ideal = ms(per) * u32::try_from(windows).unwrap();
        prop_assert!(run.took.mul_f64(0.8) <= ideal + ms(per) / 2, "{:?} instead of {ideal:?}", run.took);
    }
}

#[test]
fn a_long_line_for_one_rate_is_told_times_at_which_there_is_room() {
    // A thousand messages to one channel, one a second.
    let channel = gates(&[gate(1, 1, ms(1_000))]);
    let task = Task {
        starts: Duration::ZERO,
        requests: vec![(ms(40), ms(20))],
        gates: channel,
    };
    let run = simulate(&vec![task; 1_000], 2);
    run.check_windows();
    assert!(run.took <= ms(1_000_000) * 5 / 4, "{:?}", run.took);
    // Who is sent away comes back a few times, not hundreds of times.
    assert!(run.asks <= 10_000, "{} times asked", run.asks);
}

#[test]
fn turns_go_by_the_order_of_asking_and_what_was_begun_goes_first() {
    let (mut paces, now) = (Paces::default(), Instant::now());
    let one = gates(&[gate(1, 1, ms(1_000))]);
    assert_eq!(paces.ask(ask(&one), now), Answer::Go);
    let first = ticket(paces.ask(ask(&one), now));
    let second = ticket(paces.ask(ask(&one), now));
    let begun = ticket(paces.ask(
        Ask {
            begun: true,
            ..ask(&one)
        },
        now,
    ));
    // Nothing is known before the answer came; a window after it there is a place.
    assert_eq!(paces.next(), None);
    paces.done(ACCOUNT, &one, ms(100), now + ms(100));
    let mut now = paces.next().unwrap();
    for expected in [begun, first, second] {
        assert!(paces.granted().is_empty());
        paces.advance(now);
        assert_eq!(paces.granted(), [expected]);
        paces.done(ACCOUNT, &one, ms(100), now + ms(100));
        now += ms(1_102);
    }
}

#[test]
fn who_is_held_up_by_a_rate_of_its_own_holds_up_nobody_else() {
    let (mut paces, now) = (Paces::default(), Instant::now());
    let account = gate(0, 10, ms(1_000));
    let channel = |n| gates(&[account, gate(n, 1, ms(60_000))]);
    assert_eq!(paces.ask(ask(&channel(1)), now), Answer::Go);
    // Longer than anybody is patient: sent away, each with a time of its own.
    let Answer::Later(first) = paces.ask(ask(&channel(1)), now) else {
        panic!("a minute is not waited for");
    };
    let Answer::Later(second) = paces.ask(ask(&channel(1)), now) else {
        panic!("a minute is not waited for");
    };
    assert!(
        first >= ms(60_000) && second >= first + ms(60_000),
        "{first:?} {second:?}"
    );
    assert_eq!(paces.ask(ask(&channel(2)), now), Answer::Go);
}

#[test]
fn the_dispatcher_has_room_for_what_has_its_turn_soon() {
    let (mut paces, now) = (Paces::default(), Instant::now());
    let account = gates(&[gate(0, 5, ms(10_000))]);
    let room = |paces: &mut Paces, now| paces.room(ACCOUNT, &account, (100, 0), 100, now);
    assert_eq!(room(&mut paces, now).deliveries, 5);
    // Claimed, and soon to ask.
    (0..3).for_each(|_| paces.claimed(ACCOUNT));
    assert_eq!(room(&mut paces, now).deliveries, 2);
    for _ in 0..3 {
        paces.came(ACCOUNT);
        assert_eq!(paces.ask(ask(&account), now), Answer::Go);
    }
    assert_eq!(room(&mut paces, now).deliveries, 2);
    (0..2).for_each(|_| assert_eq!(paces.ask(ask(&account), now), Answer::Go));
    let full = Room {
        deliveries: 0,
        again_in: None,
    };
    assert_eq!(room(&mut paces, now), full);
    (0..5).for_each(|_| paces.done(ACCOUNT, &account, ms(0), now));
    // A place is free in ten seconds, and a second before that it is claimed for.
    let again = room(&mut paces, now).again_in.unwrap();
    assert!((ms(9_000)..ms(9_100)).contains(&again), "{again:?}");
    assert_eq!(room(&mut paces, now + again).deliveries, 5);
    // The concurrency limits are for what is under way, not for what waits.
    let limited = paces.room(ACCOUNT, &account, (100, 0), 4, now + again);
    assert_eq!(limited.deliveries, 1, "three are still under way");
}

#[test]
fn no_more_than_the_concurrency_is_under_way_and_an_end_lets_the_next_in() {
    let (mut paces, now) = (Paces::default(), Instant::now());
    let account = gates(&[gate(0, 100, ms(1_000))]);
    let two = || Ask {
        concurrency: 2,
        ..ask(&account)
    };
    assert_eq!(paces.ask(two(), now), Answer::Go);
    assert_eq!(paces.ask(two(), now), Answer::Go);
    let third = ticket(paces.ask(two(), now));
    paces.advance(now + ms(3_000));
    assert!(paces.granted().is_empty());
    paces.done(ACCOUNT, &account, ms(3_000), now + ms(3_000));
    assert_eq!(paces.granted(), [third]);
}

#[test]
fn a_turn_that_nobody_used_is_free_at_once() {
    let (mut paces, now) = (Paces::default(), Instant::now());
    let one = gates(&[gate(0, 1, ms(1_000))]);
    assert_eq!(paces.ask(ask(&one), now), Answer::Go);
    let next = ticket(paces.ask(ask(&one), now));
    paces.unused(ACCOUNT, &one, now);
    assert_eq!(paces.granted(), [next]);
}

#[test]
fn idle_accounts_and_counters_are_forgotten() {
    let (mut paces, start) = (Paces::default(), Instant::now());
    for n in 0_u32..50_000 {
        let now = start + ms(u64::from(n));
        let mut key = Key::default();
        key[..4].copy_from_slice(&n.to_le_bytes());
        let window = Window {
            requests: 1,
            per: ms(1_000),
        };
        let one: Gates = [(key, window)].into();
        let asked = Ask {
            account: key,
            ..ask(&one)
        };
        assert_eq!(paces.ask(asked, now), Answer::Go);
        paces.done(key, &one, ms(1), now);
    }
    assert!(paces.accounts.is_empty());
    assert!(paces.counters.len() <= 4_096, "{} counters", paces.counters.len());
}

#[test]
fn a_window_with_many_places_is_kept_in_little_memory() {
    let (mut paces, mut now) = (Paces::default(), Instant::now());
    let wide = gates(&[gate(0, 100_000, ms(60_000))]);
    for _ in 0..100_000 {
        assert_eq!(paces.ask(ask(&wide), now), Answer::Go);
        paces.done(ACCOUNT, &wide, ms(0), now);
        now += Duration::from_micros(500);
    }
    let kept = paces.counters.values().map(|counter| counter.freed.len()).max();
    assert!(kept <= Some(600), "{kept:?}");
}
