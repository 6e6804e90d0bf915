//! Hostile JSON: refused with an error that says why, or kept to the byte.

use heddle_tests::api::{Answer, Api, Workspace, id_of};
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::receiver::Receiver;
use reqwest::Method;

async fn send(api: &Api, workspace: &Workspace, body: impl Into<Vec<u8>>) -> Answer {
    let request = api
        .request(Method::POST, "/events")
        .header("x-meshes-publishable-key", &workspace.publishable_key)
        .body(body.into());
    api.send(request).await
}

fn with_payload(payload: &str) -> String {
    format!(r#"{{"event":"a","payload":{payload}}}"#)
}

#[tokio::test]
async fn a_payload_is_read_back_and_delivered_to_the_byte() {
    let receiver = Receiver::start().await;
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("To the byte").await;
    let connection = api.webhook(&workspace, &receiver.url("/hook")).await;
    api.webhook_rule(&workspace, &connection, "a").await;
    let deep = format!("{}1{}", r#"{"x":["#.repeat(32), "]}".repeat(32));
    let payloads = [
        r#"{"z":1,"a":2,"m":3,"A":4,"":5}"#,
        r#"{"n":[1.10,1e2,1E+2,-0,-0.0,0.1e-7,1.0,100000000000000000000000000,3.141592653589793238462643383279]}"#,
        "{\"big\":123456789012345678901234567890123456789012345678901234567890,\"tiny\":1e-400}",
        "{ \"a\" :\t[ 1 ,2 ]\r\n, \"b\" : { } }",
        r#"{"\u0061b":"\u00e9 \ud83d\ude00 \/ \b\f\n\r\t \" \\ é 😀 \u2028 \u007f","k":null,"t":true}"#,
        "{\"\u{feff}bom\":\"\u{202e}\u{200b}\u{fffe}\"}",
        r#"{"__proto__":{"x":1},"constructor":1,"toString":"x","$ref":"1"}"#,
        r#"{"brackets":"}]{[\"}]","a":[[],{},[{}]]}"#,
        deep.as_str(),
    ];
    for (n, payload) in payloads.iter().enumerate() {
        let id = id_of(&send(&api, &workspace, with_payload(payload)).await.expect(201)["event"]);
        let read = api.get(&format!("/events/{id}/payload")).await;
        assert!(
            read.text.ends_with(&format!("\"payload\":{payload}}}")),
            "{payload} became {}",
            read.text
        );
        let delivered = receiver.wait_for("/hook", n + 1).await[n].text().to_owned();
        assert!(
            delivered.contains(payload),
            "{payload} was delivered as {delivered}"
        );
    }
}

#[tokio::test]
async fn what_readers_disagree_about_is_refused_wherever_it_stands() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Refused").await;
    let payloads: [&[u8]; 21] = [
        br#"{"x":1,"x":2}"#,
        br#"{"x":1,"\u0078":2}"#,
        br#"{"a":[{"b":{"x":1,"x":1}}]}"#,
        br#"{"x":"\ud800"}"#,
        br#"{"x":"\udc00\ud800"}"#,
        br#"{"\ud800":1}"#,
        br#"{"x":"\u0000"}"#,
        br#"{"\u0000":1}"#,
        b"{\"x\":\"\0\"}",
        b"{\"x\":\"\x1f\"}",
        b"{\"x\":\"\xff\"}",
        b"{\"x\":\"\xed\xa0\x80\"}",
        b"{\"x\":\"\xc0\x80\"}",
        br#"{"x":1e400}"#,
        br#"{"x":NaN}"#,
        br#"{"x":01}"#,
        br#"{"x":1.}"#,
        br#"{"x":+1}"#,
        b"{\"x\":1,}",
        b"{\"x\":1/**/}",
        // What the engine's own JSON reader would take for more JSON.
        br#"{"$serde_json::private::RawValue":"1"}"#,
    ];
    for payload in payloads {
        let body = [b"{\"event\":\"a\",\"payload\":", payload, b"}"].concat();
        let shown = String::from_utf8_lossy(&body).into_owned();
        let error = send(&api, &workspace, body).await;
        assert_eq!(error.status, 400, "{shown}: {error:?}");
        error.expect_error(400);
    }
    let digits = format!(r#"{{"x":{}}}"#, "9".repeat(100_000));
    send(&api, &workspace, with_payload(&digits))
        .await
        .expect_error(400);
    for body in [
        "\u{feff}".to_owned() + &with_payload("{}"),
        with_payload("{}") + "\0",
        r#"{"event":"a","event":"a","payload":{}}"#.into(),
        r#"{"event":"a\u0000","payload":{}}"#.into(),
        r#"{"event":"\ud800","payload":{}}"#.into(),
    ] {
        send(&api, &workspace, body.clone()).await.expect_error(400);
    }
    for (open, close) in [(r#"{"x":"#, "}"), (r#"{"x":["#, "]}")] {
        let deep = format!("{}1{}", open.repeat(65), close.repeat(65));
        let error = send(&api, &workspace, with_payload(&deep))
            .await
            .expect_error(413);
        assert!(error["error"]["message"].to_string().contains("64"), "{error}");
    }
    let list = api.get("/events").await.expect(200);
    assert_eq!(list["count"], 0, "nothing of it was stored");
}
