//! The receiver: answers every request with 204 and writes into the current run's ledger what it
//! saw. One thread, so that its share of the machine is the same in every run.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::gauge::Gauge;
use crate::http::{self, Head};
use crate::ledger::{Ledger, MARK_KEY, read_mark};

const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

const REFUSAL: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";

/// The longest request that is taken, in bytes.
const LONGEST_REQUEST: usize = 1024 * 1024;

/// Hooks that are told apart, by the last digit of the path.
const HOOKS: usize = 10;

/// Where requests are counted whose path ends in no digit.
pub const ELSEWHERE: usize = HOOKS;

/// How the receiver behaves; by itself it answers everything at once with success.
#[derive(Default)]
pub struct Manners {
    /// A bit for each hook that takes requests and never answers.
    silent: AtomicU16,
    /// For how long hooks wait before they answer, in milliseconds; [`ELSEWHERE`] too.
    pause_ms: [AtomicU32; HOOKS + 1],
    /// Events whose number is a multiple are refused; none when it is zero.
    refuse_every: AtomicU32,
    /// Whether they are refused each time, and not the first time alone.
    refuse_always: AtomicBool,
    /// Whether requests are counted.
    counting: AtomicBool,
    gauges: [Gauge; HOOKS + 1],
}

impl Manners {
    /// Has these hooks, a bit for each, never answer, and all others answer again.
    pub fn silence(&self, hooks: u16) {
        self.silent.store(hooks, Relaxed);
    }

    /// Has a hook wait before it answers.
    pub fn pause(&self, hook: usize, pause: Duration) {
        self.pause_ms[hook].store(u32::try_from(pause.as_millis()).unwrap_or(u32::MAX), Relaxed);
    }

    /// Has every `every`th event refused: `always`, or when it comes first. Zero ends it.
    pub fn refuse(&self, every: u32, always: bool) {
        self.refuse_every.store(every, Relaxed);
        self.refuse_always.store(always, Relaxed);
    }

    /// Has requests counted.
    pub fn count(&self) {
        self.counting.store(true, Relaxed);
    }

    /// What was counted of a hook.
    pub fn gauge(&self, hook: usize) -> &Gauge {
        &self.gauges[hook]
    }
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Accept,
    Refuse,
    Silence,
}

/// What the connections share.
struct Shared {
    epoch: Instant,
    ledgers: RwLock<Vec<Arc<Ledger>>>,
    manners: Manners,
}

/// The receiver and the clock that all runs share.
pub struct Receiver {
    /// Where it listens, on loopback.
    pub address: SocketAddr,
    next_event: u64,
    shared: Arc<Shared>,
}

impl Receiver {
    /// Starts it on a free port; its thread ends with the process.
    pub fn start() -> Result<Self> {
        let shared = Arc::new(Shared {
            epoch: Instant::now(),
            ledgers: RwLock::default(),
            manners: Manners::default(),
        });
        let (tell, told) = mpsc::channel();
        let seen = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("receiver".into())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                if let Ok(runtime) = runtime {
                    let _ = runtime.block_on(listen(&tell, seen));
                }
            })?;
        let address = told.recv().context("the receiver did not start")?;
        Ok(Self {
            address,
            next_event: 0,
            shared,
        })
    }

    /// A fresh ledger for at most `capacity` events, each to arrive at the hooks `0..hooks`.
    /// What still arrives of earlier runs is answered and not counted.
    pub fn open(&mut self, capacity: usize, hooks: u32) -> Arc<Ledger> {
        self.ledgers().clear();
        self.open_beside(capacity, hooks)
    }

    /// The same, while what arrives of the ledgers that are open goes on being counted in them.
    pub fn open_beside(&mut self, capacity: usize, hooks: u32) -> Arc<Ledger> {
        let ledger = Arc::new(Ledger::new(self.shared.epoch, self.next_event, capacity, hooks));
        self.next_event += capacity as u64;
        self.ledgers().push(Arc::clone(&ledger));
        ledger
    }

    /// How it behaves.
    pub fn manners(&self) -> &Manners {
        &self.shared.manners
    }

    /// The URL of a hook.
    pub fn url(&self, hook: u32) -> String {
        format!("http://{}/hook/{hook}", self.address)
    }

    fn ledgers(&self) -> std::sync::RwLockWriteGuard<'_, Vec<Arc<Ledger>>> {
        self.shared
            .ledgers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

