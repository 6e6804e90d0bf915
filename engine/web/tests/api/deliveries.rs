//! Deliveries: tried now, called off, and what was tried so far. The engine's part is played through
//! the store.

use std::sync::Arc;

use heddle_core::exchange::Header;
use heddle_core::id::AttemptId;
use heddle_core::outcome::{Outcome, OutcomeCode};
use heddle_core::time::Clock;
use heddle_store::{Attempt, AttemptRecord, ClaimRequest, Claimed, RequestSummary, ResponseDetails};
use serde_json::json;

use crate::world::{World, text};

struct Scene {
    world: World,
    connection: String,
    rule: String,
    event: String,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new().await;
        let (workspace, _) = world.workspace("First").await;
        let connection = world.connection(&workspace, "CRM").await;
        let rule = world.rule(&workspace, &connection, "a").await;
        let event = world.emit(&workspace, "a").await;
        Self {
            world,
            connection,
            rule,
            event,
        }
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/events/{}/rules/{}/{rest}", self.event, self.rule)
    }

    async fn claim(&self) -> Claimed {
        let now = self.world.clock.now();
        let wish = ClaimRequest {
            connection: self.connection.parse().unwrap(),
            limit: 1,
            forced_only: false,
        };
        let until = now.plus(std::time::Duration::from_secs(60));
        let mut lanes = self.world.store.claim(vec![wish], now, until).await.unwrap();
        lanes.remove(0).claimed.remove(0)
    }

    async fn settle(&self, claimed: &Claimed, outcome: Outcome, response: Option<ResponseDetails>) {
        let now = self.world.clock.now();
        let number = claimed.state.attempt_count;
        let attempt = Attempt {
            id: AttemptId::new(now, [u8::try_from(number).unwrap(); 10]),
            number,
            started_at: now,
            finished_at: now.plus(std::time::Duration::from_millis(120)),
            outcome_code: outcome.code,
            message: outcome.message.clone(),
            request: Some(RequestSummary {
                method: "POST".into(),
                url: "https://acme.example/x".into(),
            }),
            status: response.as_ref().map(|response| response.status).or(Some(200)),
            steps: 1,
            response,
        };
        let schedule = Arc::new("0s,5s,5m".parse().unwrap());
        let record = AttemptRecord {
            delivery: claimed.delivery,
            attempt,
            outcome,
            schedule,
            seed: 1,
            now,
        };
        self.world.store.record_attempt(record).await.unwrap();
    }

    async fn fail(&self) {
        let claimed = self.claim().await;
        let header = |name: &str, value: &str| Header {
            name: name.into(),
            value: value.into(),
        };
        let response = ResponseDetails {
            status: 503,
            headers: vec![
                header("x-a", "1"),
                header("set-cookie", "a"),
                header("set-cookie", "b"),
            ],
            body: b"overloaded".to_vec(),
            truncated: false,
        };
        let outcome = Outcome::retry(OutcomeCode::RejectedServerError, "It answered 503.");
        self.settle(&claimed, outcome, Some(response)).await;
    }
}

