//! Asking a destination something while a caller waits: is this connection healthy, what is there to
//! pick from, which fields are there. Through the same plugins, the same way out and the same guard as
//! deliveries, within a time, and so often per workspace and no more: nobody can use it to hammer a
//! destination, or to keep those of other workspaces from being asked.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use heddle_core::connection::Connection;
use heddle_core::exchange::{FailureKind, Function};
use heddle_core::id::{DeliveryId, OrganisationId, WorkspaceId};
use heddle_core::outcome::{ConnectionVerdict, Verdict};
use heddle_core::time::Timestamp;
use heddle_delivery::Tempo;
use heddle_delivery::conversation::{self, Ending, Partners};
use heddle_egress::{Grant, SendContext};
use serde::Serialize;

use crate::App;
use crate::error::ApiError;

/// How long a destination may take over one question.
const TIME: Duration = Duration::from_secs(10);

/// Requests that one question may make.
const STEPS: u32 = 16;

/// Questions of one workspace under way at once.
const AT_ONCE: usize = 4;

/// Questions of all workspaces of one organization under way at once.
const ALL_AT_ONCE: usize = 64;

/// Questions of one workspace within [`WINDOW`].
const A_WINDOW: usize = 120;

const WINDOW: Duration = Duration::from_secs(60);

/// Why a question was not answered.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// What the caller may conclude from it.
    pub kind: TroubleKind,
    /// A sentence without its full stop, for people; holds no secret.
    pub message: String,
    /// The wait that the destination, or the limit, asks for.
    pub retry_after: Option<Duration>,
}

/// What kind of trouble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// The plugin has no such function.
    NotOffered,
    /// The destination refuses the credential.
    CredentialRefused,
    /// The destination, or the plugin, says that it cannot be answered.
    Refused,
    /// No answer that says either.
    Unavailable,
    /// Over the workspace's limit, or its organization's; the destination was not asked.
    TooMany,
}

impl Trouble {
    fn new(kind: TroubleKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into().trim_end_matches('.').to_owned(),
            retry_after: None,
        }
    }

    /// The plugin's answer is not what `wit/adapter.wit` says.
    pub fn unreadable(message: impl Into<String>) -> Self {
        Self::new(TroubleKind::Refused, message)
    }

    /// Whether something that was kept may stand in for the answer.
    pub fn is_passing(&self) -> bool {
        self.kind != TroubleKind::NotOffered
    }

    /// As an answer shows it beside what was kept.
    pub fn told(&self) -> Told {
        let error = ApiError::from(self.clone());
        Told {
            code: error.code(),
            message: self.message.clone(),
        }
    }
}

/// Why an answer is not fresh, or not there.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// The `code` that the error would have had.
    code: &'static str,
    message: String,
}

impl From<Trouble> for ApiError {
    fn from(trouble: Trouble) -> Self {
        Self::Destination(trouble)
    }
}

/// Asks the plugin of a connection, and through it the destination. `input` is the JSON text that
/// `wit/adapter.wit` shows; the answer is the plugin's `done`.
pub async fn ask(
    app: &App,
    organisation: OrganisationId,
    connection: &Connection,
    function: Function,
    input: String,
) -> Result<String, Trouble> {
    let plugin = app.plugins.get(&connection.kind).ok_or_else(|| {
        let message = format!("no plugin called {} is loaded", connection.kind);
        Trouble::new(TroubleKind::Unavailable, message)
    })?;
    if !plugin.has(function) {
        return Err(Trouble::new(
            TroubleKind::NotOffered,
            "this destination does not offer it",
        ));
    }
    let grant = Grant::new(plugin.manifest(), &connection.settings, &connection.secrets)
        .map_err(|error| Trouble::new(TroubleKind::Refused, error.to_string()))?;
    let now = app.clock.now();
    let _turn = app.live.enter(organisation, connection.workspace, now)?;
    let partners = Partners {
        workspace: connection.workspace,
        plugin: &plugin,
        grant: &grant,
        egress: &app.egress,
        tempo: &Tempo::default(),
        pace: &app.pacer.for_call(connection, plugin.manifest()),
    };
    let context = SendContext {
        delivery_id: DeliveryId::new(now, app.random()).to_string(),
        now,
        answers: heddle_egress::Held::default(),
    };
    let conversation = conversation::run(&partners, function, input, &context, STEPS, TIME).await;
    let outcome = conversation.outcome();
    let kind = match &conversation.ending {
        Ending::Done(answer) => return Ok(answer.clone()),
        // The SDK's answer of an adapter that does not have the function.
        Ending::Failed(failure)
            if conversation.steps == 0
                && failure.kind == FailureKind::Permanent
                && matches!(function, Function::Choices | Function::Fields) =>
        {
            TroubleKind::NotOffered
        }
        _ if outcome.connection == ConnectionVerdict::CredentialRefused => TroubleKind::CredentialRefused,
        Ending::Broken(_) | Ending::TooManySteps(_) => TroubleKind::Refused,
        _ if outcome.verdict == Verdict::Permanent => TroubleKind::Refused,
        // Whatever status the destination throttles with.
        _ if matches!(outcome.verdict, Verdict::Throttled { .. } | Verdict::Paced { .. }) => {
            TroubleKind::Unavailable
        }
        _ => match conversation.reply.as_ref().map(|reply| reply.status) {
            Some(408 | 425 | 429) => TroubleKind::Unavailable,
            Some(400..500) => TroubleKind::Refused,
            _ => TroubleKind::Unavailable,
        },
    };
    let retry_after = match outcome.verdict {
        Verdict::Retry { retry_after, .. } | Verdict::Throttled { retry_after } => retry_after,
        Verdict::Paced { wait } => Some(wait),
        Verdict::Delivered | Verdict::Permanent => None,
    };
    Err(Trouble {
        retry_after,
        ..Trouble::new(kind, outcome.message)
    })
}

