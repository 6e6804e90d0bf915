//! A receiver that speaks just enough HTTP/1.1 and can misbehave on demand.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Request line and headers, names in lower case as sent.
    pub head: String,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .find(|(n, _)| *n == name)
            .map(|(_, v)| v)
    }
}

/// What to do with a request.
pub enum Answer {
    /// Send these bytes and keep the connection.
    Keep(Vec<u8>),
    /// Send these bytes and close the connection.
    Close(Vec<u8>),
    /// Wait until this many requests are waiting, then answer all of them.
    Together(Arc<Barrier>, Vec<u8>),
    /// Send these bytes, then single-byte chunks for ever.
    Drip(Vec<u8>),
    /// Send these bytes, then nothing for ever.
    Hang(Vec<u8>),
}

pub struct Receiver {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
}

impl Receiver {
    pub async fn start(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", answer).await
    }

    pub async fn start_at(address: &str, answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let answer = Arc::new(answer);
        tokio::spawn({
            let (seen, connections) = (Arc::clone(&seen), Arc::clone(&connections));
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    connections.fetch_add(1, Ordering::SeqCst);
                    tokio::spawn(serve(stream, Arc::clone(&seen), Arc::clone(&answer)));
                }
            }
        });
        Self {
            address,
            seen,
            connections,
        }
    }

    /// Answers every request with the same.
    pub async fn always(answer: Vec<u8>) -> Self {
        Self::start(move |_| Answer::Keep(answer.clone())).await
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

async fn serve(
    mut stream: TcpStream,
    seen: Arc<Mutex<Vec<Seen>>>,
    answer: Arc<impl Fn(&Seen) -> Answer>,
) -> Option<()> {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            more(&mut stream, &mut buffer).await?;
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        let mut request = Seen {
            head,
            body: Vec::new(),
        };
        let length: usize = request
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        while buffer.len() < end + length {
            more(&mut stream, &mut buffer).await?;
        }
        request.body = buffer[end..end + length].to_vec();
        buffer.drain(..end + length);
        seen.lock().unwrap().push(request.clone());
        match answer(&request) {
            Answer::Keep(bytes) => stream.write_all(&bytes).await.ok()?,
            Answer::Close(bytes) => {
                stream.write_all(&bytes).await.ok()?;
                stream.shutdown().await.ok()?;
                return None;
            }
            Answer::Together(barrier, bytes) => {
                barrier.wait().await;
                stream.write_all(&bytes).await.ok()?;
            }
            Answer::Drip(bytes) => {
                stream.write_all(&bytes).await.ok()?;
                loop {
                    stream.write_all(b"1\r\nx\r\n").await.ok()?;
                    tokio::task::yield_now().await;
                }
            }
            Answer::Hang(bytes) => {
                stream.write_all(&bytes).await.ok()?;
                std::future::pending::<()>().await;
            }
        }
    }
}

async fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    (stream.read_buf(buffer).await.ok()? > 0).then_some(())
}

/// A whole answer: status line, headers and a body with its length.
pub fn answer(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

pub fn ok() -> Vec<u8> {
    answer("200 OK", &[], b"ok")
}
