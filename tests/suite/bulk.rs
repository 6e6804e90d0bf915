//! Many events in one call, each accepted or refused by itself.

use heddle_tests::api::{Api, id_of, records};
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::receiver::Receiver;
use serde_json::{Value, json};

#[tokio::test]
async fn one_bad_item_is_refused_and_the_others_are_delivered() {
    let receiver = Receiver::start().await;
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Bulk").await;
    let connection = api.webhook(&workspace, &receiver.url("/hook")).await;
    api.webhook_rule(&workspace, &connection, "a.*").await;
    let items = json!([
        {"event": "a.first", "payload": {"n": 1}},
        {"event": "a.second", "payload": []},
        {"event": "a.third", "payload": {"n": 3}},
        {"payload": {"n": 4}},
        5,
    ]);
    let answer = api
        .post_with_key(&workspace.publishable_key, "/events/bulk", &items)
        .await
        .expect(207);
    assert_eq!((&answer["count"], &answer["error_count"]), (&json!(5), &json!(3)));
    let answers = answer["records"].as_array().expect("records");
    assert_eq!(answers.len(), 5, "one answer an item, in the order of the items");
    assert_eq!(
        (&answers[0]["event"], &answers[2]["event"]),
        (&json!("a.first"), &json!("a.third"))
    );
    for good in [0, 2] {
        let id = id_of(&answers[good]);
        api.wait_for_event(&id, "completed").await;
    }
    for bad in [1, 3, 4] {
        assert!(answers[bad]["message"].is_string(), "{answer}");
        assert!(answers[bad].get("id").is_none(), "{answer}");
        assert!(answers[bad]["error"]["message"].is_string(), "{answer}");
    }
    let delivered = receiver.wait_for("/hook", 2).await;
    let mut numbers: Vec<_> = delivered
        .iter()
        .map(|request| request.json()["payload"]["n"].clone())
        .collect();
    numbers.sort_by_key(Value::to_string);
    assert_eq!(numbers, [json!(1), json!(3)]);
    assert_eq!(records(&api.get("/events").await.expect(200)).len(), 2);
}

#[tokio::test]
async fn a_hundred_good_items_are_accepted_and_each_is_delivered_once() {
    let receiver = Receiver::start().await;
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("Hundred").await;
    let connection = api.webhook(&workspace, &receiver.url("/hook")).await;
    api.webhook_rule(&workspace, &connection, "a").await;
    let items: Vec<_> = (0..100)
        .map(|n| json!({"workspace": workspace.id, "event": "a", "payload": {"n": n}}))
        .collect();
    let answer = api.post("/events/bulk", &json!(items)).await.expect(201);
    assert_eq!(answer["count"], 100);
    assert!(
        answer.get("error_count").is_none_or(|count| *count == 0),
        "{answer}"
    );
    let requests = receiver.wait_for("/hook", 100).await;
    let mut numbers: Vec<_> = requests
        .iter()
        .filter_map(|request| request.json()["payload"]["n"].as_i64())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_call_that_is_no_batch_is_refused_as_a_whole() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("No batch").await;
    let item = json!({"event": "a", "payload": {"n": 1}});
    let cases = [
        json!([]),
        json!(vec![item.clone(); 101]),
        item.clone(),
        json!({"events": [item]}),
        json!("text"),
    ];
    for body in cases {
        api.post_with_key(&workspace.publishable_key, "/events/bulk", &body)
            .await
            .expect_error(400);
    }
    let big = json!([{"event": "a", "payload": {"x": "a".repeat(200 * 1024)}}]);
    let too_big = json!(vec![big[0].clone(); 30]);
    let error = api
        .post_with_key(&workspace.publishable_key, "/events/bulk", &too_big)
        .await
        .expect_error(413);
    assert!(
        error.to_string().contains("5242880") || error.to_string().contains("5 MiB"),
        "the limit is named: {error}"
    );
    assert_eq!(
        api.get("/events").await.expect(200)["records"],
        json!([]),
        "nothing was stored"
    );
}

#[tokio::test]
async fn an_item_over_the_limit_of_an_event_is_refused_alone() {
    let engine = Engine::start(Settings::default()).await;
    let api = Api::of(&engine).await;
    let workspace = api.workspace("One too big").await;
    let items = json!([
        {"event": "a", "payload": {"x": "a".repeat(300 * 1024)}},
        {"event": "a", "payload": {"x": 1}},
    ]);
    let answer = api
        .post_with_key(&workspace.publishable_key, "/events/bulk", &items)
        .await
        .expect(207);
    assert_eq!((&answer["count"], &answer["error_count"]), (&json!(2), &json!(1)));
    assert!(
        answer["records"][0]["error"]["message"]
            .to_string()
            .contains("262144"),
        "{answer}"
    );
    id_of(&answer["records"][1]);
}
