//! Every spelling of a place where requests may not go ends as refused, and nothing is dialed.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::BoxFuture;
use heddle_egress::{EgressConfig, Resolve, SendErrorKind};
use serde_json::json;

use crate::receiver::{Receiver, ok};
use crate::{context, egress, egress_with, get, grant, local, try_grant};

/// Hosts as a stranger might write them; `PORT` is that of a listener on 127.0.0.1.
const LITERALS: &[&str] = &[
    "http://127.0.0.1:PORT/",
    "http://127.0.0.1.:PORT/",
    "http://127.1:PORT/",
    "http://127.0.1:PORT/",
    "http://127.255.255.254:PORT/",
    "http://127.000.000.001:PORT/",
    "http://2130706433:PORT/",
    "http://0x7f000001:PORT/",
    "http://0X7F000001:PORT/",
    "http://0x7f.1:PORT/",
    "http://0x7f.0x0.0x0.0x1:PORT/",
    "http://0177.0.0.1:PORT/",
    "http://0177.0.0x1:PORT/",
    "http://017700000001:PORT/",
    "http://0:PORT/",
    "http://0.0.0.0:PORT/",
    "http://0x0:PORT/",
    "http://000000000000:PORT/",
    "http://[::]:PORT/",
    "http://[::1]:PORT/",
    "http://[0:0:0:0:0:0:0:1]:PORT/",
    "http://[0000:0000::0001]:PORT/",
    "http://[::ffff:127.0.0.1]:PORT/",
    "http://[::ffff:7f00:1]:PORT/",
    "http://[0:0:0:0:0:FFFF:7F00:0001]:PORT/",
    "http://[::127.0.0.1]:PORT/",
    "http://[::7f00:1]:PORT/",
    "http://[::ffff:0:127.0.0.1]:PORT/",
    "http://[64:ff9b::127.0.0.1]:PORT/",
    "http://[64:ff9b::7f00:1]:PORT/",
    "http://[64:ff9b:1::7f00:1]:PORT/",
    "http://[2002:7f00:1::]:PORT/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[2001:0:7f00:1::]:PORT/",
    "http://[fe80::1]:PORT/",
    "http://[fec0::1]/",
    "http://[fc00::1]/",
    "http://[fd00:ec2::254]/latest/meta-data/",
    "http://[ff02::1]/",
    "http://[2001:db8::1]/",
    "http://[3fff::1]/",
    "http://[5f00::1]/",
    "http://[100::1]/",
    "http://[2001:20::1]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://169.254.43518/",
    "http://0xa9fea9fe/",
    "http://2852039166/",
    "http://0251.0376.0251.0376/",
    "http://[::ffff:169.254.169.254]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://168.63.129.16/metadata",
    "http://100.100.100.200/latest/meta-data/",
    "http://192.0.0.192/opc/v2/",
    "http://10.0.0.1/",
    "http://167772161/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.0.1/",
    "http://192.168.257/",
    "http://100.64.0.1/",
    "http://198.18.0.1/",
    "http://192.0.2.1/",
    "http://198.51.100.1/",
    "http://203.0.113.1/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://4294967295/",
    "http://１２７.０.０.１:PORT/",
    "http://①②⑦.⓪.⓪.①:PORT/",
    "http://127。0。0。1:PORT/",
    "http://127．0．0．1:PORT/",
    "http://127.0\u{ad}.0.1:PORT/",
    "http://127.0.0.1\u{200b}:PORT/",
    "http://%31%32%37.0.0.1:PORT/",
    "http://127%2e0%2e0%2e1:PORT/",
    "http:\\\\127.0.0.1:PORT\\",
    "http:127.0.0.1:PORT/",
    "http:///127.0.0.1:PORT/",
    "http://@127.0.0.1:PORT/",
    "http://user:hunter2@127.0.0.1:PORT/",
    "http://public.test@127.0.0.1:PORT/",
    "http://public.test:80@127.0.0.1:PORT/",
    "http://public.test%40127.0.0.1:PORT/",
    "http://127.0.0.1:PORT#@public.test/",
    "http://127.0.0.1:PORT?@public.test/",
    "http://127.0.0.1:PORT\\@public.test/",
    "http://127.0.0.1\t:PORT/",
    "http://127.0.0.1\r\n:PORT/",
    "http://127.0.0.1\0.public.test:PORT/",
    "http://localhost:PORT/",
    "http://LocalHost:PORT/",
    "http://localhost.:PORT/",
    "http://any.localhost:PORT/",
    "http://any.localhost.:PORT/",
    "http://ｌｏｃａｌｈｏｓｔ:PORT/",
    "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:PORT/",
    "http://l\u{ad}ocalhost:PORT/",
    "http://[fe80::1%25lo]:PORT/",
    "http://[::1%lo]:PORT/",
    "http://[::ffff:0x7f.1]:PORT/",
    "http://127.0.0.256:PORT/",
    "http://0x100000000:PORT/",
    "https://127.0.0.1:PORT/",
    "https://[::1]:PORT/",
    "https://169.254.169.254/",
    "ftp://127.0.0.1:PORT/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:PORT/_x",
    "ws://127.0.0.1:PORT/",
    "unix:/run/heddle.sock",
    "//127.0.0.1:PORT/",
];

