//! What stands in the place of the disk in a simulation: it says how long a commit or a read takes, and
//! which ones fail. The rest of the store is the same as ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::Connection;

/// The disk of a simulation.
pub trait Disk: Send + Sync + 'static {
    /// What becomes of the commit that comes next.
    fn commit(&self) -> Fate;
    /// What becomes of the read that comes next.
    fn read(&self) -> Fate;
}

/// How one commit or one read goes. A wait without end is a process that dies right there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fate {
    /// Goes by before it begins; commands that come meanwhile join the group.
    pub before: Duration,
    /// What fails.
    pub fault: Option<Fault>,
    /// Goes by between the end and the answer.
    pub after: Duration,
}

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every statement that is long enough, after this many more turns of SQLite's machine: somewhere
    /// within the group, or none when it is done before.
    Statement(u32),
    /// The commit itself.
    Commit,
}

/// Turns of SQLite's machine between two looks at whether a statement is to fail.
const TURNS: i32 = 10;

/// The way by which a fault gets into SQLite: through its own hooks, so that what follows is its own
/// way of failing.
#[derive(Clone, Default)]
pub(crate) struct Saboteur(Arc<Sabotage>);

#[derive(Default)]
struct Sabotage {
    commit: AtomicBool,
    /// Looks left before a statement fails, plus one; zero is never.
    statement: AtomicU32,
}

impl Saboteur {
    pub fn new(connection: &mut Connection) -> rusqlite::Result<Self> {
        let saboteur = Self::default();
        let of_commits = saboteur.clone();
        connection.commit_hook(Some(move || {
            // SQLite looks once more behind it, and what is committed has not failed.
            of_commits.0.statement.store(0, Ordering::Relaxed);
            of_commits.0.commit.load(Ordering::Relaxed)
        }))?;
        let of_statements = saboteur.clone();
        connection.progress_handler(TURNS, Some(move || of_statements.ends()))?;
        Ok(saboteur)
    }

    pub fn arm(&self, fault: Option<Fault>) {
        let turns = match fault {
            Some(Fault::Statement(turns)) => turns / TURNS.unsigned_abs() + 1,
            _ => 0,
        };
        self.0.statement.store(turns, Ordering::Relaxed);
        self.0
            .commit
            .store(fault == Some(Fault::Commit), Ordering::Relaxed);
    }

    fn ends(&self) -> bool {
        let left = self.0.statement.load(Ordering::Relaxed);
        if left > 1 {
            self.0.statement.store(left - 1, Ordering::Relaxed);
        }
        left == 1
    }
}

/// Lets the others have their turn, and time go by.
pub(crate) async fn pass(time: Duration) {
    match time {
        Duration::ZERO => tokio::task::yield_now().await,
        Duration::MAX => std::future::pending().await,
        time => tokio::time::sleep(time).await,
    }
}
