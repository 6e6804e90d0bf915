//! The one thread that writes. It takes the commands that wait, commits them together and only then
//! answers: the sync of one commit is shared by all of them.
//!
//! A command that fails is undone by itself. Most run in a savepoint for that. The few that make up
//! nearly all of the load ([`Writer::write_again`]) can be run again instead, and run without one, since
//! SQLite copies every page that is changed within a savepoint: only when one of them fails is their
//! transaction undone, and each run anew in a savepoint.
//!
//! Where much is to be done, a group waits until two milliseconds after the one before ([`Rhythm`]): larger
//! groups take less of disk and processor for each command.
//!
//! A transaction that is lost (the disk is full, the file is locked) fails every command of its group
//! and nothing else: the thread goes on with the next.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use heddle_core::id::{ConnectionId, RuleId, SessionId, WorkspaceId};
use heddle_core::time::Timestamp;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::Shared;
use crate::error::StoreError;
use crate::events::Moves;
use crate::memo::Memo;
use crate::stop::{self, Stop};
use crate::usage::Counted;

mod simulated;

/// Commands that may wait for the writer; more wait to be let in.
const QUEUE: usize = 1024;

/// The most commands of one commit.
const GROUP: usize = 256;

/// The most bytes of one commit, as the commands estimate themselves.
const GROUP_BYTES: usize = 8 << 20;

/// After a group of so many commands the next one waits for more to come together: twelve thousand of them
/// a second keep it so.
const CROWD: usize = 24;

/// How far apart groups begin then. A commit writes whole pages, the same ones for few commands as for
/// many, and syncs once.
const APART: Duration = Duration::from_millis(2);

/// What others must learn once a command is committed.
#[derive(Default)]
pub(crate) struct Effects {
    due: Vec<(ConnectionId, Timestamp)>,
    connections: Vec<ConnectionId>,
    rules: Vec<(WorkspaceId, Option<RuleId>)>,
    replays: bool,
    left_behind: bool,
    machine_keys: Vec<String>,
    sessions: Vec<SessionId>,
    publishable_keys: Vec<String>,
    workspaces: Vec<WorkspaceId>,
    limits: Vec<WorkspaceId>,
    /// What was done, to be written before the commit.
    pub counted: Counted,
    /// What became of deliveries, to be written into their events: at the latest before the commit, and
    /// before a command in a savepoint ends.
    pub moves: Moves,
    /// What does not change while only commands run that can be run again.
    pub memo: Memo,
}

impl Effects {
    /// Work of this lane is due at this time.
    pub fn due(&mut self, connection: ConnectionId, at: Timestamp) {
        self.due.push((connection, at));
    }

    /// The row of this connection changed.
    pub fn connection(&mut self, id: ConnectionId) {
        self.connections.push(id);
    }

    /// A rule was made, changed or deleted.
    pub fn rule(&mut self, workspace: WorkspaceId, rule: RuleId) {
        self.rules.push((workspace, Some(rule)));
    }

    /// Any of the rules of this workspace changed.
    pub fn rules(&mut self, workspace: WorkspaceId) {
        self.rules.push((workspace, None));
    }

    /// A bulk replay was made or goes on. Told even when the command is undone: it only makes the
    /// replayer look.
    pub fn replays(&mut self) {
        self.replays = true;
    }

    /// A rule left deliveries behind. Told even when the command is undone: it only makes the remover look.
    pub fn left_behind(&mut self) {
        self.left_behind = true;
    }

    /// This machine key changed.
    pub fn machine_key(&mut self, access_key: String) {
        self.machine_keys.push(access_key);
    }

    /// This session changed.
    pub fn session(&mut self, id: SessionId) {
        self.sessions.push(id);
    }

    /// The publishable key with this text changed.
    pub fn publishable_key(&mut self, text: String) {
        self.publishable_keys.push(text);
    }

    /// This workspace was deleted, and with it all that it had.
    pub fn workspace(&mut self, id: WorkspaceId) {
        self.workspaces.push(id);
    }

    /// The limits of this workspace changed.
    pub fn limits(&mut self, workspace: WorkspaceId) {
        self.limits.push(workspace);
    }

    fn mark(&self) -> [usize; 9] {
        [
            self.due.len(),
            self.connections.len(),
            self.rules.len(),
            self.machine_keys.len(),
            self.sessions.len(),
            self.limits.len(),
            self.counted.mark(),
            self.publishable_keys.len(),
            self.workspaces.len(),
        ]
    }

