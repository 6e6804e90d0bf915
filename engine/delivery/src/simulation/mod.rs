//! A simulation: the real store, the real core and the real delivery tasks, in a world in which time is
//! simulated and all the rest fails, by a seed. The same seed gives the same run, to the millisecond.
//!
//! - [`world`]: what is set up, and the lives of the process
//! - [`clock`]: the true time, and what the machine's clock shows
//! - [`weather`]: what goes wrong, and how often
//! - [`disk`], [`receiver`]: where it goes wrong
//! - [`emitter`], [`people`]: who does something
//! - [`guest`]: the plugins
//! - [`quiet`]: the same without any faults, for the tests of single duties
//! - [`ledger`]: what the world outside knows; [`oracle`] and [`order`]: what must be true by that
//!
//! `HEDDLE_SEEDS=100000` makes more runs, `HEDDLE_SEED=123` repeats one and shows its trace.

mod at_once;
mod chance;
mod clock;
mod disk;
mod emitter;
mod guest;
mod ledger;
mod oracle;
mod order;
mod people;
pub mod quiet;
mod receiver;
mod restart;
mod trace;
mod weather;
mod world;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use heddle_store::{Store, StoreError};
use tokio::runtime::Builder;
use tokio_util::task::TaskTracker;

use crate::Delivery;
use emitter::Wish;
use world::World;

/// Runs when nobody says how many.
const SEEDS: u64 = 2_000;

/// The longest until all is quiet once nothing fails any more.
const QUIET_WITHIN: Duration = Duration::from_secs(15 * 60);

/// More lives than a process can have by what the weather makes of it.
const LIVES: u32 = 500;

thread_local! {
    /// The panics of this thread's run: the runtime swallows those of tasks.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// How one run went.
struct Run {
    seed: u64,
    faults: Vec<String>,
    lines: Vec<String>,
    hash: u64,
}

/// How one life of the process ended.
enum Ending {
    /// It is gone, and another one follows.
    Gone,
    /// The run is over; this is what is not as it must be.
    Over(Vec<String>),
}

/// Has panics noted, beside what is done with them otherwise. A simulated defect is none.
fn note_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.with_borrow_mut(|panics| panics.push(panic.to_string()));
            before(panic);
        }));
    });
    PANICS.take();
}

/// Makes the run of a seed.
fn run(seed: u64) -> Run {
    note_panics();
    chance::begin(seed);
    let world = World::new(seed);
    let ended = catch_unwind(AssertUnwindSafe(|| {
        loop {
            let runtime = Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .expect("a runtime");
            let ending = runtime.block_on(process(&world));
            // With it go all tasks, wherever they wait, and with them the store.
            drop(runtime);
            match ending {
                Ending::Over(faults) => return faults,
                Ending::Gone if world.life() >= LIVES => return vec!["the process never gets up".into()],
                Ending::Gone => {}
            }
        }
    }));
    let mut faults = ended.unwrap_or_default();
    faults.extend(PANICS.take());
    let trace = world.trace();
    Run {
        seed,
        faults,
        lines: trace.lines().to_vec(),
        hash: trace.hash(),
    }
}

/// One life of the process.
async fn process(world: &Arc<World>) -> Ending {
    world.process_starts();
    let ending = tokio::select! {
        biased;
        () = world.death() => Ending::Gone,
        ending = life(world) => ending.unwrap_or_else(|error| {
            world.note(format_args!("the process gives up: {error}"));
            Ending::Gone
        }),
    };
    world.process_ends();
    ending
}

async fn life(world: &Arc<World>) -> Result<Ending, StoreError> {
    let store = world.store();
    if world.life() == 1 {
        world.tenants.set_up(&store, world.now()).await?;
    }
    world.exposed();
    let engine = world.engine(&store).await?;
    let actors = TaskTracker::new();
    while world.steps_left.load(Ordering::Relaxed) > 0 {
        world.steps_left.fetch_sub(1, Ordering::Relaxed);
        let pause = {
            let mut chance = world.chance();
            match chance.below(20) {
                0 => chance.between(5_000, 100_000),
                1..8 => 0,
                _ => chance.below(1_500),
            }
        };
        tokio::time::sleep(Duration::from_millis(pause)).await;
        if step(world, &store, &engine, &actors).await {
            return Ok(Ending::Gone);
        }
    }
    world.calm();
    actors.close();
    actors.wait().await;
    Ok(Ending::Over(end(world, &store).await?))
}

