//! Push messages through an ntfy server: <https://docs.ntfy.sh/publish/>.
//!
//! One request an event, as JSON to the server's root. ntfy cannot deduplicate: an attempt whose
//! outcome is unknown and which is repeated may push the message twice.

use heddle_sdk::prelude::*;

/// The destination.
pub struct Ntfy;

impl Adapter for Ntfy {
    const MANIFEST: &'static str = include_str!("../manifest.json");

    fn deliver(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
        match delivery.action.as_str() {
            "publish" => publish(delivery, http),
            _ => Err(delivery.unknown_action()),
        }
    }

    fn check(connection: &Connection, http: &mut Http) -> Result<Account, Stop> {
        let server = server(connection);
        let health = http
            .send(Request::get(format!("{server}/v1/health")))?
            .success()?
            .json()?;
        if health["healthy"] != true {
            return Err(Failure::retryable("the server says that it is not healthy").into());
        }
        Ok(Account::named(server))
    }
}

heddle_sdk::export!(Ntfy);

fn publish(delivery: &Delivery, http: &mut Http) -> Result<Receipt, Stop> {
    let mut message = json!({
        "topic": delivery.input("topic")?,
        "message": delivery.template("template", Escape::None)?,
    });
    if delivery.optional_input("title").is_some() {
        message["title"] = delivery.template("title", Escape::None)?.into();
    }
    let request = Request::post(server(&delivery.connection)).json(&message);
    let published = http.send(request)?.success()?.json()?;
    Ok(Receipt::new("published").external_id(text_at(&published, "/id")?))
}

fn server(connection: &Connection) -> &str {
    connection
        .setting("server")
        .unwrap_or("https://ntfy.sh")
        .trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use heddle_sdk::FailureKind;
    use heddle_sdk::testing::{Scene, manifest};

    fn scene() -> Scene {
        Scene::action("publish")
            .input("topic", "lessons")
            .input("template", "{{email}} is done")
    }

    #[test]
    fn the_manifest_is_sound() {
        manifest::<Ntfy>(env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn a_message_is_published_to_the_servers_root() {
        let scene = scene()
            .setting("server", "https://push.example/")
            .input("title", "{{lesson_title}}");
        let run = scene.reply(200, json!({"id": "m1"})).deliver::<Ntfy>();
        assert_eq!(run.lines(), ["POST https://push.example"]);
        let expected = json!({"topic": "lessons", "message": "nina@academyflow.io is done",
            "title": "Customer Research Fundamentals"});
        assert_eq!(run.body(0), expected);
        assert_eq!(run.done()["external_id"], "m1");
    }

    #[test]
    fn a_refusal_is_told_apart() {
        for (status, body, kind) in [
            (200, "{", FailureKind::Retryable),
            (401, "", FailureKind::Authentication),
            (403, "", FailureKind::Permanent),
            (429, "", FailureKind::RateLimited),
            (507, "", FailureKind::Retryable),
        ] {
            assert_eq!(
                scene().reply_text(status, body).deliver::<Ntfy>().kind(),
                Some(kind),
                "{status}"
            );
        }
    }

    #[test]
    fn a_rule_without_a_topic_sends_nothing() {
        let run = scene().input("topic", "").deliver::<Ntfy>();
        assert_eq!((run.kind(), run.requests.len()), (Some(FailureKind::Mapping), 0));
    }

    #[test]
    fn a_check_asks_for_the_servers_health() {
        let run = Scene::connection()
            .reply(200, json!({"healthy": true}))
            .check::<Ntfy>();
        assert_eq!(run.lines(), ["GET https://ntfy.sh/v1/health"]);
        assert_eq!(run.done()["account"], "https://ntfy.sh");
    }
}