/// Names and what a hostile name server says they are.
const NAMES: &[(&str, &[&str])] = &[
    ("loopback.test", &["127.0.0.1"]),
    ("127.0.0.1.nip.test", &["127.0.0.1"]),
    ("loopback6.test", &["::1"]),
    ("zero.test", &["0.0.0.0"]),
    ("zero6.test", &["::"]),
    ("mapped.test", &["::ffff:127.0.0.1"]),
    ("compatible.test", &["::127.0.0.1"]),
    ("nat64.test", &["64:ff9b::7f00:1"]),
    ("6to4.test", &["2002:7f00:1::"]),
    ("teredo.test", &["2001:0:7f00:1::"]),
    ("metadata.test", &["169.254.169.254"]),
    ("private.test", &["10.0.0.1", "192.168.0.1", "fd00::1"]),
    ("carrier.test", &["100.64.0.1"]),
    ("multicast.test", &["224.0.0.1", "ff02::1"]),
    ("trailing-dot.test.", &["127.0.0.1"]),
];

/// A name server that plays the table above and writes down what it is asked.
struct Hostile {
    answers: HashMap<&'static str, Vec<IpAddr>>,
    asked: Mutex<Vec<String>>,
}

impl Resolve for Hostile {
    fn resolve(&self, host: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        self.asked.lock().unwrap().push(host.to_owned());
        let answer = self
            .answers
            .get(host)
            .cloned()
            .ok_or_else(|| io::Error::other("no such name"));
        async move { answer }.boxed()
    }
}

fn hostile() -> Arc<Hostile> {
    let parse = |addresses: &[&str]| addresses.iter().map(|address| address.parse().unwrap()).collect();
    let answers = NAMES
        .iter()
        .map(|(name, addresses)| (*name, parse(addresses)))
        .collect();
    Arc::new(Hostile {
        answers,
        asked: Mutex::default(),
    })
}

fn open_to_http() -> EgressConfig {
    EgressConfig {
        allow_http: true,
        ..EgressConfig::default()
    }
}

