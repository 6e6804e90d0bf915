use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp(1_774_000_000_000);

fn schedule() -> Schedule {
    "0s,1s,5s".parse().unwrap()
}

fn claimed() -> State {
    State::new(NOW, &schedule(), 1)
        .claim(NOW.plus(Duration::from_secs(60)))
        .unwrap()
}

fn server_error() -> Outcome {
    Outcome::retry(OutcomeCode::RejectedServerError, "503")
}

#[test]
fn a_delivery_succeeds_at_the_first_attempt() {
    let state = claimed()
        .settle(&Outcome::delivered("ok"), NOW, &schedule(), 1)
        .unwrap();
    assert_eq!(
        (state.status, state.attempt_count, state.due_at),
        (Status::Completed, 1, None)
    );
}

#[test]
fn failures_follow_the_schedule_until_it_is_used_up() {
    let mut state = State::new(NOW, &schedule(), 1);
    let mut waits = Vec::new();
    while !state.status.is_final() {
        state = state
            .claim(NOW)
            .unwrap()
            .settle(&server_error(), NOW, &schedule(), 1)
            .unwrap();
        waits.extend(state.due_at.map(|due| due.since(NOW).as_secs()));
    }
    assert_eq!(
        (state.status, state.attempt_count, waits),
        (Status::Failed, 3, vec![1, 5])
    );
}

#[test]
fn throttling_waits_as_asked_and_does_not_use_up_the_schedule() {
    let asked = Duration::from_secs(7);
    let throttled = Outcome {
        verdict: Verdict::Throttled {
            retry_after: Some(asked),
        },
        ..Outcome::retry(OutcomeCode::RateLimited, "429")
    };
    let state = claimed().settle(&throttled, NOW, &schedule(), 1).unwrap();
    assert_eq!(
        (state.status, state.run_attempts, state.run_throttled),
        (Status::Retrying, 0, 1)
    );
    assert!(state.due_at.unwrap() >= NOW.plus(asked));
}

#[test]
fn a_delivery_that_waits_for_its_turn_never_fails_for_it_and_stays_asked_for() {
    let verdict = Verdict::Paced {
        wait: Duration::from_secs(90),
    };
    let paced = Outcome {
        verdict,
        ..server_error()
    };
    let mut state = claimed().cancel().unwrap();
    state = state
        .settle(&paced, NOW, &schedule(), 1)
        .unwrap()
        .retry_now(NOW)
        .unwrap();
    for _ in 0..10 * MAX_THROTTLED {
        state = state
            .claim(NOW)
            .unwrap()
            .settle(&paced, NOW, &schedule(), 1)
            .unwrap();
        assert_eq!(
            (state.run_attempts, state.run_throttled, state.forced),
            (0, 0, true)
        );
        // To the millisecond: the time is its own.
        assert_eq!(state.due_at, Some(NOW.plus(Duration::from_secs(90))));
    }
}

#[test]
fn a_destination_is_obeyed_up_to_a_day() {
    let years = Some(Duration::from_secs(10_000_000_000));
    for verdict in [
        Verdict::Throttled { retry_after: years },
        Verdict::Retry {
            retry_after: years,
            max_attempts: None,
        },
    ] {
        let outcome = Outcome {
            verdict,
            ..server_error()
        };
        let due = claimed()
            .settle(&outcome, NOW, &schedule(), 1)
            .unwrap()
            .due_at
            .unwrap();
        assert!(due <= NOW.plus(MAX_DELAY + MAX_DELAY / 10));
    }
}

#[test]
fn an_adapter_may_ask_for_fewer_attempts_than_the_schedule_has() {
    let impatient = Outcome {
        verdict: Verdict::Retry {
            retry_after: None,
            max_attempts: Some(1),
        },
        ..server_error()
    };
    assert_eq!(
        claimed().settle(&impatient, NOW, &schedule(), 1).unwrap().status,
        Status::Failed
    );
}

#[test]
fn a_cancel_under_way_lets_the_attempt_finish() {
    let canceled = claimed().cancel().unwrap();
    assert_eq!(canceled.status, Status::Processing);
    let cases = [
        (Outcome::delivered("ok"), Status::Completed),
        (server_error(), Status::Canceled),
        (
            Outcome::permanent(OutcomeCode::RejectedClientError, "400"),
            Status::Failed,
        ),
    ];
    for (outcome, expected) in cases {
        assert_eq!(
            canceled.settle(&outcome, NOW, &schedule(), 1).unwrap().status,
            expected
        );
    }
}

#[test]
fn asking_for_an_attempt_is_refused_when_one_is_at_hand() {
    assert_eq!(claimed().retry_now(NOW), Err(RetryRefused::InFlight));
    let due_in = |ms| State {
        status: Status::Retrying,
        due_at: Some(Timestamp(NOW.0 + ms)),
        leased_until: None,
        ..claimed()
    };
    assert_eq!(due_in(2_000).retry_now(NOW), Err(RetryRefused::Imminent));
    assert_eq!(due_in(2_001).retry_now(NOW).unwrap().due_at, Some(NOW));
    let parked = due_in(-5).retry_now(NOW).unwrap();
    assert!(
        parked.forced,
        "one that waits for its inactive connection goes out when asked"
    );
}

