use proptest::prelude::*;

use super::*;

const ACCOUNT: Key = [1; 16];
const FULL: usize = 16;
const NOW: Timestamp = Timestamp(1_000_000);

fn throttled(seconds: impl Into<Option<u64>>) -> Sign {
    Sign::Throttled {
        retry_after: seconds.into().map(Duration::from_secs),
    }
}

const STRAINED: Sign = Sign::Strained { retry_after: None };

fn claim(throttles: &mut Throttles) -> Ease {
    throttles.claimed(ACCOUNT, FULL, true)
}

fn attempt(throttles: &mut Throttles, sign: Sign, now: Timestamp) -> Option<Duration> {
    let ease = claim(throttles);
    throttles.ended(&ease, sign, now)
}

#[test]
fn a_batch_that_is_refused_halves_what_is_under_way_once() {
    for sign in [throttled(3), STRAINED] {
        let mut throttles = Throttles::default();
        let batch: Vec<Ease> = (0..FULL).map(|_| claim(&mut throttles)).collect();
        for ease in &batch {
            throttles.ended(ease, sign, NOW);
        }
        assert_eq!(throttles.width(&ACCOUNT), Some(FULL / 2));
        attempt(&mut throttles, sign, NOW);
        assert_eq!(throttles.width(&ACCOUNT), Some(FULL / 4));
    }
}

#[test]
fn there_is_always_one_and_what_goes_well_brings_back_the_rest() {
    let mut throttles = Throttles::default();
    for _ in 0..10 {
        attempt(&mut throttles, STRAINED, NOW);
    }
    assert_eq!(throttles.width(&ACCOUNT), Some(1));
    // One more for each round that went well: 1, then 2, then 3.
    for width in 1..FULL {
        assert_eq!(throttles.width(&ACCOUNT), Some(width));
        for _ in 0..width {
            attempt(&mut throttles, Sign::Up, NOW);
        }
    }
    assert_eq!(throttles.width(&ACCOUNT), None);
    assert!(throttles.entries.is_empty());
}

#[test]
fn the_wait_that_a_destination_names_is_kept_for_the_whole_account() {
    let mut throttles = Throttles::default();
    assert_eq!(
        attempt(&mut throttles, throttled(30), NOW),
        Some(Duration::from_secs(30))
    );
    let until = NOW.plus(Duration::from_secs(30));
    assert_eq!(throttles.paused(&ACCOUNT, NOW), Some(until));
    assert_eq!(throttles.paused(&ACCOUNT, until), None);
    assert_eq!(throttles.paused(&[2; 16], NOW), None, "another account");
    // Of those under way at the time, the one that names the latest end counts.
    let mut throttles = Throttles::default();
    let batch = [
        claim(&mut throttles),
        claim(&mut throttles),
        claim(&mut throttles),
    ];
    for (ease, seconds) in batch.iter().zip([10, 40, 20]) {
        throttles.ended(ease, throttled(seconds), NOW);
    }
    assert_eq!(
        throttles.paused(&ACCOUNT, NOW),
        Some(NOW.plus(Duration::from_secs(40)))
    );
}

#[test]
fn a_503_that_names_a_time_pauses_too_and_one_that_names_none_does_not() {
    let mut throttles = Throttles::default();
    attempt(&mut throttles, STRAINED, NOW);
    assert_eq!(throttles.paused(&ACCOUNT, NOW), None);
    let retry_after = Some(Duration::from_secs(20));
    attempt(&mut throttles, Sign::Strained { retry_after }, NOW);
    assert!(throttles.paused(&ACCOUNT, NOW).is_some());
}

#[test]
fn a_429_that_names_no_time_makes_growing_pauses() {
    let mut throttles = Throttles::default();
    let mut now = NOW;
    for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        attempt(&mut throttles, throttled(None), now);
        let until = throttles.paused(&ACCOUNT, now).unwrap();
        assert_eq!(until.since(now), Duration::from_secs(seconds));
        now = until;
    }
    // What goes well begins it anew.
    attempt(&mut throttles, Sign::Up, now);
    attempt(&mut throttles, throttled(None), now);
    let until = throttles.paused(&ACCOUNT, now).unwrap();
    assert_eq!(until.since(now), Duration::from_secs(1));
}

