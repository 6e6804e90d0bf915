//! What comes back, from receivers good and bad.

use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use futures::future::join_all;
use heddle_core::exchange::{Header, Reply};
use heddle_egress::{EgressConfig, SendError, SendErrorKind};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Barrier;

use crate::receiver::{Answer, Receiver, answer, ok};
use crate::{SOON, context, egress, get, grant, local, post};

async fn fetch_with(config: EgressConfig, receiver: &Receiver) -> Result<Reply, SendError> {
    let grant = grant(json!([receiver.address.to_string()]), json!([]), &[]);
    egress(config)
        .send(&grant, &get(receiver.url("/")), &context())
        .await
}

async fn fetch(receiver: &Receiver) -> Result<Reply, SendError> {
    fetch_with(local(), receiver).await
}

fn zeros_in_gzip(megabytes: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let megabyte = vec![0; 1024 * 1024];
    (0..megabytes).for_each(|_| encoder.write_all(&megabyte).unwrap());
    encoder.finish().unwrap()
}

#[tokio::test]
async fn the_request_arrives_to_the_byte() {
    let receiver = Receiver::always(ok()).await;
    let grant = grant(json!([receiver.address.to_string()]), json!([]), &[]);
    let body = b"{\"b\": 1,\n \"a\":\t2.50}";
    let reply = egress(local())
        .send(&grant, &post(receiver.url("/a%2Fb?q=1+2#part"), body), &context())
        .await
        .unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (200, &b"ok"[..]));
    let seen = &receiver.seen()[0];
    assert_eq!(seen.line(), "POST /a%2Fb?q=1+2 HTTP/1.1");
    assert_eq!(seen.body, body);
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.header("host"), Some(&*receiver.address.to_string()));
    assert!(seen.header("user-agent").unwrap().starts_with("Heddle/"));
    assert_eq!(seen.header("authorization"), None);
}

#[tokio::test]
async fn a_plugin_may_choose_its_user_agent() {
    let receiver = Receiver::always(ok()).await;
    let grant = grant(json!([receiver.address.to_string()]), json!([]), &[]);
    let mut request = get(receiver.url("/"));
    request.headers.push(Header {
        name: "User-Agent".into(),
        value: "DiscordBot (x, 1)".into(),
    });
    egress(local()).send(&grant, &request, &context()).await.unwrap();
    assert_eq!(receiver.seen()[0].header("user-agent"), Some("DiscordBot (x, 1)"));
    assert_eq!(receiver.seen()[0].head.matches("user-agent").count(), 1);
}

#[tokio::test]
async fn a_redirect_is_a_reply_and_is_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let receiver = Receiver::start(move |seen| {
            let location = format!("http://{}/elsewhere", seen.header("host").unwrap());
            Answer::Keep(answer(
                &format!("{status} Moved"),
                &[("location", &location)],
                b"",
            ))
        })
        .await;
        let reply = fetch(&receiver).await.unwrap();
        assert_eq!(reply.status, status);
        let location = Header {
            name: "location".into(),
            value: receiver.url("/elsewhere"),
        };
        assert!(reply.headers.contains(&location));
        assert_eq!(receiver.seen().len(), 1);
    }
}

#[tokio::test]
async fn every_status_is_a_reply() {
    for (status, code) in [
        ("204 No Content", 204),
        ("404 Not Found", 404),
        ("410 Gone", 410),
        ("503 Busy", 503),
    ] {
        let bytes = format!("HTTP/1.1 {status}\r\nretry-after: 3\r\ncontent-length: 0\r\n\r\n");
        let reply = fetch(&Receiver::always(bytes.into_bytes()).await).await.unwrap();
        assert_eq!(reply.status, code);
        assert!(reply.headers.contains(&Header {
            name: "retry-after".into(),
            value: "3".into()
        }));
    }
}

#[tokio::test]
async fn header_names_come_in_lower_case_and_values_as_text() {
    let bytes =
        b"HTTP/1.1 200 OK\r\nX-Odd: a\xffb\r\nX-Two: 1\r\nX-TWO: 2\r\ncontent-length: 0\r\n\r\n".to_vec();
    let reply = fetch(&Receiver::always(bytes).await).await.unwrap();
    let values: Vec<_> = reply
        .headers
        .iter()
        .map(|header| (header.name.as_str(), header.value.as_str()))
        .collect();
    assert_eq!(
        values,
        [
            ("x-odd", "a\u{fffd}b"),
            ("x-two", "1"),
            ("x-two", "2"),
            ("content-length", "0")
        ]
    );
}