async fn listen(tell: &mpsc::Sender<SocketAddr>, shared: Arc<Shared>) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    tell.send(listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            if let Err(error) = serve(stream, &shared).await {
                eprintln!("receiver: {error:#}");
            }
        });
    }
}

/// Answers one connection's requests, in order, until the caller closes it.
async fn serve(mut stream: TcpStream, shared: &Shared) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 16 * 1024];
    let mut filled = 0;
    let mut hint = 0;
    loop {
        match read(&mut stream, &mut buffer[filled..]).await? {
            0 => return Ok(()),
            read => filled += read,
        }
        let mut start = 0;
        let mut wanted = 0;
        while let Some(head) = http::head(&buffer[start..filled])? {
            wanted = head.message();
            let Some(request) = buffer[..filled].get(start..start + wanted) else {
                break;
            };
            if !answer(&mut stream, shared, request, &head, &mut hint).await? {
                return Ok(());
            }
            start += wanted;
            wanted = 0;
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
        anyhow::ensure!(wanted <= LONGEST_REQUEST, "a request of {wanted} bytes");
        if wanted > buffer.len() || filled == buffer.len() {
            buffer.resize(wanted.max(buffer.len() * 2), 0);
        }
    }
}

/// Reads what there is; nothing when the caller has closed. An engine that was killed resets its
/// connections.
async fn read(stream: &mut TcpStream, place: &mut [u8]) -> Result<usize> {
    match stream.read(place).await {
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(0),
        read => Ok(read?),
    }
}