#[tokio::test]
async fn every_hostile_spelling_is_refused_and_nothing_is_dialed() {
    let receiver = Receiver::always(ok()).await;
    let resolver = hostile();
    let egress = egress_with(open_to_http(), &resolver);
    let elsewhere = grant(json!(["public.test"]), json!([]), &[]);
    assert!(LITERALS.len() >= 40);
    for spelling in LITERALS {
        let url = spelling.replace("PORT", &receiver.address.port().to_string());
        // Once as a connection whose owner typed this URL, once as a plugin that goes astray.
        let typed = try_grant(json!(["{url.host}"]), json!([]), json!({"url": url}), &[]);
        for grant in typed.iter().chain([&elsewhere]) {
            let error = egress.send(grant, &get(&*url), &context()).await.unwrap_err();
            assert_eq!(error.kind, SendErrorKind::Refused, "{url:?}: {error}");
            assert!(!error.message.contains("hunter2"), "{error}");
        }
        assert!(egress.check_url(&url).is_err(), "{url:?} passed the check");
    }
    assert_eq!(receiver.connections(), 0);
    assert_eq!(
        *resolver.asked.lock().unwrap(),
        Vec::<String>::new(),
        "a literal address was resolved"
    );
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_after_one_look() {
    let receiver = Receiver::always(ok()).await;
    let resolver = hostile();
    let egress = egress_with(open_to_http(), &resolver);
    for (name, _) in NAMES {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{name}:{}/", receiver.address.port());
            let typed = try_grant(json!(["{url.host}"]), json!([]), json!({"url": url}), &[]).unwrap();
            let error = egress.send(&typed, &get(&*url), &context()).await.unwrap_err();
            assert_eq!(error.kind, SendErrorKind::Refused, "{url}: {error}");
            assert!(error.message.contains(name.trim_end_matches('.')), "{error}");
            assert_eq!(
                std::mem::take(&mut *resolver.asked.lock().unwrap()),
                [*name],
                "{url}"
            );
        }
    }
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn http_is_refused_unless_the_operator_allows_it() {
    let receiver = Receiver::always(ok()).await;
    let closed = egress(EgressConfig {
        allow_http: false,
        ..local()
    });
    let grant = grant(
        json!(["127.0.0.1:PORT".replace("PORT", &receiver.address.port().to_string())]),
        json!([]),
        &[],
    );
    let error = closed
        .send(&grant, &get(receiver.url("/")), &context())
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind, error.message.as_str()),
        (SendErrorKind::Refused, "the URL must begin with https://")
    );
    assert_eq!(
        closed.check_url(&receiver.url("/")),
        Err("must begin with https://".into())
    );
    assert_eq!(receiver.connections(), 0);
    let open = egress(local());
    assert_eq!(
        open.send(&grant, &get(receiver.url("/")), &context())
            .await
            .unwrap()
            .status,
        200
    );
    assert_eq!(open.check_url(&receiver.url("/")), Ok(()));
}

#[tokio::test]
async fn a_public_url_passes_the_check_without_being_resolved() {
    let resolver = hostile();
    let egress = egress_with(EgressConfig::default(), &resolver);
    for url in [
        "https://hooks.example.com/x?y",
        "https://93.184.216.34/",
        "https://[2606:4700::1111]:8443/",
        "https://loopback.test/",
    ] {
        assert_eq!(egress.check_url(url), Ok(()), "{url}");
    }
    assert!(resolver.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_request_that_is_malformed_or_too_large_is_refused_before_anything_is_dialed() {
    let receiver = Receiver::always(ok()).await;
    let egress = egress(local());
    let grant = grant(json!([receiver.address.to_string()]), json!([]), &[]);
    let with_header = |name: &str, value: &str| {
        let mut request = get(receiver.url("/"));
        request.headers.push(heddle_core::exchange::Header {
            name: name.into(),
            value: value.into(),
        });
        request
    };
    let with_method = |method: &str| heddle_core::exchange::Request {
        method: method.into(),
        ..get(receiver.url("/"))
    };
    let requests = [
        with_header("X-A", "a\r\nX-B: b"),
        with_header("X-A: b\r\nX-B", "c"),
        with_header("Host", "evil.test"),
        with_header("Content-Length", "5"),
        with_header("Transfer-Encoding", "chunked"),
        with_header("Connection", "upgrade"),
        with_method("CONNECT"),
        with_method("TRACE"),
        with_method("get"),
        with_method("GET / HTTP/1.1\r\nX: y"),
        get(receiver.url(&"/x".repeat(5000))),
        get("credential:hook"),
        get("https://other.test/"),
        heddle_core::exchange::Request {
            body: vec![0; 1024 * 1024 + 1],
            ..get(receiver.url("/"))
        },
    ];
    for request in requests {
        let error = egress.send(&grant, &request, &context()).await.unwrap_err();
        assert_eq!(error.kind, SendErrorKind::Refused, "{error}");
    }
    assert_eq!(receiver.connections(), 0);
    let full = heddle_core::exchange::Request {
        body: vec![0; 1024 * 1024],
        ..with_method("PUT")
    };
    egress.send(&grant, &full, &context()).await.unwrap();
    assert_eq!(receiver.seen()[0].body.len(), 1024 * 1024);
}
