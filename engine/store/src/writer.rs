//! The one thread that writes. It takes the commands that wait, runs each in a savepoint, commits
//! them together and only then answers: the sync of one commit is shared by all of them.
//!
//! A command that fails is undone by itself. A transaction that is lost (the disk is full, the file
//! is locked) fails every command of its group and nothing else: the thread goes on with the next.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use heddle_core::id::{ConnectionId, RuleId, SessionId, WorkspaceId};
use heddle_core::time::Timestamp;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::Shared;
use crate::error::StoreError;
use crate::stop::{self, Stop};
use crate::usage::Counted;

mod simulated;

/// Commands that may wait for the writer; more wait to be let in.
const QUEUE: usize = 1024;

/// The most commands of one commit.
const GROUP: usize = 256;

/// The most bytes of one commit, as the commands estimate themselves.
const GROUP_BYTES: usize = 8 << 20;

/// What others must learn once a command is committed.
#[derive(Default)]
pub(crate) struct Effects {
    due: Vec<(ConnectionId, Timestamp)>,
    connections: Vec<ConnectionId>,
    rules: Vec<(WorkspaceId, Option<RuleId>)>,
    replays: bool,
    machine_keys: Vec<String>,
    sessions: Vec<SessionId>,
    publishable_keys: Vec<String>,
    workspaces: Vec<WorkspaceId>,
    limits: Vec<WorkspaceId>,
    /// What was done, to be written before the commit.
    pub counted: Counted,
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
    /// Returns whether what it did is to be kept.
    fn run(&mut self, connection: &Connection, effects: &mut Effects) -> bool;
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Work<T, F> {
    bytes: usize,
    work: Option<F>,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Command for Work<T, F>
where
    T: Send,
    F: FnOnce(&Connection, &mut Effects) -> Result<T, StoreError> + Send,
{
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn run(&mut self, connection: &Connection, effects: &mut Effects) -> bool {
        let Some(work) = self.work.take() else {
            return false;
        };
        // A defect in one command must not take the thread, and with it the store, down.
        let result = catch_unwind(AssertUnwindSafe(|| work(connection, effects)))
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
        let (reply, answer) = oneshot::channel();
        let command = Work {
            bytes,
            work: Some(work),
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
}

impl Thread {
    fn run(self, mut waiting: mpsc::Receiver<Message>) {
        let mut next = waiting.blocking_recv();
        while let Some(message) = next.take() {
            match message {
                Message::Command(first) => {
                    let group;
                    (group, next) = gather(first, &mut waiting);
                    // Whatever fails in here, the next group gets its turn: a transaction that is left
                    // open is rolled back when the next one cannot begin.
                    let _ = catch_unwind(AssertUnwindSafe(|| self.commit(group)));
                }
                Message::Close(reply) => return self.finish(waiting, reply),
                #[cfg(test)]
                Message::Between(work) => work(&self.connection),
            }
            if next.is_none() {
                next = waiting.blocking_recv();
            }
        }
    }

    /// Commits a group and answers it.
    fn commit(&self, mut group: Vec<Box<dyn Command>>) {
        if group.is_empty() {
            return;
        }
        let committed = self.keep(&mut group);
        for command in group {
            command.answer(committed.clone());
        }
    }

    /// Commits a group, and tells everybody but those who asked.
    fn keep(&self, group: &mut [Box<dyn Command>]) -> Result<(), StoreError> {
        let mut effects = Effects::default();
        let committed = self.transaction(group, &mut effects);
        match &committed {
            Ok(()) => {
                self.commits.fetch_add(1, Ordering::Relaxed);
                effects.tell(&self.shared);
            }
            Err(error) => {
                tracing::error!(%error, commands = group.len(), "a commit failed; nothing of it was kept");
            }
        }
        committed
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

    fn transaction(&self, group: &mut [Box<dyn Command>], effects: &mut Effects) -> Result<(), StoreError> {
        let result = self.run_all(group, effects);
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

    fn run_all(&self, group: &mut [Box<dyn Command>], effects: &mut Effects) -> rusqlite::Result<()> {
        self.execute("BEGIN IMMEDIATE")?;
        for (place, command) in group.iter_mut().enumerate() {
            if place > 0 {
                stop::at(Stop::InGroup);
            }
            let mark = effects.mark();
            self.execute("SAVEPOINT command")?;
            if !command.run(&self.connection, effects) {
                effects.back_to(mark);
                // When SQLite has rolled everything back by itself, there is no savepoint, and this
                // fails: the group is lost.
                self.execute("ROLLBACK TO command")?;
            }
            self.execute("RELEASE command")?;
        }
        effects.counted.write(&self.connection)?;
        stop::before_commit();
        self.execute("COMMIT")?;
        stop::after_commit();
        Ok(())
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