#[tokio::test]
async fn the_attempts_of_a_delivery_are_its_history() {
    let scene = Scene::new().await;
    scene.fail().await;
    scene.world.clock.advance(10_000);
    let claimed = scene.claim().await;
    scene.settle(&claimed, Outcome::delivered("Created."), None).await;

    let list = scene.world.get(&scene.path("attempts")).await.expect(200);
    assert_eq!((&list["count"], &list["limit"]), (&json!(2), &json!(50)));
    let [second, first] = list["records"].as_array().unwrap().as_slice() else {
        panic!("{list}")
    };
    assert_eq!((&first["number"], &second["number"]), (&json!(1), &json!(2)));
    assert_eq!(
        (&first["outcome_code"], &second["outcome_code"]),
        (&json!("rejected_server_error"), &json!("delivered"))
    );
    assert_eq!(
        (&first["status_code"], &first["duration_ms"]),
        (&json!(503), &json!(120))
    );
    assert_eq!(
        first["request"],
        json!({"method": "POST", "url": "https://acme.example/x"})
    );
    assert_eq!(
        (&first["has_response_details"], &second["has_response_details"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(
        (&first["event_id"], &first["rule"]),
        (&json!(scene.event), &json!(scene.rule))
    );

    let path = scene.path(&format!("attempts/{}", text(&first["id"])));
    assert_eq!(&scene.world.get(&path).await.expect(200), first);
    let details = scene
        .world
        .get(&format!("{path}/response-details"))
        .await
        .expect(200);
    assert_eq!(
        details,
        json!({"attempt_id": first["id"], "status_code": 503, "headers": {"x-a": "1", "set-cookie": "a, b"},
               "body": "overloaded", "body_encoding": "utf8", "truncated": false})
    );
    let path = scene.path(&format!("attempts/{}/response-details", text(&second["id"])));
    assert_eq!(scene.world.get(&path).await.refused(404), "not_found");

    let one = scene.world.get(&scene.path("attempts?limit=1")).await.expect(200);
    let cursor = text(&one["next_cursor"]);
    let rest = scene
        .world
        .get(&scene.path(&format!("attempts?limit=1&cursor={cursor}")))
        .await
        .expect(200);
    assert_eq!((&one["records"][0], &rest["records"][0]), (second, first));

    let event = scene
        .world
        .get(&format!("/api/v1/events/{}", scene.event))
        .await
        .expect(200);
    assert_eq!(
        (&event["status"], &event["completed_count"]),
        (&json!("completed"), &json!(1))
    );
    assert!(
        event["started_at"].is_string() && event["completed_at"].is_string(),
        "{event}"
    );
    assert_eq!(event["rule_events"][0]["attempt_count"], json!(2));
}

#[tokio::test]
async fn a_retry_is_too_early_while_an_attempt_is_at_hand() {
    let scene = Scene::new().await;
    let claimed = scene.claim().await;
    let answer = scene.world.post(&scene.path("retry"), json!({})).await;
    assert_eq!(answer.headers["retry-after"], "3");
    assert_eq!(answer.refused(425), "retry_too_early");

    let outcome = Outcome::retry(OutcomeCode::Timeout, "No answer.");
    scene.settle(&claimed, outcome, None).await;
    scene.world.clock.advance(4_000);
    assert_eq!(
        scene
            .world
            .post(&scene.path("retry"), json!({}))
            .await
            .refused(425),
        "retry_too_early"
    );
}

#[tokio::test]
async fn a_delivery_is_tried_now_and_replayed_after_its_end() {
    let scene = Scene::new().await;
    scene.fail().await;
    let waiting = scene
        .world
        .post(&scene.path("retry"), json!({}))
        .await
        .expect(200);
    assert_eq!(
        (&waiting["status"], &waiting["attempt_count"]),
        (&json!("retrying"), &json!(1))
    );
    assert_eq!(
        (&waiting["last_error"], &waiting["id"].is_string()),
        (&json!("It answered 503."), &true)
    );

    let claimed = scene.claim().await;
    scene
        .settle(
            &claimed,
            Outcome::permanent(OutcomeCode::RejectedClientError, "No."),
            None,
        )
        .await;
    let event = scene
        .world
        .get(&format!("/api/v1/events/{}", scene.event))
        .await
        .expect(200);
    assert_eq!(
        (&event["status"], &event["failed_count"]),
        (&json!("failed"), &json!(1))
    );
    // A body is not needed, and one that is no JSON does not matter.
    let replayed = scene
        .world
        .send(&scene.world.machine(), "POST", &scene.path("retry"), "")
        .await
        .expect(200);
    assert_eq!(
        (&replayed["status"], &replayed["attempt_count"]),
        (&json!("pending"), &json!(2))
    );
}

#[tokio::test]
async fn a_delivery_whose_rule_is_gone_is_not_replayed_but_stays_readable() {
    let scene = Scene::new().await;
    scene.fail().await;
    scene
        .world
        .delete(&format!("/api/v1/rules/{}", scene.rule))
        .await
        .expect(200);
    assert_eq!(
        scene
            .world
            .post(&scene.path("retry"), json!({}))
            .await
            .refused(409),
        "rule_deleted"
    );
    assert_eq!(
        scene.world.get(&scene.path("attempts")).await.expect(200)["count"],
        json!(1)
    );
    let event = scene
        .world
        .get(&format!("/api/v1/events/{}", scene.event))
        .await
        .expect(200);
    assert_eq!(event["rule_events"][0]["status"], json!("canceled"));
}

#[tokio::test]
async fn a_delivery_or_a_whole_event_is_called_off_once() {
    let scene = Scene::new().await;
    let canceled = scene
        .world
        .post(&scene.path("cancel"), json!({}))
        .await
        .expect(200);
    assert_eq!(
        (&canceled["type"], &canceled["status"]),
        (&json!("rule"), &json!("canceled"))
    );
    assert_eq!(
        scene
            .world
            .post(&scene.path("cancel"), json!({}))
            .await
            .refused(409),
        "already_final"
    );

    let scene = Scene::new().await;
    let path = format!("/api/v1/events/{}/cancel", scene.event);
    let canceled = scene.world.post(&path, json!({})).await.expect(200);
    assert_eq!(
        (&canceled["status"], &canceled["rule_events"][0]["status"]),
        (&json!("canceled"), &json!("canceled"))
    );
    assert_eq!(
        scene.world.post(&path, json!({})).await.refused(409),
        "already_final"
    );
}
