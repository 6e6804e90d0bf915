//! Events that are sent together, a moment after they came.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::chunks::{MAX_EVENTS, chunks};
use crate::credential::new_key;
use crate::error::Error;
use crate::event::{AcceptedEvent, EventInput, Record};
use crate::events::{EventsClient, text};

/// How events are collected.
#[derive(Clone, Debug)]
pub struct BatchOptions {
    /// Sent at once when so many wait: 1 to 100; 100 unless said otherwise.
    pub size: usize,
    /// Sent so long after the first came; 1 s unless said otherwise.
    pub interval: Duration,
    /// So many may wait; 10,000 unless said otherwise.
    pub max_queue: usize,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self {
            size: MAX_EVENTS,
            interval: Duration::from_secs(1),
            max_queue: 10_000,
        }
    }
}

/// What became of a queued event.
#[derive(Debug)]
pub enum Outcome {
    /// It is on the server's disk.
    Accepted(AcceptedEvent),
    /// It was refused, or could not be sent with all retries. The event has a key: queued again within 24 hours it
    /// cannot double.
    Rejected {
        /// The event.
        event: EventInput,
        /// The server's code, or the client's.
        code: String,
        /// For people.
        message: String,
    },
}

enum Message {
    Event(Box<(EventInput, String)>),
    Flush(oneshot::Sender<()>),
}

/// Collects events and emits them together, in a task of its own. Dropped without [`Batcher::close`], it still
/// sends what waits, if the runtime lives long enough.
#[derive(Debug)]
pub struct Batcher {
    sender: mpsc::Sender<Message>,
    task: JoinHandle<()>,
}

impl Batcher {
    /// Starts the task, on the current runtime. `tell` is told what becomes of each event.
    pub fn new(
        client: EventsClient,
        options: BatchOptions,
        tell: impl FnMut(Outcome) + Send + 'static,
    ) -> Result<Self, Error> {
        if !(1..=MAX_EVENTS).contains(&options.size) || options.max_queue < options.size {
            let message = format!("size must be 1 to {MAX_EVENTS}, and max_queue at least size");
            return Err(Error::new("invalid_setting", message));
        }
        let (sender, receiver) = mpsc::channel(options.max_queue);
        let task = tokio::spawn(collect(client, options, receiver, tell));
        Ok(Self { sender, task })
    }

    /// Puts an event into the queue, under a key that is made now if it has none. Fails at once when the queue is
    /// full.
    pub fn enqueue(&self, event: EventInput) -> Result<(), Error> {
        let event = match event.key() {
            Some(_) => event,
            None => event.once_as(new_key()?),
        };
        let text = text(&event)?;
        let message = Message::Event(Box::new((event, text)));
        self.sender.try_send(message).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::new("queue_full", "too many events wait already"),
            mpsc::error::TrySendError::Closed(_) => Error::new("closed", "the batcher has ended"),
        })
    }

    /// Ends when each event that was queued before was accepted, or told as rejected.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.sender.send(Message::Flush(done)).await.is_ok() {
            // An error means that the task is gone, and with it what could be flushed.
            let _ = flushed.await;
        }
    }

    /// The last flush.
    pub async fn close(self) {
        drop(self.sender);
        // It was not aborted, and a panic of `tell` has been printed.
        let _ = self.task.await;
    }
}

async fn collect(
    client: EventsClient,
    options: BatchOptions,
    mut receiver: mpsc::Receiver<Message>,
    mut tell: impl FnMut(Outcome) + Send,
) {
    let timing = client.transport.timing().clone();
    let mut open = true;
    while open {
        let mut waiting = Vec::new();
        let mut flushes = Vec::new();
        let mut time_has_come = None;
        while waiting.len() < options.size && flushes.is_empty() {
            let message = match &mut time_has_come {
                None => receiver.recv().await,
                Some(wait) => tokio::select! {
                    biased;
                    message = receiver.recv() => message,
                    () = wait => break,
                },
            };
            match message {
                Some(Message::Event(event)) => {
                    waiting.push(*event);
                    time_has_come.get_or_insert_with(|| timing.sleep(options.interval));
                }
                Some(Message::Flush(done)) => flushes.push(done),
                None => {
                    open = false;
                    break;
                }
            }
        }
        send(&client, waiting, &mut tell).await;
        for done in flushes {
            // Whoever asked may have left.
            let _ = done.send(());
        }
    }
}

async fn send(client: &EventsClient, waiting: Vec<(EventInput, String)>, tell: &mut impl FnMut(Outcome)) {
    let (events, texts): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
    let mut events = events.into_iter();
    for range in chunks(&texts) {
        let count = range.len();
        match client.bulk(&texts[range]).await {
            Ok(answer) => {
                for (event, record) in events.by_ref().take(count).zip(answer.records) {
                    tell(match record {
                        Record::Accepted(accepted) => Outcome::Accepted(accepted),
                        Record::Refused(refused) => Outcome::Rejected {
                            event,
                            code: refused.code.unwrap_or_else(|| "unreadable_answer".into()),
                            message: refused
                                .error
                                .pointer("/message")
                                .and_then(|message| message.as_str())
                                .unwrap_or(&refused.message)
                                .to_owned(),
                        },
                    });
                }
            }
            Err(error) => {
                for event in events.by_ref().take(count) {
                    tell(Outcome::Rejected {
                        event,
                        code: error.code().to_owned(),
                        message: error.to_string(),
                    });
                }
            }
        }
    }
}
