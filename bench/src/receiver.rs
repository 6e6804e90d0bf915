//! The receiver: answers every request with 204 and writes into the current run's ledger what it
//! saw. One thread, so that its share of the machine is the same in every run.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock, mpsc};
use std::time::Instant;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::http::{self, Head};
use crate::ledger::{Ledger, MARK_KEY, read_mark};

const ANSWER: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

/// The longest request that is taken, in bytes.
const LONGEST_REQUEST: usize = 1024 * 1024;

/// The receiver and the clock that all runs share.
pub struct Receiver {
    /// Where it listens, on loopback.
    pub address: SocketAddr,
    epoch: Instant,
    next_event: u64,
    current: Arc<RwLock<Arc<Ledger>>>,
}

impl Receiver {
    /// Starts it on a free port; its thread ends with the process.
    pub fn start() -> Result<Self> {
        let epoch = Instant::now();
        let current = Arc::new(RwLock::new(Arc::new(Ledger::new(epoch, 0, 0, 1))));
        let (tell, told) = mpsc::channel();
        let seen = Arc::clone(&current);
        std::thread::Builder::new()
            .name("receiver".into())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
                if let Ok(runtime) = runtime {
                    let _ = runtime.block_on(listen(&tell, seen));
                }
            })?;
        let address = told.recv().context("the receiver did not start")?;
        Ok(Self {
            address,
            epoch,
            next_event: 0,
            current,
        })
    }

    /// A fresh ledger for at most `capacity` events, each to arrive at the hooks `0..hooks`.
    /// What still arrives of earlier runs is answered and not counted.
    pub fn open(&mut self, capacity: usize, hooks: u32) -> Arc<Ledger> {
        let ledger = Arc::new(Ledger::new(self.epoch, self.next_event, capacity, hooks));
        self.next_event += capacity as u64;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&ledger);
        ledger
    }

    /// The URL of a hook.
    pub fn url(&self, hook: u32) -> String {
        format!("http://{}/hook/{hook}", self.address)
    }
}

async fn listen(tell: &mpsc::Sender<SocketAddr>, current: Arc<RwLock<Arc<Ledger>>>) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    tell.send(listener.local_addr()?)?;
    loop {
        let (stream, _) = listener.accept().await?;
        let current = Arc::clone(&current);
        tokio::spawn(async move {
            if let Err(error) = serve(stream, &current).await {
                eprintln!("receiver: {error:#}");
            }
        });
    }
}

/// Answers one connection's requests, in order, until the caller closes it.
async fn serve(mut stream: TcpStream, current: &RwLock<Arc<Ledger>>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 16 * 1024];
    let mut filled = 0;
    let mut hint = 0;
    loop {
        match stream.read(&mut buffer[filled..]).await {
            Ok(0) => return Ok(()),
            Ok(read) => filled += read,
            // An engine that was killed resets its connections.
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        let mut start = 0;
        let mut wanted = 0;
        while let Some(head) = http::head(&buffer[start..filled])? {
            wanted = head.message();
            let Some(request) = buffer[..filled].get(start..start + wanted) else {
                break;
            };
            let ledger = Arc::clone(&current.read().unwrap_or_else(PoisonError::into_inner));
            note(&ledger, request, &head, &mut hint);
            stream.write_all(ANSWER).await?;
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

/// Enters the request's mark. `hint` is where the last request of this connection had its own.
fn note(ledger: &Ledger, request: &[u8], head: &Head, hint: &mut usize) {
    let target = request[..head.first_line]
        .rsplit(|byte| *byte == b' ')
        .nth(1)
        .unwrap_or_default();
    let Some(hook) = target.last().filter(|byte| byte.is_ascii_digit()) else {
        return;
    };
    let body = &request[head.size..];
    if !body.get(*hint..).is_some_and(|rest| rest.starts_with(MARK_KEY)) {
        let Some(place) = find(body, MARK_KEY) else { return };
        *hint = place;
    }
    if let Some((event, emitted)) = read_mark(&body[*hint + MARK_KEY.len()..]) {
        ledger.receive(u32::from(hook - b'0'), event, emitted, head.signed);
    }
}

fn find(text: &[u8], key: &[u8]) -> Option<usize> {
    text.windows(key.len()).position(|window| window == key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{MARK_BYTES, write_mark};

    #[test]
    fn a_request_is_entered_under_its_hook_wherever_its_mark_stands() {
        let ledger = Ledger::new(Instant::now(), 0, 8, 2);
        let mut hint = 0;
        for (event, body) in [
            (0, r#"{"payload":{"bench":"MARK"}}"#),
            (1, r#"{"a":1,"payload":{"bench":"MARK"}}"#),
        ] {
            ledger.take(1);
            ledger.accept(event, 1);
            let mut mark = [0; MARK_BYTES];
            write_mark(&mut mark, event, 0);
            let body = body.replace("MARK", std::str::from_utf8(&mark).unwrap());
            for hook in ["/hook/0", "/hook/1"] {
                let request = http::request("POST", hook, "", body.as_bytes());
                let head = http::head(&request).unwrap().unwrap();
                note(&ledger, &request, &head, &mut hint);
            }
        }
        let account = ledger.account(0);
        assert_eq!((account.delivered, account.missing, account.repeated), (4, 0, 0));
    }
}