#[test]
fn a_replay_is_a_fresh_run_with_the_old_count() {
    let failed = claimed().settle(
        &Outcome::permanent(OutcomeCode::AuthFailed, "401"),
        NOW,
        &schedule(),
        1,
    );
    let replayed = failed.unwrap().retry_now(NOW).unwrap();
    assert_eq!(
        (replayed.status, replayed.attempt_count, replayed.run_attempts),
        (Status::Pending, 1, 0)
    );
}

#[test]
fn one_that_waits_for_its_turn_is_not_claimed_or_tried_now_until_it_is_released() {
    let waiting = State::new(NOW, &schedule(), 1).in_line(true);
    assert_eq!((waiting.status, waiting.turn), (Status::Pending, Turn::Waits));
    assert!(waiting.claim(NOW).is_err());
    assert_eq!(waiting.retry_now(NOW), Err(RetryRefused::NotItsTurn));
    assert_eq!(waiting.cancel().unwrap().turn, Turn::Free);
    let released = waiting.released().unwrap();
    assert_eq!((released.turn, released.due_at), (Turn::Taken, waiting.due_at));
    assert!(released.released().is_err());
    assert!(released.claim(NOW).is_ok());
}

#[test]
fn a_turn_lasts_until_the_delivery_has_ended() {
    let taken = State::new(NOW, &schedule(), 1).in_line(false).claim(NOW).unwrap();
    let retrying = taken.settle(&server_error(), NOW, &schedule(), 1).unwrap();
    assert_eq!((retrying.status, retrying.turn), (Status::Retrying, Turn::Taken));
    let lapsed = taken.expire(NOW, &schedule(), 1).unwrap().0;
    assert_eq!((lapsed.status, lapsed.turn), (Status::Retrying, Turn::Taken));
    assert_eq!(
        retrying.retry_now(NOW.plus(Duration::from_secs(9))).unwrap().turn,
        Turn::Taken
    );
    let ends = [
        taken.settle(&Outcome::delivered("ok"), NOW, &schedule(), 1),
        taken.settle(
            &Outcome::permanent(OutcomeCode::AuthFailed, "401"),
            NOW,
            &schedule(),
            1,
        ),
        taken
            .cancel()
            .unwrap()
            .settle(&server_error(), NOW, &schedule(), 1),
        retrying.cancel(),
    ];
    for end in ends.map(Result::unwrap) {
        assert!(end.status.is_final());
        assert_eq!(end.turn, Turn::Free);
    }
}

#[test]
fn only_a_failure_holds_a_line_and_a_cancel_gives_it_up() {
    let taken = State::new(NOW, &schedule(), 1).in_line(false).claim(NOW).unwrap();
    let delivered = taken
        .settle(&Outcome::delivered("ok"), NOW, &schedule(), 1)
        .unwrap();
    assert_eq!(delivered.ended_in_line(OnFailure::Hold).turn, Turn::Free);
    let refused = Outcome::permanent(OutcomeCode::AuthFailed, "401");
    let failed = taken.settle(&refused, NOW, &schedule(), 1).unwrap();
    assert_eq!(failed.ended_in_line(OnFailure::Continue).turn, Turn::Free);
    assert!(failed.cancel().is_err(), "without a line behind it, it has ended");
    let holds = failed.ended_in_line(OnFailure::Hold);
    assert_eq!(holds.turn, Turn::Holds);
    assert_eq!(holds.let_go(), failed);
    let given_up = holds.cancel().unwrap();
    assert_eq!((given_up.status, given_up.turn), (Status::Canceled, Turn::Free));
    assert_eq!(holds.retry_now(NOW).unwrap().status, Status::Pending);
}

#[test]
fn an_event_shows_the_furthest_that_its_deliveries_have_come() {
    let cases = [
        (Tally::default(), Status::Completed),
        (
            Tally {
                pending: 2,
                ..Tally::default()
            },
            Status::Pending,
        ),
        (
            Tally {
                pending: 1,
                completed: 1,
                ..Tally::default()
            },
            Status::Processing,
        ),
        (
            Tally {
                pending: 1,
                processing: 1,
                ..Tally::default()
            },
            Status::Processing,
        ),
        (
            Tally {
                retrying: 1,
                completed: 1,
                ..Tally::default()
            },
            Status::Retrying,
        ),
        (
            Tally {
                failed: 1,
                completed: 3,
                ..Tally::default()
            },
            Status::Failed,
        ),
        (
            Tally {
                canceled: 2,
                ..Tally::default()
            },
            Status::Canceled,
        ),
        (
            Tally {
                canceled: 1,
                completed: 1,
                ..Tally::default()
            },
            Status::Completed,
        ),
    ];
    for (tally, expected) in cases {
        assert_eq!(tally.status(), expected, "{tally:?}");
    }
}