    fn back_to(&mut self, mark: [usize; 9]) {
        self.due.truncate(mark[0]);
        self.connections.truncate(mark[1]);
        self.rules.truncate(mark[2]);
        self.machine_keys.truncate(mark[3]);
        self.sessions.truncate(mark[4]);
        self.limits.truncate(mark[5]);
        self.counted.back_to(mark[6]);
        self.publishable_keys.truncate(mark[7]);
        self.workspaces.truncate(mark[8]);
        // It had not come to be written.
        self.moves = Moves::default();
    }

    fn tell(self, shared: &Shared) {
        for id in &self.connections {
            shared.connections.forget(id);
        }
        for (workspace, rule) in &self.rules {
            match rule {
                Some(rule) => shared.routings.change(*workspace, *rule),
                None => shared.routings.forget(*workspace),
            }
        }
        for workspace in &self.limits {
            shared.limits.forget(workspace);
        }
        for access_key in &self.machine_keys {
            shared.machine_keys.forget(access_key);
        }
        for id in &self.sessions {
            shared.sessions.forget(id);
        }
        for text in &self.publishable_keys {
            shared.publishable_keys.forget(text);
        }
        for workspace in &self.workspaces {
            shared.forget_workspace(*workspace);
        }
        shared.due.add(self.due);
        if self.replays {
            shared.replays.notify_one();
        }
        if self.left_behind {
            shared.removals.notify_one();
        }
    }
}

/// The way to the thread.
pub(crate) struct Writer {
    queue: mpsc::Sender<Message>,
    commits: Arc<AtomicU64>,
}

enum Message {
    Command(Box<dyn Command>),
    /// Close the file, end.
    Close(oneshot::Sender<()>),
    /// Outside any transaction.
    #[cfg(test)]
    Between(Box<dyn FnOnce(&Connection) + Send>),
}

