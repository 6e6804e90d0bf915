//! `heddle demo`: the real engine, a receiver that plays three providers, one event.
//!
//! Nothing is simulated but the providers: the engine is the one that `heddle serve` runs, and the
//! demo speaks to it through its API.

mod api;
mod receiver;

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use heddle_core::delivery::Status;
use heddle_core::outcome::OutcomeCode;
use heddle_delivery::Attempted;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::home::Home;
use crate::listen::{Callers, listen};
use crate::machine::SystemClock;
use crate::serve;
use crate::settings::Settings;
use api::Api;
use heddle_core::time::Clock;

/// What the product emits.
const EVENT: &str = r#"{"event":"lesson.completed","resource":"course","resource_id":"creator-accelerator","payload":{"student_id":"stu_2048","email":"nina@academyflow.io","lesson_id":"lesson_customer-research","lesson_title":"Customer Research Fundamentals","module_id":"module_growth-foundations","module_title":"Growth Foundations","course_id":"course_creator-accelerator","completion_percentage":62,"time_spent_seconds":1840,"completed_at":"2026-03-21T14:18:00Z"}}"#;

/// Short enough to watch.
const SCHEDULE: &str = "0s,1s,2s,5s";

/// Long before this, the event is delivered or something is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs the demo; afterwards it serves on until Ctrl-C, unless `once`.
pub async fn run(settings: &Settings, once: bool) -> Result<()> {
    let stop = serve::stop_signal()?;
    tokio::pin!(stop);
    let receiver = receiver::start().await?;
    let folder = DemoFolder::new()?;
    let settings = Settings {
        data_dir: folder.0.clone(),
        retry_schedule: SCHEDULE.parse()?,
        egress_allow_http: true,
        egress_allow_networks: vec!["127.0.0.0/8".into()],
        egress_routes: vec![
            format!("slack.com=http://{receiver}"),
            format!("api.hubapi.com=http://{receiver}"),
        ],
        master_key: None,
        ..settings.clone()
    };
    let home = Home::open(&settings.data_dir, None)?;
    let engine = Engine::start(&home, &settings).await?;
    let listener = match serve::bind(settings.listen).await {
        Ok(listener) => listener,
        Err(_) => serve::bind(SocketAddr::new(settings.listen.ip(), 0)).await?,
    };
    let address = listener.local_addr()?;
    let stopping = CancellationToken::new();
    let served = tokio::spawn(listen(
        listener,
        engine.router.clone(),
        Callers::of(&settings),
        stopping.clone(),
    ));

    let show = Show::new();
    show.line(&format!(
        "{}  one event, three destinations, two of which fail at first",
        show.bold("heddle demo")
    ));
    show.line("");
    show.line(&format!(
        "  engine     http://{address}, data in {}",
        folder.0.display()
    ));
    show.line(&format!(
        "  receiver   http://{receiver} plays Slack, HubSpot and a customer's webhook"
    ));

    let happened = tokio::select! {
        happened = play(&engine, &show, receiver) => Some(happened),
        () = &mut stop => None,
    };
    if let Some(happened) = happened {
        let scene = happened?;
        farewell(&show, &scene, address, &folder.0);
        if !once {
            show.line("");
            show.line("Serving until Ctrl-C, and showing what you emit; the data folder is removed then.");
            tokio::select! {
                () = watch(&engine, &show) => {}
                () = &mut stop => {}
            }
        }
    }
    stopping.cancel();
    served.abort();
    engine.stop(Duration::from_secs(2)).await;
    Ok(())
}

/// What the closing commands need.
struct Scene {
    access_key: String,
    publishable_key: String,
    event: String,
}