#[derive(Clone, Debug)]
enum Input {
    Claim,
    Settle(Verdict),
    Cancel,
    RetryNow,
    Expire,
    Release,
    LetGo,
}

fn inputs() -> impl Strategy<Value = Input> {
    let wait = || proptest::option::of((0u64..=90_000_000).prop_map(Duration::from_millis));
    prop_oneof![
        3 => Just(Input::Claim),
        1 => Just(Input::Settle(Verdict::Delivered)),
        1 => Just(Input::Settle(Verdict::Permanent)),
        3 => (wait(), proptest::option::of(0u32..9)).prop_map(|(retry_after, max_attempts)| {
            Input::Settle(Verdict::Retry { retry_after, max_attempts })
        }),
        2 => wait().prop_map(|w| Input::Settle(Verdict::Throttled { retry_after: w })),
        1 => wait().prop_map(|w| Input::Settle(Verdict::Paced { wait: w.unwrap_or_default() })),
        1 => Just(Input::Cancel),
        1 => Just(Input::RetryNow),
        1 => Just(Input::Expire),
        2 => Just(Input::Release),
        1 => Just(Input::LetGo),
    ]
}

proptest! {
    /// Whatever happens in whatever order, no state outside the machine is reached: the columns
    /// agree with the status, the next time is never in the past, and refusals change nothing.
    #[test]
    fn no_input_leads_outside_the_machine(
        inputs in proptest::collection::vec((inputs(), 0i64..100_000, any::<u64>()), 0..60),
        ordered: bool,
        others_first: bool,
    ) {
        let schedule = schedule();
        let (mut state, mut now) = (State::new(NOW, &schedule, 1), NOW);
        if ordered {
            state = state.in_line(others_first);
        }
        for (input, later, seed) in inputs {
            now = Timestamp(now.0 + later);
            let before = state;
            state = match input {
                Input::Claim => state.claim(now.plus(Duration::from_secs(60))).unwrap_or(before),
                Input::Settle(verdict) => {
                    let outcome = Outcome { verdict, ..server_error() };
                    let next = state.settle(&outcome, now, &schedule, seed).unwrap_or(before);
                    if let (Status::Processing, Some(due)) = (before.status, next.due_at) {
                        prop_assert!(due >= now);
                        prop_assert!(due <= now.plus(MAX_DELAY + MAX_DELAY / 10));
                    }
                    // Odd seeds are rules that hold.
                    let ended = before.turn == Turn::Taken && next.status == Status::Failed;
                    if ended && seed % 2 == 1 { next.ended_in_line(OnFailure::Hold) } else { next }
                }
                Input::Cancel => state.cancel().unwrap_or(before),
                Input::RetryNow => match state.retry_now(now) {
                    Ok(next) if ordered && before.status.is_final() => next.in_line(seed % 3 == 0),
                    result => result.unwrap_or(before),
                },
                Input::Release => state.released().unwrap_or(before),
                Input::LetGo => state.let_go(),
                Input::Expire => state.expire(now, &schedule, seed).map_or(before, |(next, _)| next),
            };
            let waits = matches!(state.status, Status::Pending | Status::Retrying);
            prop_assert_eq!(state.due_at.is_some(), waits);
            prop_assert_eq!(state.leased_until.is_some(), state.status == Status::Processing);
            let in_turn = matches!(state.turn, Turn::Taken | Turn::Waits);
            prop_assert_eq!(in_turn, ordered && !state.status.is_final());
            prop_assert!(state.turn != Turn::Waits || waits);
            prop_assert!(state.turn != Turn::Holds || state.status == Status::Failed);
            prop_assert!(!state.cancel_requested || state.status == Status::Processing);
            prop_assert!(state.run_attempts <= schedule.attempts());
            prop_assert!(state.run_throttled <= MAX_THROTTLED);
        }
    }

    /// Without a person who asks again, every delivery ends, once it has had its turns.
    #[test]
    fn attempts_are_bounded(verdicts in proptest::collection::vec(inputs(), 1..20), seed: u64) {
        let schedule = schedule();
        let mut state = State::new(NOW, &schedule, seed);
        let leads_nowhere = |input: &Input| {
            matches!(input, Input::Settle(Verdict::Paced { .. }) | Input::Release | Input::LetGo)
        };
        prop_assume!(!verdicts.iter().all(leads_nowhere));
        for verdict in verdicts.iter().cycle() {
            if matches!(verdict, Input::Release | Input::LetGo) { continue }
            let Input::Settle(verdict) = verdict else {
                if state.status.is_final() { break }
                state = state.claim(NOW).unwrap().expire(NOW, &schedule, seed).unwrap().0;
                continue;
            };
            if state.status.is_final() { break }
            if matches!(verdict, Verdict::Paced { .. }) { continue }
            let outcome = Outcome { verdict: *verdict, ..server_error() };
            state = state.claim(NOW).unwrap().settle(&outcome, NOW, &schedule, seed).unwrap();
            prop_assert!(state.attempt_count <= schedule.attempts() + MAX_THROTTLED);
        }
    }
}