trait Command: Send {
    fn bytes(&self) -> usize;
    /// Whether it may be run several times, each but the last undone.
    fn runs_again(&self) -> bool;
    /// Returns whether what it did is to be kept. What it leaves to be written with the rest of its
    /// group is written at once when it runs `apart`.
    fn run(&mut self, connection: &Connection, effects: &mut Effects, apart: bool) -> bool;
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Work<T, F> {
    bytes: usize,
    work: F,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

/// What a command does.
trait Run<T>: Send {
    const AGAIN: bool;
    fn run(&mut self, connection: &Connection, effects: &mut Effects) -> Result<T, StoreError>;
}

struct Once<F>(Option<F>);

impl<T, F> Run<T> for Once<F>
where
    F: FnOnce(&Connection, &mut Effects) -> Result<T, StoreError> + Send,
{
    const AGAIN: bool = false;

    fn run(&mut self, connection: &Connection, effects: &mut Effects) -> Result<T, StoreError> {
        match self.0.take() {
            Some(work) => work(connection, effects),
            None => Err(StoreError::broken("a command was run twice")),
        }
    }
}

struct Again<F>(F);

impl<T, F> Run<T> for Again<F>
where
    F: Fn(&Connection, &mut Effects) -> Result<T, StoreError> + Send,
{
    const AGAIN: bool = true;

    fn run(&mut self, connection: &Connection, effects: &mut Effects) -> Result<T, StoreError> {
        (self.0)(connection, effects)
    }
}

impl<T, F> Command for Work<T, F>
where
    T: Send,
    F: Run<T>,
{
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn runs_again(&self) -> bool {
        F::AGAIN
    }

    fn run(&mut self, connection: &Connection, effects: &mut Effects, apart: bool) -> bool {
        let work = || {
            let result = self.work.run(connection, effects)?;
            if apart {
                effects.moves.write(connection)?;
            }
            Ok(result)
        };
        // A defect in one command must not take the thread, and with it the store, down.
        let result = catch_unwind(AssertUnwindSafe(work))
            .unwrap_or_else(|_| Err(StoreError::broken("a command panicked")));
        self.result.insert(result).is_ok()
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        // Even a refusal ("the name is taken") may rest on what a lost transaction had written.
        let Self { result, reply, .. } = *self;
        let result = result.unwrap_or_else(|| Err(StoreError::unavailable("the command was not run")));
        // Whoever asked may have gone; what is committed stays.
        let _ = reply.send(committed.and(result));
    }
}

impl Writer {
    /// Starts the thread.
    pub fn start(connection: Connection, shared: Arc<Shared>) -> std::io::Result<Self> {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let commits = Arc::new(AtomicU64::new(0));
        let thread = Thread {
            connection,
            shared,
            commits: Arc::clone(&commits),
            memo: Cell::default(),
        };
        std::thread::Builder::new()
            .name("heddle-store-writer".into())
            .spawn(move || thread.run(waiting))?;
        Ok(Self { queue, commits })
    }

    /// Runs `work` in a transaction and returns its result once that is committed. `bytes` is about
    /// what it writes.
    pub async fn write<T, F>(&self, bytes: usize, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, &mut Effects) -> Result<T, StoreError> + Send + 'static,
    {
        self.send(bytes, Once(Some(work))).await
    }

    /// [`Self::write`] for work that may be run several times, each but the last undone. It must not
    /// change workspaces, rules or connections that others of its kind read ([`Memo`]).
    pub async fn write_again<T, F>(&self, bytes: usize, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Connection, &mut Effects) -> Result<T, StoreError> + Send + 'static,
    {
        self.send(bytes, Again(work)).await
    }

    async fn send<T, W>(&self, bytes: usize, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Run<T> + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let command = Work {
            bytes,
            work,
            result: None,
            reply,
        };
        self.queue
            .send(Message::Command(Box::new(command)))
            .await
            .map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Finishes what waits, then closes the file. What comes later is refused.
    pub async fn close(&self) {
        let (reply, answer) = oneshot::channel();
        if self.queue.send(Message::Close(reply)).await.is_ok() {
            let _ = answer.await;
        }
    }

    /// Group commits so far.
    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// Commands that wait for the thread.
    #[cfg(test)]
    pub fn waiting(&self) -> usize {
        QUEUE - self.queue.capacity()
    }

    /// Runs `work` on the writing connection, between two transactions.
    #[cfg(test)]
    pub async fn between<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> T + Send + 'static,
    ) -> T {
        let (reply, answer) = oneshot::channel();
        let run = Box::new(move |connection: &Connection| _ = reply.send(work(connection)));
        assert!(
            self.queue.send(Message::Between(run)).await.is_ok(),
            "the writer is there"
        );
        answer.await.expect("the writer answers")
    }
}

fn closed() -> StoreError {
    StoreError::unavailable("it is closed")
}

struct Thread {
    connection: Connection,
    shared: Arc<Shared>,
    commits: Arc<AtomicU64>,
    memo: Cell<Memo>,
}

impl Thread {
    fn run(self, mut waiting: mpsc::Receiver<Message>) {
        let mut next = waiting.blocking_recv();
        let mut rhythm = Rhythm::new();
        while let Some(message) = next.take() {
            match message {
                Message::Command(first) => {
                    let group;
                    std::thread::sleep(rhythm.pause(Instant::now()));
                    (group, next) = gather(first, &mut waiting);
                    rhythm.begins(Instant::now(), group.len());
                    // Whatever fails in here, the next group gets its turn: a transaction that is left
                    // open is rolled back when the next one cannot begin.
                    let _ = catch_unwind(AssertUnwindSafe(|| self.commit(group)));
                }
                Message::Close(reply) => return self.finish(waiting, reply),
                #[cfg(test)]
                Message::Between(work) => {
                    self.memo.take();
                    work(&self.connection);
                }
            }
            if next.is_none() {
                next = waiting.blocking_recv();
            }
        }
    }

    /// Commits a group and answers it: those that can be run again first. Nobody was answered yet, so
    /// that the order is nobody's business.
    fn commit(&self, group: Vec<Box<dyn Command>>) {
        let (again, once): (Vec<_>, Vec<_>) = group.into_iter().partition(|command| command.runs_again());
        for mut group in [again, once] {
            if group.is_empty() {
                continue;
            }
            let committed = self.keep(&mut group);
            for command in group {
                command.answer(committed.clone());
            }
        }
    }

    /// Commits a group, and tells everybody but those who asked.
    fn keep(&self, group: &mut [Box<dyn Command>]) -> Result<(), StoreError> {
        // It is put back only when nothing ran that could make it untrue.
        let mut effects = Effects {
            memo: self.memo.take(),
            ..Effects::default()
        };
        let mut committed = Ok(false);
        if group.iter().all(|command| command.runs_again()) {
            committed = self.transaction(&mut effects, |effects| self.run_together(group, effects));
            if let Ok(true) = committed {
                self.memo.set(std::mem::take(&mut effects.memo).within_bounds());
            }
        }
        if let Ok(false) = committed {
            effects = Effects::default();
            committed = self.transaction(&mut effects, |effects| self.run_apart(group, effects));
        }
        match &committed {
            Ok(_) => {
                self.commits.fetch_add(1, Ordering::Relaxed);
                effects.tell(&self.shared);
            }
            Err(error) => {
                tracing::error!(%error, commands = group.len(), "a commit failed; nothing of it was kept");
            }
        }
        committed.map(drop)
    }

    /// Commits what waits, and closes the file.
    fn finish(self, mut waiting: mpsc::Receiver<Message>, reply: oneshot::Sender<()>) {
        waiting.close();
        let mut rest = Vec::new();
        while let Ok(message) = waiting.try_recv() {
            if let Message::Command(command) = message {
                rest.push(command);
            }
        }
        self.commit(rest);
        self.close();
        let _ = reply.send(());
    }

    /// Runs `work` in a transaction; returns whether that was committed, or undone as the work wished.
    fn transaction(
        &self,
        effects: &mut Effects,
        work: impl FnOnce(&mut Effects) -> rusqlite::Result<bool>,
    ) -> Result<bool, StoreError> {
        let result = self
            .execute("BEGIN IMMEDIATE")
            .and_then(|()| work(effects))
            .and_then(|keep| match keep {
                true => self.commit_transaction().map(|()| true),
                false => self.execute("ROLLBACK").map(|()| false),
            });
        if result.is_err() && !self.connection.is_autocommit() {
            // The only way that this fails is that SQLite has rolled back already.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        // Whatever a command called the loss of its group, to the rest of it the store is unavailable.
        result.map_err(|error| match StoreError::from(error) {
            unavailable @ StoreError::Unavailable { .. } => unavailable,
            other => StoreError::unavailable(other.to_string()),
        })
    }

    fn commit_transaction(&self) -> rusqlite::Result<()> {
        stop::before_commit();
        self.execute("COMMIT")?;
        stop::after_commit();
        Ok(())
    }

    /// Runs commands that can be run again, without savepoints; returns whether all of them worked. If not,
    /// each has to be run apart.
    fn run_together(&self, group: &mut [Box<dyn Command>], effects: &mut Effects) -> rusqlite::Result<bool> {
        let connection = &self.connection;
        for (place, command) in group.iter_mut().enumerate() {
            if place > 0 {
                stop::at(Stop::InGroup);
            }
            if !command.run(connection, effects, false) {
                return Ok(false);
            }
        }
        if effects.moves.write(connection).is_err() {
            return Ok(false);
        }
        effects.counted.write(connection)?;
        Ok(true)
    }

    /// Runs each command in a savepoint, so that it fails alone.
    fn run_apart(&self, group: &mut [Box<dyn Command>], effects: &mut Effects) -> rusqlite::Result<bool> {
        for (place, command) in group.iter_mut().enumerate() {
            if place > 0 {
                stop::at(Stop::InGroup);
            }
            let mark = effects.mark();
            self.execute("SAVEPOINT command")?;
            effects.memo = Memo::default();
            if !command.run(&self.connection, effects, true) {
                effects.back_to(mark);
                // When SQLite has rolled everything back by itself, there is no savepoint, and this
                // fails: the group is lost.
                self.execute("ROLLBACK TO command")?;
            }
            self.execute("RELEASE command")?;
        }
        effects.counted.write(&self.connection)?;
        Ok(true)
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }

    fn close(self) {
        // SQLite moves the log into the database and removes it when no other process has it open.
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "the database was not closed cleanly; the next start mends it");
        }
    }
}

/// When groups begin: at once where there is little to do, apart from each other where there is much.
struct Rhythm {
    began: Instant,
    commands: usize,
}

impl Rhythm {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            commands: 0,
        }
    }

    /// How long to wait before the next group.
    fn pause(&self, now: Instant) -> Duration {
        if self.commands < CROWD {
            return Duration::ZERO;
        }
        APART.saturating_sub(now.saturating_duration_since(self.began))
    }

    /// A group of so many commands begins.
    fn begins(&mut self, now: Instant, commands: usize) {
        (self.began, self.commands) = (now, commands);
    }
}

/// The commands that wait, up to a group's limits, and the message that ended the gathering.
fn gather(
    first: Box<dyn Command>,
    waiting: &mut mpsc::Receiver<Message>,
) -> (Vec<Box<dyn Command>>, Option<Message>) {
    let mut bytes = first.bytes();
    let mut group = vec![first];
    while group.len() < GROUP && bytes < GROUP_BYTES {
        match waiting.try_recv() {
            Ok(Message::Command(command)) => {
                bytes = bytes.saturating_add(command.bytes());
                group.push(command);
            }
            Ok(other) => return (group, Some(other)),
            Err(_) => break,
        }
    }
    (group, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_keep_apart_only_while_many_commands_come() {
        let start = Instant::now();
        let mut rhythm = Rhythm::new();
        assert_eq!(rhythm.pause(start), Duration::ZERO);
        rhythm.begins(start, CROWD - 1);
        assert_eq!(rhythm.pause(start), Duration::ZERO);
        rhythm.begins(start, CROWD);
        assert_eq!(rhythm.pause(start + APART / 4), APART / 4 * 3);
        assert_eq!(rhythm.pause(start + APART * 3), Duration::ZERO);
    }
}