async fn play(engine: &Engine, show: &Show, receiver: SocketAddr) -> Result<Scene> {
    let key = crate::keys::make(&engine.store, "demo", None, &Default::default()).await?;
    let api = Api {
        router: engine.router.clone(),
        key: key.clone(),
    };
    let workspace = api.post("/workspaces", &json!({"name": "Academy Flow"})).await?;
    let workspace = api::text(&workspace, "/workspace/id")?;
    let details = api.get(&format!("/workspaces/{workspace}")).await?;
    let publishable_key = api::text(&details, "/publishable_key/public_key")?;
    show.line("  workspace  Academy Flow");
    show.line("");
    let webhook = format!("http://{receiver}/customers/academy/events");
    let destinations = [
        (
            "webhook",
            "Course platform",
            json!({"url": webhook}),
            json!({"action": "send_webhook"}),
        ),
        (
            "slack",
            "Team Slack",
            json!({"access_token": "xoxb-demo-token"}),
            json!({"action": "send_message", "id": "C024BE91L", "template": "{{email}} completed *{{lesson_title}}* ({{completion_percentage}} % of the course)"}),
        ),
        (
            "hubspot",
            "Sales HubSpot",
            json!({"access_token": "pat-demo-token"}),
            json!({"action": "add_to_list", "id": "42"}),
        ),
    ];
    for (kind, name, settings, rule) in destinations {
        let body = json!({"workspace": workspace, "type": kind, "name": name, "metadata": settings});
        let connection = api.post("/connections", &body).await?;
        let connection = api::text(&connection, "/connection/id")?;
        let body = json!({"workspace": workspace, "connection": connection, "event": "lesson.completed", "metadata": rule});
        api.post("/rules", &body).await?;
        show.line(&format!(
            "  rule       lesson.completed → {:<8} {:<16} {}",
            kind,
            name,
            show.dim(&api::text(&rule, "/action")?)
        ));
    }

    let mut attempts = engine.delivery.attempts();
    let emitted = Instant::now();
    let accepted = api.emit(&publishable_key, EVENT).await?;
    let took = emitted.elapsed();
    let event = api::text(&accepted, "/event/id")?;
    let read = api.get(&format!("/events/{event}")).await?;
    let matched = read.pointer("/total_rules").and_then(Value::as_u64).unwrap_or(0);
    show.line("");
    show.line(&format!(
        "{} lesson.completed: accepted and on disk in {:.1} ms, matched {matched} of 3 rules",
        show.bold("emit"),
        took.as_secs_f64() * 1000.0
    ));
    let mut finals = HashMap::new();
    while finals.len() < usize::try_from(matched)? {
        let attempt = tokio::time::timeout(PATIENCE, attempts.recv())
            .await
            .context("the event was not delivered in a minute")?
            .context("the feed of attempts ended")?;
        if attempt.event.to_string() != event {
            continue;
        }
        show.attempt(&attempt, emitted.elapsed());
        if attempt.state.status.is_final() {
            finals.insert(attempt.delivery, attempt.state.status);
        }
    }
    let delivered = finals
        .values()
        .filter(|status| **status == Status::Completed)
        .count();
    show.line("");
    if delivered < finals.len() {
        bail!(
            "only {delivered} of {} deliveries reached their destination",
            finals.len()
        );
    }
    show.line(&format!(
        "{} all {delivered} delivered in {:.1} s; every attempt is kept",
        show.green("done"),
        emitted.elapsed().as_secs_f64()
    ));
    Ok(Scene {
        access_key: key.access_key,
        publishable_key,
        event,
    })
}

/// Shows every attempt for as long as the demo serves.
async fn watch(engine: &Engine, show: &Show) {
    use tokio::sync::broadcast::error::RecvError;
    let mut attempts = engine.delivery.attempts();
    let mut emitted = HashMap::new();
    loop {
        match attempts.recv().await {
            Ok(attempt) => {
                let first = *emitted.entry(attempt.event).or_insert_with(Instant::now);
                show.attempt(&attempt, first.elapsed());
            }
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
        // A demo that runs for days must not remember every event.
        if emitted.len() > 1000 {
            emitted.clear();
        }
    }
}

fn farewell(show: &Show, scene: &Scene, address: SocketAddr, folder: &Path) {
    let program = std::env::args().next().unwrap_or_else(|| "heddle".into());
    let Scene {
        access_key,
        publishable_key,
        event,
    } = scene;
    let token = format!(
        "$({program} keys token --data-dir {} --access-key {access_key})",
        folder.display()
    );
    let emit = EVENT.replace("nina@academyflow.io", "you@example.com");
    show.line("");
    show.line(&show.bold("Emit another event (the publishable key is safe in a browser):"));
    show.line(&format!("curl -s http://{address}/api/v1/events -H 'X-Heddle-Publishable-Key: {publishable_key}' -H 'Content-Type: application/json' -d '{emit}'"));
    show.line("");
    show.line(
        &show.bold("Read the history of this one (the token is made from the machine key, for a minute):"),
    );
    show.line(&format!(
        "curl -s http://{address}/api/v1/events/{event} -H \"Authorization: Bearer {token}\""
    ));
    show.line("");
    show.line(&show.bold("Read all events:"));
    show.line(&format!(
        "curl -s http://{address}/api/v1/events -H \"Authorization: Bearer {token}\""
    ));
}

/// The terminal. Colours only where they are seen.
struct Show {
    colours: bool,
}

impl Show {
    fn new() -> Self {
        Self {
            colours: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        }
    }

    /// A reader that went away (`heddle demo | head`) is no reason to fail.
    fn line(&self, text: &str) {
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colours {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    fn green(&self, text: &str) -> String {
        self.paint("32", text)
    }

    fn attempt(&self, attempt: &Attempted, at: Duration) {
        let status = attempt
            .status
            .map_or_else(|| "–".to_owned(), |status| status.to_string());
        let what = match attempt.outcome {
            OutcomeCode::Delivered => self.green("delivered"),
            code => self.paint("33", code.as_str()),
        };
        let next = match (attempt.state.status, attempt.state.due_at) {
            (Status::Retrying, Some(due)) => {
                format!(", again in {:.1} s", due.since(SystemClock.now()).as_secs_f64())
            }
            (Status::Failed, _) => ", given up".to_owned(),
            _ => String::new(),
        };
        self.line(&format!(
            "  {:>6.3} s  {:<8} attempt {}  {status:<4}{what}{next}  {}",
            at.as_secs_f64(),
            attempt.kind,
            attempt.number,
            self.dim(&attempt.message)
        ));
    }
}

/// The demo's data, removed when the demo ends.
struct DemoFolder(PathBuf);

impl DemoFolder {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("heddle-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for DemoFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
