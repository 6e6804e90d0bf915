//! The load client: keep-alive connections that post prebuilt requests, as fast as the answers
//! come or at a given pace.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::figures::Samples;
use crate::http;
use crate::ledger::Ledger;
use crate::template::Template;

/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: usize = 4 * 1024 * 1024;

/// Answers that come later than this after the run's end fail it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// One keep-alive connection.
pub struct Line {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Line {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: vec![0; 16 * 1024],
        })
    }

    /// Sends a request and reads its answer whole: the status and the body.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<(u16, &[u8])> {
        self.stream.write_all(request).await?;
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            if read == 0 {
                bail!("the connection was closed before the answer");
            }
            filled += read;
            let Some(head) = http::head(&self.buffer[..filled])? else {
                continue;
            };
            if filled >= head.message() {
                let status = http::status(&self.buffer[..head.first_line])?;
                return Ok((status, &self.buffer[head.size..head.message()]));
            }
            if head.message() > LONGEST_ANSWER {
                bail!("an answer of {} bytes", head.message());
            }
            if head.message() > self.buffer.len() {
                self.buffer.resize(head.message(), 0);
            }
        }
    }
}

/// What the callers of one run saw.
#[derive(Debug, Default)]
pub struct Seen {
    /// From the emission to the answer, in microseconds.
    pub answers: Samples,
    /// Answers other than 2xx, by status.
    pub refused: BTreeMap<u16, u64>,
    /// From the first emission to the last answer.
    pub took: Duration,
    /// How late the pacer was at most, in microseconds; 0 where nothing was paced.
    pub pacer_late_us: u32,
}

/// A caller's part of [`Seen`].
#[derive(Default)]
pub struct Notes {
    answers: Vec<u32>,
    refused: BTreeMap<u16, u64>,
}

impl Notes {
    /// The events from `first` on, emitted at an instant, were answered with `status`.
    pub fn enter(&mut self, ledger: &Ledger, (first, emitted): (u64, u64), events: usize, status: u16) {
        if (200..300).contains(&status) && status != 207 {
            ledger.accept(first, events);
            self.answers
                .push(u32::try_from(ledger.micros().saturating_sub(emitted)).unwrap_or(u32::MAX));
        } else {
            *self.refused.entry(status).or_default() += 1;
        }
    }
}

/// Posts from `callers` connections, each as soon as its last answer came, for the time `lasting`
/// or until the ledger is full.
pub async fn press(
    address: SocketAddr,
    callers: usize,
    template: &Template,
    ledger: &Arc<Ledger>,
    lasting: Duration,
) -> Result<Seen> {
    let mut lines = Vec::with_capacity(callers);
    for _ in 0..callers {
        lines.push(Line::open(address).await?);
    }
    let started = Instant::now();
    let mut running = JoinSet::new();
    for mut line in lines {
        let (mut template, ledger) = (template.clone(), Arc::clone(ledger));
        running.spawn(async move {
            let mut notes = Notes::default();
            while started.elapsed() < lasting {
                let Some(first) = ledger.take(template.events()) else {
                    break;
                };
                let emitted = ledger.micros();
                post(&mut line, &mut template, &ledger, (first, emitted), &mut notes).await?;
            }
            Ok(notes)
        });
    }
    let mut seen = gather(running, lasting + PATIENCE).await?;
    seen.took = started.elapsed();
    Ok(seen)
}

/// Posts `rate` requests a second for the time `lasting`, spread over `callers` connections,
/// whether or not answers come. An event counts as emitted when its turn came, so a caller that
/// is still busy makes its events late, and that is counted.
pub async fn pace(
    address: SocketAddr,
    callers: usize,
    template: &Template,
    ledger: &Arc<Ledger>,
    rate: u32,
    lasting: Duration,
) -> Result<Seen> {
    let mut running = JoinSet::new();
    let mut turns = Vec::with_capacity(callers);
    for _ in 0..callers {
        let mut line = Line::open(address).await?;
        let (tell, mut told) = mpsc::unbounded_channel::<(u64, u64)>();
        let (mut template, ledger) = (template.clone(), Arc::clone(ledger));
        turns.push(tell);
        running.spawn(async move {
            let mut notes = Notes::default();
            while let Some(turn) = told.recv().await {
                post(&mut line, &mut template, &ledger, turn, &mut notes).await?;
            }
            Ok(notes)
        });
    }
    let started = Instant::now();
    let paced = Arc::clone(ledger);
    // A thread of its own: the runtime's timers are a millisecond coarse.
    let pacer = std::thread::spawn(move || give_turns(&turns, &paced, rate, lasting));
    let mut seen = gather(running, lasting + PATIENCE).await?;
    seen.took = started.elapsed();
    seen.pacer_late_us = pacer.join().ok().context("the pacer ended badly")?;
    Ok(seen)
}

/// Gives the callers their turns and returns how late it was at most, in microseconds.
fn give_turns(
    turns: &[mpsc::UnboundedSender<(u64, u64)>],
    ledger: &Ledger,
    rate: u32,
    lasting: Duration,
) -> u32 {
    let started = Instant::now();
    let mut latest = Duration::ZERO;
    for turn in 0u32.. {
        let due = Duration::from_secs(1) * turn / rate;
        if due >= lasting {
            break;
        }
        if let Some(early) = due.checked_sub(started.elapsed()) {
            std::thread::sleep(early);
        }
        latest = latest.max(started.elapsed().saturating_sub(due));
        let Some(event) = ledger.take(1) else { break };
        // A caller whose line broke says so when it is gathered.
        let _ = turns[turn as usize % turns.len()].send((event, ledger.micros()));
    }
    u32::try_from(latest.as_micros()).unwrap_or(u32::MAX)
}

async fn post(
    line: &mut Line,
    template: &mut Template,
    ledger: &Ledger,
    (first, emitted): (u64, u64),
    notes: &mut Notes,
) -> Result<()> {
    let (status, _) = line.exchange(template.fill(first, emitted)).await?;
    notes.enter(ledger, (first, emitted), template.events(), status);
    Ok(())
}

/// Waits for the callers, for at most `limit`, and puts together what they saw.
pub async fn gather(mut running: JoinSet<Result<Notes>>, limit: Duration) -> Result<Seen> {
    let mut answers = Vec::new();
    let mut seen = Seen::default();
    let all = async {
        while let Some(notes) = running.join_next().await {
            let notes = notes??;
            answers.extend(notes.answers);
            for (status, count) in notes.refused {
                *seen.refused.entry(status).or_default() += count;
            }
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(limit, all)
        .await
        .context("some answers never came")??;
    seen.answers = Samples::new(answers);
    Ok(seen)
}

/// Waits until the receiver has seen every delivery of every accepted event, for at most `limit`.
pub async fn drain(ledger: &Ledger, limit: Duration) {
    let started = Instant::now();
    while !ledger.is_complete() && started.elapsed() < limit {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