/// Something happens. Returns whether the process was stopped.
async fn step(world: &Arc<World>, store: &Store, engine: &Delivery, actors: &TaskTracker) -> bool {
    let weather = world.weather();
    let happens = |often| world.chance().happens(often);
    if happens(weather.clock_jumps) {
        let jump = {
            let mut chance = world.chance();
            let size = [2_000, 60_000, 600_000, 10_000_000];
            let most = *chance.pick(&size).unwrap_or(&0);
            let jump = i64::try_from(chance.below(most)).unwrap_or_default();
            if chance.happens(500) { jump } else { -jump }
        };
        world.clock.jump(jump);
        let tick = world.ledger().tick();
        world.ledger().jumps.push(tick);
        world.note(format_args!("the clock jumps by {jump} ms"));
    }
    if happens(weather.outages) {
        let connections = &world.tenants.connections;
        let connection = world.chance().pick(connections).expect("there are connections");
        let verb = match world.turn_black_hole(connection.id) {
            true => "swallows everything",
            false => "is there again",
        };
        world.note(format_args!("{} {verb}", connection.name));
    }
    if happens(weather.restarts) {
        let finished = engine.stop(Duration::from_secs(3)).await;
        store.close().await;
        world.note(format_args!("the process stops in order, finished: {finished}"));
        return true;
    }
    if happens(weather.prunes) {
        actors.spawn(people::prune(Arc::clone(world), store.clone()));
        return false;
    }
    if happens(weather.people) {
        actors.spawn(people::act(Arc::clone(world), store.clone()));
        return false;
    }
    let kind = world.chance().below(10);
    let wishes = match kind {
        0 => (0..4).map(|_| Wish::new(world)).collect(),
        1 | 2 => Wish::again(world).into_iter().collect(),
        _ => vec![Wish::new(world)],
    };
    if !wishes.is_empty() {
        actors.spawn(emitter::emit(
            Arc::clone(world),
            engine.intake(),
            store.clone(),
            wishes,
        ));
    }
    false
}

/// Waits until all is quiet, and says what is not as it must be.
async fn end(world: &Arc<World>, store: &Store) -> Result<Vec<String>, StoreError> {
    people::mend_all(world, store).await;
    let since = world.clock.elapsed();
    while !oracle::is_quiet(world, store).await? {
        if world.clock.elapsed() - since > i64::try_from(QUIET_WITHIN.as_millis()).unwrap_or_default() {
            let found = oracle::found(world, store).await?;
            let open = found.open(&world.ledger());
            return Ok(vec![format!("not quiet after {QUIET_WITHIN:?}:\n{open}")]);
        }
        tokio::time::sleep(Duration::from_secs(3)).await;
        people::look_after_lines(world, store).await?;
    }
    world.note(format_args!("quiet"));
    let arrivals = world.ledger().arrivals.len();
    tokio::time::sleep(Duration::from_secs(70)).await;
    let found = oracle::found(world, store).await?;
    let mut faults = oracle::judged(world, store, &found).await?;
    if world.ledger().arrivals.len() != arrivals {
        faults.push("something is delivered after all has ended".into());
    }
    world.note(format_args!("{arrivals} requests in {} lives", world.life()));
    Ok(faults)
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} must be a number, and is {text:?}")))
}

/// Says what is wrong with a run, and how to see it again.
fn report(run: &Run) -> String {
    format!(
        "{}\n\nseed {}: {}\n\nRepeat it with:\n  HEDDLE_SEED={} cargo test -p heddle-delivery simulation -- --nocapture",
        run.lines.join("\n"),
        run.seed,
        run.faults.join("\n  "),
        run.seed
    )
}

/// Runs `seeds` on all processors; the first few that fail.
fn run_all(seeds: std::ops::Range<u64>) -> Vec<Run> {
    let next = AtomicU64::new(seeds.start);
    let failed = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let run = run(seed);
                    if !run.faults.is_empty() {
                        println!("seed {seed}: {}", run.faults.join("\n  "));
                        failed.lock().unwrap_or_else(PoisonError::into_inner).push(run);
                        // Enough to see whether they are alike.
                        next.fetch_max(seeds.end.min(seed + 200), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn whatever_fails_nothing_is_lost_stuck_or_done_twice_without_a_reason() {
    if let Some(seed) = number("HEDDLE_SEED") {
        let run = run(seed);
        println!("{}\nhash {:016x}", run.lines.join("\n"), run.hash);
        assert!(run.faults.is_empty(), "{}", report(&run));
        return;
    }
    let failed = run_all(0..number("HEDDLE_SEEDS").unwrap_or(SEEDS));
    if let Some(run) = failed.first() {
        panic!("{} runs failed; the first:\n{}", failed.len(), report(run));
    }
}

#[test]
fn a_seed_gives_the_same_run_again() {
    for seed in (0..40).chain(number("HEDDLE_SEED")) {
        let (first, second) = (run(seed), run(seed));
        let differ = first.lines.iter().zip(&second.lines).find(|(a, b)| a != b);
        assert!(
            first.hash == second.hash,
            "seed {seed} is not the same again: {:016x} and {:016x}, from {differ:?} on",
            first.hash,
            second.hash
        );
    }
}
