//! The writer of a simulation: a task where there is a thread otherwise, so that it is the runtime's one
//! thread that writes, in the order in which it was asked.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::{Message, QUEUE, Thread, Writer, gather};
use crate::Shared;
use crate::simulated::{Disk, Saboteur, pass};

impl Writer {
    /// Starts the task on the runtime that this is called in.
    pub fn simulated(
        mut connection: Connection,
        shared: Arc<Shared>,
        disk: Arc<dyn Disk>,
    ) -> rusqlite::Result<Self> {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let commits = Arc::new(AtomicU64::new(0));
        let saboteur = Saboteur::new(&mut connection)?;
        let thread = Thread {
            connection,
            shared,
            commits: Arc::clone(&commits),
            memo: Cell::default(),
        };
        tokio::spawn(thread.simulate(waiting, disk, saboteur));
        Ok(Self { queue, commits })
    }
}

impl Thread {
    /// [`Thread::run`], with time that goes by and faults where the disk says so.
    async fn simulate(self, mut waiting: mpsc::Receiver<Message>, disk: Arc<dyn Disk>, saboteur: Saboteur) {
        let mut next = waiting.recv().await;
        while let Some(message) = next.take() {
            match message {
                Message::Command(first) => {
                    let fate = disk.commit();
                    pass(fate.before).await;
                    let mut group;
                    (group, next) = gather(first, &mut waiting);
                    saboteur.arm(fate.fault);
                    let committed = self.keep(&mut group);
                    saboteur.arm(None);
                    pass(fate.after).await;
                    for command in group {
                        command.answer(committed.clone());
                    }
                }
                Message::Close(reply) => return self.finish(waiting, reply),
                #[cfg(test)]
                Message::Between(work) => {
                    self.memo.take();
                    work(&self.connection);
                }
            }
            if next.is_none() {
                next = waiting.recv().await;
            }
        }
    }
}