#[tokio::test]
async fn compressed_answers_are_read() {
    let text = "the same line again\n".repeat(100);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(text.as_bytes()).unwrap();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
    zlib.write_all(text.as_bytes()).unwrap();
    for (encoding, body) in [
        ("gzip", gzip.finish().unwrap()),
        ("deflate", zlib.finish().unwrap()),
    ] {
        let receiver = Receiver::always(answer("200 OK", &[("content-encoding", encoding)], &body)).await;
        let reply = fetch(&receiver).await.unwrap();
        assert_eq!(reply.body, text.as_bytes(), "{encoding}");
        assert!(
            reply
                .headers
                .iter()
                .all(|header| header.name != "content-encoding")
        );
        assert_eq!(
            receiver.seen()[0].header("accept-encoding"),
            Some("gzip,deflate,br")
        );
    }
}

#[tokio::test]
async fn an_encoding_that_was_not_asked_for_brings_no_body() {
    let mut raw = DeflateEncoder::new(Vec::new(), Compression::best());
    raw.write_all(b"text").unwrap();
    let body = raw.finish().unwrap();
    for encoding in ["zstd", "gzip, gzip", "x-unknown"] {
        let receiver = Receiver::always(answer("200 OK", &[("content-encoding", encoding)], &body)).await;
        let reply = fetch(&receiver).await.unwrap();
        assert_eq!((reply.status, reply.body.len()), (200, 0), "{encoding}");
    }
    let receiver = Receiver::always(answer("200 OK", &[("content-encoding", "identity")], b"text")).await;
    assert_eq!(fetch(&receiver).await.unwrap().body, b"text");
}

#[tokio::test]
async fn a_compressed_bomb_ends_at_the_limit() {
    let bomb = zeros_in_gzip(64);
    assert!(bomb.len() < 100_000);
    let receiver = Receiver::always(answer("200 OK", &[("content-encoding", "gzip")], &bomb)).await;
    let error = fetch(&receiver).await.unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Network);
    assert_eq!(error.message, "answer longer than 1048576 bytes");
}

#[tokio::test]
async fn an_answer_may_have_the_limit_and_not_a_byte_more() {
    let config = || EgressConfig {
        max_response_bytes: 1000,
        ..local()
    };
    let full = Receiver::always(answer("200 OK", &[], &[b'x'; 1000])).await;
    assert_eq!(fetch_with(config(), &full).await.unwrap().body.len(), 1000);
    let over = Receiver::always(answer("200 OK", &[], &[b'x'; 1001])).await;
    assert_eq!(
        fetch_with(config(), &over).await.unwrap_err().message,
        "answer longer than 1000 bytes"
    );
    let endless =
        Receiver::start(|_| Answer::Drip(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec()))
            .await;
    assert_eq!(
        fetch_with(config(), &endless).await.unwrap_err().message,
        "answer longer than 1000 bytes"
    );
}

#[tokio::test]
async fn a_body_that_drips_for_ever_ends_at_the_deadline() {
    let receiver =
        Receiver::start(|_| Answer::Drip(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec()))
            .await;
    let config = EgressConfig {
        total_timeout: SOON,
        max_response_bytes: usize::MAX / 2,
        ..local()
    };
    let error = fetch_with(config, &receiver).await.unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Timeout);
    assert_eq!(
        error.message,
        format!("{} did not answer completely within 300ms", receiver.address)
    );
}

#[tokio::test]
async fn an_answer_that_never_comes_ends_at_the_deadline() {
    for start in [
        &b""[..],
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok",
    ] {
        let receiver = Receiver::start(|_| Answer::Hang(start.to_vec())).await;
        let error = fetch_with(
            EgressConfig {
                total_timeout: SOON,
                ..local()
            },
            &receiver,
        )
        .await
        .unwrap_err();
        assert_eq!(error.kind, SendErrorKind::Timeout, "{error}");
    }
}

