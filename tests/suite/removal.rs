//! A deleted workspace, with the engine killed while it removes what that had.

use heddle_tests::api::{Api, Workspace, id_of, records};
use heddle_tests::engine::{Engine, Settings};
use heddle_tests::receiver::{Receiver, Reply};
use heddle_tests::wait::until;
use reqwest::Method;
use serde_json::{Value, json};

/// Stands in every payload of the workspace that is deleted.
const PERSONAL: &str = "nina-the-person@academyflow.io";

/// Fewer failures than those after which the circuit of a destination opens.
const TRIED: usize = 9;

async fn emit_many(api: &Api, workspace: &Workspace, event: &str, events: usize) -> Vec<String> {
    let one = json!({"event": event, "payload": {"email": PERSONAL}, "workspace": workspace.id});
    let mut ids = Vec::new();
    while ids.len() < events {
        let bulk = Value::Array(vec![one.clone(); (events - ids.len()).min(100)]);
        let answer = api.post("/events/bulk", &bulk).await.expect(201);
        ids.extend(answer["records"].as_array().expect("records").iter().map(id_of));
    }
    ids
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_deleted_workspace_is_left_on_the_disk_after_two_kills_while_another_emits() {
    let receiver = Receiver::start().await;
    receiver.always("/doomed", Reply::text(500, PERSONAL));
    let mut engine = Engine::start(Settings::default().retrying("0s,1h")).await;
    let mut api = Api::of(&engine).await;
    let (doomed, other) = (api.workspace("Doomed").await, api.workspace("Other").await);
    let connection = api.webhook(&doomed, &receiver.url("/doomed")).await;
    api.webhook_rule(&doomed, &connection, "tried").await;
    let kept = api.webhook(&other, &receiver.url("/kept")).await;
    api.webhook_rule(&other, &kept, "a").await;
    let tried = emit_many(&api, &doomed, "tried", TRIED).await;
    for event in &tried {
        api.wait_for_event(event, "retrying").await;
    }
    let many = emit_many(&api, &doomed, "matched by nothing", 2_000).await;

    let path = format!("/workspaces/{}", doomed.id);
    let wish = json!({"confirm": "Doomed"});
    api.call(Method::DELETE, &path, Some(&wish)).await.expect(200);
    let mut emitted = vec![api.emit(&other, "a", json!({"n": 0})).await];
    for n in 1..=2 {
        engine.kill().await;
        engine.restart().await;
        api = api.at(&engine);
        api.get(&path).await.expect_error(404);
        assert!(records(&api.get("/events").await.expect(200)).len() <= emitted.len());
        emitted.push(api.emit(&other, "a", json!({"n": n})).await);
    }
    let said = until(
        "the removal to end",
        || async { engine.log() },
        |log| log.contains("nothing is left of a deleted workspace"),
    )
    .await;
    assert!(!said.contains("could not be removed"), "{said}");
    for event in &emitted {
        api.wait_for_event(event, "completed").await;
    }
    let seen = records(&api.get("/events").await.expect(200));
    assert_eq!(seen.len(), emitted.len());
    assert!(engine.log().contains("nothing is left"));
    assert_eq!(receiver.wait_for("/doomed", tried.len()).await.len(), tried.len());

    engine.terminate().await;
    assert!(engine.ended().await.success());
    let bytes = engine.home().database_bytes();
    assert!(
        !holds(&bytes, PERSONAL.as_bytes()),
        "a payload is still on the disk"
    );
    assert!(!holds(&bytes, doomed.publishable_key.as_bytes()));
    for event in [&tried[0], &tried[TRIED - 1], &many[0], &many[1_999]] {
        let id: uuid::Uuid = event.parse().expect("an id");
        assert!(!holds(&bytes, id.as_bytes()), "{event} is still on the disk");
    }
    assert!(
        holds(&bytes, other.publishable_key.as_bytes()),
        "the test looks at the right files"
    );
}