#[test]
fn one_answer_pauses_for_five_minutes_at_most() {
    let mut throttles = Throttles::default();
    attempt(&mut throttles, throttled(86_400), NOW);
    assert_eq!(throttles.paused(&ACCOUNT, NOW), Some(NOW.plus(LONGEST_PAUSE)));
}

#[test]
fn where_channels_are_counted_apart_a_429_pauses_nobody_else() {
    let mut throttles = Throttles::default();
    let ease = throttles.claimed(ACCOUNT, FULL, false);
    assert_eq!(throttles.ended(&ease, throttled(30), NOW), None);
    assert_eq!(throttles.paused(&ACCOUNT, NOW), None);
    assert_eq!(throttles.width(&ACCOUNT), Some(FULL / 2));
}

#[test]
fn other_failures_say_nothing_of_what_an_account_bears() {
    let mut throttles = Throttles::default();
    for sign in [Sign::Down, Sign::None, Sign::Up] {
        assert_eq!(attempt(&mut throttles, sign, NOW), None);
    }
    assert!(throttles.entries.is_empty());
}

#[test]
fn what_was_under_way_before_does_not_bring_back_what_was_taken() {
    let mut throttles = Throttles::default();
    let batch: Vec<Ease> = (0..FULL).map(|_| claim(&mut throttles)).collect();
    throttles.ended(&batch[0], throttled(3), NOW);
    for ease in &batch[1..] {
        throttles.ended(ease, Sign::Up, NOW);
    }
    assert_eq!(throttles.width(&ACCOUNT), Some(FULL / 2));
}

#[test]
fn a_pause_outlasts_what_goes_well_meanwhile() {
    let mut throttles = Throttles::default();
    let ease = throttles.claimed(ACCOUNT, 1, true);
    throttles.ended(&ease, throttled(60), NOW);
    let forced = throttles.claimed(ACCOUNT, 1, true);
    throttles.ended(&forced, Sign::Up, NOW);
    assert!(throttles.paused(&ACCOUNT, NOW).is_some());
}

#[test]
fn a_clock_that_is_set_back_ends_the_pause() {
    let mut throttles = Throttles::default();
    attempt(&mut throttles, throttled(60), NOW);
    assert_eq!(
        throttles.paused(&ACCOUNT, NOW.minus(Duration::from_secs(60))),
        None
    );
}

#[test]
fn accounts_that_nothing_is_heard_of_are_forgotten() {
    let mut throttles = Throttles::default();
    let account = |n: u32| {
        let mut key = Key::default();
        key[..4].copy_from_slice(&n.to_be_bytes());
        key
    };
    for n in 0..10_000 {
        let ease = throttles.claimed(account(n), FULL, true);
        throttles.ended(&ease, STRAINED, NOW.plus(Duration::from_secs(60 * u64::from(n))));
    }
    assert!(
        throttles.entries.len() <= 2 * SWEEP_AT,
        "{}",
        throttles.entries.len()
    );
}

proptest! {
    /// A destination that bears `bears` at once and answers 429 above it: it ends up with at least half
    /// of what it bears, and never with more than one too many.
    #[test]
    fn it_settles_at_what_the_destination_bears(bears in 1_usize..FULL) {
        let mut throttles = Throttles::default();
        let mut now = NOW;
        for round in 0..500 {
            if let Some(until) = throttles.paused(&ACCOUNT, now) {
                now = until;
            }
            let width = throttles.width(&ACCOUNT).unwrap_or(FULL);
            if round > 50 {
                prop_assert!(width <= bears + 1, "{width} where {bears} are borne");
                prop_assert!(width >= bears.div_ceil(2), "{width} where {bears} are borne");
            }
            let batch: Vec<Ease> = (0..width).map(|_| claim(&mut throttles)).collect();
            for (n, ease) in batch.iter().enumerate() {
                let sign = if n < bears { Sign::Up } else { throttled(1) };
                throttles.ended(ease, sign, now);
            }
            now = now.plus(Duration::from_secs(1));
        }
    }
}