#[tokio::test]
async fn a_receiver_that_breaks_off_or_talks_nonsense_is_a_network_error() {
    let headers = "x: y\r\n".repeat(200);
    for bytes in [
        String::new(),
        "HTTP/1.1 200".into(),
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort".into(),
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n".into(),
        "SSH-2.0-OpenSSH_9.9\r\n".into(),
        format!("HTTP/1.1 200 OK\r\n{headers}\r\n"),
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 9\r\n\r\nno gzip !".into(),
    ] {
        let receiver = Receiver::start({
            let bytes = bytes.clone();
            move |_| Answer::Close(bytes.clone().into_bytes())
        })
        .await;
        let error = fetch(&receiver).await.unwrap_err();
        assert_eq!(error.kind, SendErrorKind::Network, "{bytes:.60}: {error}");
        assert!(error.message.contains("127.0.0.1"), "{error}");
        assert!(!error.message.contains("http://"), "{error}");
    }
}

#[tokio::test]
async fn a_receiver_that_is_not_there_is_a_network_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let grant = grant(json!([address.to_string()]), json!([]), &[]);
    let error = egress(local())
        .send(&grant, &get(format!("http://{address}/")), &context())
        .await
        .unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Network);
    assert!(
        error
            .message
            .starts_with(&format!("could not connect to {address}: ")),
        "{error}"
    );
}

#[tokio::test]
async fn a_receiver_without_tls_does_not_get_an_https_request() {
    let receiver = Receiver::start(|_| Answer::Close(ok())).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        let (mut stream, _) = listener.accept().await.unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
    });
    let grant = grant(json!([address.to_string()]), json!([]), &[]);
    let error = egress(local())
        .send(&grant, &get(format!("https://{address}/")), &context())
        .await
        .unwrap_err();
    assert_eq!(error.kind, SendErrorKind::Network, "{error}");
    assert!(receiver.seen().is_empty());
}

#[tokio::test]
async fn connections_are_kept_and_used_again() {
    const CALLERS: usize = 32;
    let barrier = Arc::new(Barrier::new(CALLERS));
    let receiver = Receiver::start(move |_| Answer::Together(Arc::clone(&barrier), ok())).await;
    let egress = egress(local());
    let grant = grant(json!([receiver.address.to_string()]), json!([]), &[]);
    for _ in 0..5 {
        let requests = (0..CALLERS).map(|_| {
            let (egress, grant, url) = (&egress, &grant, receiver.url("/"));
            async move { egress.send(grant, &post(url, b"{}"), &context()).await.unwrap() }
        });
        join_all(requests).await;
    }
    assert_eq!(receiver.seen().len(), 5 * CALLERS);
    // A request may dial while a connection is just coming back; most must not.
    assert!(
        receiver.connections() < 2 * CALLERS,
        "{} connections",
        receiver.connections()
    );
}

#[tokio::test]
async fn cookies_are_not_kept() {
    let receiver = Receiver::always(answer("200 OK", &[("set-cookie", "a=b")], b"")).await;
    let egress = egress(local());
    let grant = grant(json!([receiver.address.to_string()]), json!([]), &[]);
    for _ in 0..2 {
        egress
            .send(&grant, &get(receiver.url("/")), &context())
            .await
            .unwrap();
    }
    assert_eq!(receiver.seen()[1].header("cookie"), None);
}

/// Runs itself once more in a process whose environment names a proxy that would refuse.
#[test]
fn a_proxy_in_the_environment_is_ignored() {
    const CHILD: &str = "HEDDLE_TEST_PROXIED";
    if std::env::var_os(CHILD).is_none() {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child
            .args(["--exact", "replies::a_proxy_in_the_environment_is_ignored"])
            .env(CHILD, "1");
        for name in [
            "HTTP_PROXY",
            "http_proxy",
            "HTTPS_PROXY",
            "https_proxy",
            "ALL_PROXY",
            "all_proxy",
        ] {
            child.env(name, "http://127.0.0.1:1");
        }
        for name in ["NO_PROXY", "no_proxy", "REQUEST_METHOD"] {
            child.env_remove(name);
        }
        let output = child.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let receiver = Receiver::always(ok()).await;
        assert_eq!(fetch(&receiver).await.unwrap().status, 200);
        assert_eq!(receiver.seen()[0].line(), "GET / HTTP/1.1");
    });
}
