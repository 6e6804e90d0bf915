//! CloudEvents as their published SDK makes them, in each of the three modes of HTTP.

use cloudevents::event::SpecVersion;
use cloudevents::message::{BinaryDeserializer, BinarySerializer, MessageAttributeValue, Result};
use cloudevents::{Event, EventBuilder, EventBuilderV10};
use heddle_tests::api::{Api, Workspace, records};
use heddle_tests::engine::{Engine, Settings};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

fn event(id: &str) -> Event {
    EventBuilderV10::new()
        .id(id)
        .ty("order.paid")
        .source("https://shop.example/orders")
        .subject("order 7")
        .time("2026-03-21T14:18:00.250Z")
        .extension("resource", "commande française")
        .extension(
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        )
        .data(
            "application/json",
            json!({"email": "nina@academyflow.io", "n": id}),
        )
        .build()
        .expect("it has what it needs")
}

fn post(api: &Api, workspace: &Workspace) -> RequestBuilder {
    api.request(Method::POST, "/events")
        .header("x-heddle-publishable-key", &workspace.publishable_key)
}

/// A request in binary mode, as the SDK takes an event apart.
struct Binary(RequestBuilder);

impl BinarySerializer<RequestBuilder> for Binary {
    fn set_spec_version(self, version: SpecVersion) -> Result<Self> {
        Ok(Self(self.0.header("ce-specversion", version.to_string())))
    }

    fn set_attribute(self, name: &str, value: MessageAttributeValue) -> Result<Self> {
        let name = match name {
            "datacontenttype" => "content-type".to_owned(),
            other => format!("ce-{other}"),
        };
        Ok(Self(self.0.header(name, value.to_string())))
    }

    fn set_extension(self, name: &str, value: MessageAttributeValue) -> Result<Self> {
        self.set_attribute(name, value)
    }

    fn end_with_data(self, bytes: Vec<u8>) -> Result<RequestBuilder> {
        Ok(self.0.body(bytes))
    }

    fn end(self) -> Result<RequestBuilder> {
        Ok(self.0)
    }
}

fn binary(request: RequestBuilder, event: Event) -> RequestBuilder {
    event
        .deserialize_binary(Binary(request))
        .expect("it can be written")
}

#[tokio::test]
async fn what_the_sdk_writes_is_one_event_in_every_mode() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Cloud").await;
    let structured = post(&api, &workspace)
        .header("content-type", "application/cloudevents+json")
        .body(serde_json::to_string(&event("A")).expect("it is JSON"));
    let first = api.send(structured).await.expect(201);
    assert_eq!(
        (
            &first["event"]["event"],
            &first["event"]["resource"],
            &first["event"]["resource_id"]
        ),
        (
            &json!("order.paid"),
            &json!("commande française"),
            &json!("order 7")
        )
    );
    let again = api.send(binary(post(&api, &workspace), event("A"))).await;
    assert_eq!(again.header("idempotent-replay"), Some("true"), "{again:?}");
    assert_eq!(again.expect(201), first);
    let batch: Vec<Value> = ["A", "B", "C"]
        .map(|id| serde_json::to_value(event(id)).expect("it is JSON"))
        .to_vec();
    let batch = post(&api, &workspace)
        .header(
            "content-type",
            "application/cloudevents-batch+json; charset=UTF-8",
        )
        .body(json!(batch).to_string());
    let answer = api.send(batch).await.expect(201);
    assert_eq!(answer["count"], 3);
    assert_eq!(answer["records"][0]["id"], first["event"]["id"]);
    assert_eq!(records(&api.get("/events").await.expect(200)).len(), 3);
    let id = answer["records"][2]["id"].as_str().expect("an id");
    let read = api.get(&format!("/events/{id}/payload")).await.expect(200);
    assert_eq!(read["payload"], json!({"email": "nina@academyflow.io", "n": "C"}));
}