/// Answers one request as the manners say; whether others may follow it.
async fn answer(
    stream: &mut TcpStream,
    shared: &Shared,
    request: &[u8],
    head: &Head,
    hint: &mut usize,
) -> Result<bool> {
    let manners = &shared.manners;
    let hook = hook_of(request, head);
    let gauge = manners
        .counting
        .load(Relaxed)
        .then(|| &manners.gauges[hook.unwrap_or(ELSEWHERE)]);
    if let Some(gauge) = gauge {
        gauge.enter(u64::try_from(shared.epoch.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    let pause = manners.pause_ms[hook.unwrap_or(ELSEWHERE)].load(Relaxed);
    if pause > 0 {
        tokio::time::sleep(Duration::from_millis(pause.into())).await;
    }
    let turn = {
        let ledgers = shared.ledgers.read().unwrap_or_else(PoisonError::into_inner);
        note(&ledgers, manners, hook, request, head, hint)
    };
    let open = match turn {
        // It counts as there for as long as its caller waits.
        Turn::Silence => {
            while read(stream, &mut [0; 1024]).await? > 0 {}
            Ok(false)
        }
        Turn::Accept | Turn::Refuse => {
            // Before the answer, which lets the next one come.
            if let Some(gauge) = gauge {
                gauge.leave();
            }
            let answer = if turn == Turn::Accept { ANSWER } else { REFUSAL };
            match stream.write_all(answer).await {
                Ok(()) => Ok(true),
                Err(error) if is_gone(&error) => Ok(false),
                Err(error) => Err(error.into()),
            }
        }
    };
    if turn == Turn::Silence
        && let Some(gauge) = gauge
    {
        gauge.leave();
    }
    open
}

fn is_gone(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionReset)
}

fn hook_of(request: &[u8], head: &Head) -> Option<usize> {
    let target = request[..head.first_line]
        .rsplit(|byte| *byte == b' ')
        .nth(1)
        .unwrap_or_default();
    let digit = target.last().filter(|byte| byte.is_ascii_digit())?;
    Some(usize::from(digit - b'0'))
}

/// Enters the request's mark, unless the manners forbid that it is accepted. `hint` is where the
/// last request of this connection had its own.
fn note(
    ledgers: &[Arc<Ledger>],
    manners: &Manners,
    hook: Option<usize>,
    request: &[u8],
    head: &Head,
    hint: &mut usize,
) -> Turn {
    let Some(hook) = hook else { return Turn::Accept };
    if manners.silent.load(Relaxed) & (1 << hook) != 0 {
        return Turn::Silence;
    }
    let body = &request[head.size..];
    if !body.get(*hint..).is_some_and(|rest| rest.starts_with(MARK_KEY)) {
        let Some(place) = find(body, MARK_KEY) else {
            return Turn::Accept;
        };
        *hint = place;
    }
    let Some((event, emitted)) = read_mark(&body[*hint + MARK_KEY.len()..]) else {
        return Turn::Accept;
    };
    let every = u64::from(manners.refuse_every.load(Relaxed));
    if every > 0 && event.is_multiple_of(every) {
        let mut first = false;
        for ledger in ledgers {
            first |= ledger.refuse(event);
        }
        if first || manners.refuse_always.load(Relaxed) {
            return Turn::Refuse;
        }
    }
    for ledger in ledgers {
        ledger.receive(u32::try_from(hook).unwrap_or(0), event, emitted, head.signed);
    }
    Turn::Accept
}

fn find(text: &[u8], key: &[u8]) -> Option<usize> {
    text.windows(key.len()).position(|window| window == key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{MARK_BYTES, write_mark};

    /// What becomes of an event that is posted to a hook.
    fn posted(ledgers: &[Arc<Ledger>], manners: &Manners, hook: &str, event: u64, body: &str) -> Turn {
        let mut mark = [0; MARK_BYTES];
        write_mark(&mut mark, event, 0);
        let body = body.replace("MARK", std::str::from_utf8(&mark).unwrap());
        let request = http::request("POST", hook, "", body.as_bytes());
        let head = http::head(&request).unwrap().unwrap();
        note(
            ledgers,
            manners,
            hook_of(&request, &head),
            &request,
            &head,
            &mut 0,
        )
    }

    const BODY: &str = r#"{"payload":{"bench":"MARK"}}"#;

    fn ledger(first: u64, hooks: u32) -> Arc<Ledger> {
        let ledger = Ledger::new(Instant::now(), first, 8, hooks);
        ledger.take(2);
        ledger.accept(first, 2);
        Arc::new(ledger)
    }

    #[test]
    fn a_request_is_entered_under_its_hook_wherever_its_mark_stands() {
        let ledgers = [ledger(0, 2), ledger(8, 1)];
        for (event, body) in [(0, BODY), (1, r#"{"a":1,"payload":{"bench":"MARK"}}"#)] {
            for hook in ["/hook/0", "/hook/1"] {
                assert_eq!(
                    posted(&ledgers, &Manners::default(), hook, event, body),
                    Turn::Accept
                );
            }
        }
        let account = ledgers[0].account(0);
        assert_eq!((account.delivered, account.missing, account.repeated), (4, 0, 0));
        assert_eq!(
            ledgers[1].account(0).missing,
            2,
            "they belong to the other ledger"
        );
    }

    #[test]
    fn a_silent_hook_keeps_what_it_gets_and_the_others_answer() {
        let (ledgers, manners) = ([ledger(0, 2)], Manners::default());
        manners.silence(0b10);
        assert_eq!(posted(&ledgers, &manners, "/hook/1", 0, BODY), Turn::Silence);
        assert_eq!(posted(&ledgers, &manners, "/hook/0", 0, BODY), Turn::Accept);
        assert_eq!(posted(&ledgers, &manners, "/v1/identify", 0, BODY), Turn::Accept);
        assert_eq!(ledgers[0].delivered(), 1);
    }

    #[test]
    fn a_refused_event_is_taken_the_second_time_unless_it_is_refused_always() {
        let (ledgers, manners) = ([ledger(0, 1)], Manners::default());
        manners.refuse(2, false);
        for expected in [Turn::Refuse, Turn::Accept] {
            assert_eq!(posted(&ledgers, &manners, "/hook/0", 0, BODY), expected);
        }
        assert_eq!(posted(&ledgers, &manners, "/hook/0", 1, BODY), Turn::Accept);
        manners.refuse(2, true);
        assert_eq!(posted(&ledgers, &manners, "/hook/0", 0, BODY), Turn::Refuse);
        manners.refuse(0, false);
        assert_eq!(posted(&ledgers, &manners, "/hook/0", 0, BODY), Turn::Accept);
        assert_eq!(ledgers[0].account(0).repeated, 1);
    }
}