/// Who asks how much.
#[derive(Debug, Default)]
pub struct LiveCalls(Mutex<HashMap<WorkspaceId, Usage>>);

#[derive(Debug)]
struct Usage {
    organisation: OrganisationId,
    under_way: usize,
    /// When the questions within the window were asked, the oldest first.
    asked: VecDeque<Timestamp>,
}

impl LiveCalls {
    fn usages(&self) -> MutexGuard<'_, HashMap<WorkspaceId, Usage>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place, until the answer is dropped.
    fn enter(
        self: &Arc<Self>,
        organisation: OrganisationId,
        workspace: WorkspaceId,
        now: Timestamp,
    ) -> Result<Turn, Trouble> {
        let mut usages = self.usages();
        let since = now.minus(WINDOW);
        usages.retain(|_, usage| {
            // What was asked later than now was asked by a clock that was wrong.
            usage.asked.retain(|at| *at > since && *at <= now);
            usage.under_way > 0 || !usage.asked.is_empty()
        });
        let too_many = |message: &str, wait: Duration| Trouble {
            retry_after: Some(wait),
            ..Trouble::new(TroubleKind::TooMany, message)
        };
        let of_all = usages.values().filter(|usage| usage.organisation == organisation);
        let all_under_way: usize = of_all.map(|usage| usage.under_way).sum();
        let (under_way, asked, oldest) = usages.get(&workspace).map_or((0, 0, None), |usage| {
            (usage.under_way, usage.asked.len(), usage.asked.front().copied())
        });
        if under_way >= AT_ONCE || all_under_way >= ALL_AT_ONCE {
            return Err(too_many(
                "too many destinations are being asked at once",
                Duration::from_secs(1),
            ));
        }
        if asked >= A_WINDOW {
            let free = oldest.unwrap_or(now).plus(WINDOW);
            return Err(too_many(
                "destinations were asked too often within a minute",
                free.since(now).max(Duration::from_secs(1)),
            ));
        }
        let usage = usages.entry(workspace).or_insert_with(|| Usage {
            organisation,
            under_way: 0,
            asked: VecDeque::new(),
        });
        usage.under_way += 1;
        usage.asked.push_back(now);
        Ok(Turn {
            calls: Arc::clone(self),
            workspace,
        })
    }
}

/// A place among the questions under way.
struct Turn {
    calls: Arc<LiveCalls>,
    workspace: WorkspaceId,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(usage) = self.calls.usages().get_mut(&self.workspace) {
            usage.under_way = usage.under_way.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_774_000_000_000);

    fn organisation(n: u8) -> OrganisationId {
        OrganisationId::new(NOW, [n; 10])
    }

    fn workspace(n: u8) -> WorkspaceId {
        WorkspaceId::new(NOW, [n; 10])
    }

    fn enter(calls: &Arc<LiveCalls>, n: u8, now: Timestamp) -> Result<Turn, Trouble> {
        calls.enter(organisation(1), workspace(n), now)
    }

    #[test]
    fn a_workspace_asks_so_much_at_once_and_leaves_the_others_alone() {
        let calls = Arc::new(LiveCalls::default());
        let mut turns: Vec<Turn> = (0..AT_ONCE)
            .map(|_| enter(&calls, 1, NOW).ok().unwrap())
            .collect();
        let refused = enter(&calls, 1, NOW).err().unwrap();
        assert_eq!(refused.kind, TroubleKind::TooMany);
        assert!(enter(&calls, 2, NOW).is_ok());
        turns.pop();
        assert!(enter(&calls, 1, NOW).is_ok());
    }

    #[test]
    fn all_workspaces_of_an_organisation_together_have_a_limit_too() {
        let calls = Arc::new(LiveCalls::default());
        let turns: Vec<Turn> = (0..ALL_AT_ONCE)
            .map(|n| {
                enter(&calls, u8::try_from(n / AT_ONCE).unwrap(), NOW)
                    .ok()
                    .unwrap()
            })
            .collect();
        assert!(enter(&calls, 200, NOW).is_err());
        assert!(calls.enter(organisation(2), workspace(201), NOW).is_ok());
        drop(turns);
        assert!(enter(&calls, 200, NOW).is_ok());
    }

    #[test]
    fn a_workspace_asks_so_much_within_a_minute_and_is_told_when_to_come_back() {
        let calls = Arc::new(LiveCalls::default());
        for _ in 0..A_WINDOW {
            assert!(enter(&calls, 1, NOW).is_ok());
        }
        let later = NOW.plus(Duration::from_secs(20));
        let refused = enter(&calls, 1, later).err().unwrap();
        assert_eq!(refused.retry_after, Some(Duration::from_secs(40)));
        assert!(enter(&calls, 1, NOW.plus(WINDOW)).is_ok());
        assert!(enter(&calls, 2, NOW.plus(WINDOW * 2)).is_ok());
        assert_eq!(calls.usages().len(), 1, "who asked long ago is forgotten");
    }

    #[test]
    fn a_clock_that_is_set_back_shuts_nobody_out() {
        let calls = Arc::new(LiveCalls::default());
        for _ in 0..A_WINDOW {
            assert!(enter(&calls, 1, NOW.plus(Duration::from_secs(3600))).is_ok());
        }
        assert!(enter(&calls, 1, NOW).is_ok());
    }
}
