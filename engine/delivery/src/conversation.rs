//! The step loop: calls a plugin with the replies so far, makes the request that it asks for, and
//! so on until it is done. The plugin is never in memory while a request is under way.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use heddle_core::exchange::{Failure, Function, Reply, Request, Step};
use heddle_core::id::WorkspaceId;
use heddle_core::outcome::{ConnectionVerdict, Outcome, OutcomeCode, Verdict};
use heddle_egress::{Egress, Grant, SendContext, SendError, SendErrorKind};
use heddle_sandbox::{CallError, Patience, Plugin};

use crate::apart::{Apart, processors};
use crate::pacer::Pace;
use crate::tempo::Tempo;

/// What a conversation needs besides its input.
pub struct Partners<'a> {
    /// For whom it is.
    pub workspace: WorkspaceId,
    /// The adapter.
    pub plugin: &'a Plugin,
    /// What its connection may do.
    pub grant: &'a Grant,
    /// The way out.
    pub egress: &'a Egress,
    /// Whether the plugin's calls are brief; kept between conversations.
    pub tempo: &'a Tempo,
    /// Whose turn it is: [`Pacer::for_call`](crate::Pacer::for_call), or a delivery's own.
    pub pace: &'a Pace,
}

/// How a conversation went.
#[derive(Debug)]
pub struct Conversation {
    /// The last request that was sent or refused.
    pub request: Option<Request>,
    /// The last reply.
    pub reply: Option<Reply>,
    /// How many requests were made.
    pub steps: u32,
    /// How it ended.
    pub ending: Ending,
}

/// How a conversation ended.
#[derive(Debug)]
pub enum Ending {
    /// The plugin is done: JSON text.
    Done(String),
    /// The plugin reported a failure.
    Failed(Failure),
    /// A request could not be made, or had no complete answer.
    Unsent(SendError),
    /// The plugin itself failed: a trap, no end, too much, nonsense.
    Broken(CallError),
    /// More requests than an attempt may make.
    TooManySteps(u32),
    /// Longer than an attempt may take.
    OutOfTime(Duration),
}

/// Runs one function of a plugin to its end, within `steps` requests and `time`. What it waits for
/// its turns is not of that time, but bounded too.
pub async fn run(
    partners: &Partners<'_>,
    function: Function,
    input: String,
    context: &SendContext,
    steps: u32,
    time: Duration,
) -> Conversation {
    let mut conversation = Conversation {
        request: None,
        reply: None,
        steps: 0,
        ending: Ending::OutOfTime(time),
    };
    let ending = {
        let talk = talk(partners, function, input, context, steps, &mut conversation);
        tokio::time::timeout(time + partners.pace.patience(), talk).await
    };
    if let Ok(ending) = ending {
        conversation.ending = ending;
    }
    conversation
}

async fn talk(
    partners: &Partners<'_>,
    function: Function,
    input: String,
    context: &SendContext,
    steps: u32,
    conversation: &mut Conversation,
) -> Ending {
    let mut input = input;
    let mut replies: Vec<Reply> = Vec::new();
    loop {
        let answer = call(partners, function, &mut input, &mut replies).await;
        let ending = match answer {
            Err(error) => Ending::Broken(error),
            Ok(Err(failure)) => Ending::Failed(failure),
            Ok(Ok(Step::Done(json))) => Ending::Done(json),
            Ok(Ok(Step::Send(_))) if conversation.steps >= steps => Ending::TooManySteps(steps),
            Ok(Ok(Step::Send(request))) => {
                conversation.steps += 1;
                let request = conversation.request.insert(request);
                let (egress, grant, pace) = (partners.egress, partners.grant, partners.pace);
                match egress.send_in_turn(grant, request, context, pace).await {
                    Ok(reply) => {
                        replies.push(reply);
                        continue;
                    }
                    Err(SendError {
                        kind: kind @ SendErrorKind::Paced { .. },
                        ..
                    }) => {
                        conversation.steps -= 1;
                        let message = pace.explanation();
                        Ending::Unsent(SendError { kind, message })
                    }
                    Err(error) => return Ending::Unsent(error),
                }
            }
        };
        conversation.reply = replies.pop();
        return ending;
    }
}

/// The most calls at once that may take their time. The sandbox has more places by default: a call that is
/// brief finds one, whatever the others do.
const MOST: usize = 24;

/// Where they are made. More of them than there are processors would only stand in each other's way, and one
/// workspace has a quarter of the places.
static AT_LEISURE: LazyLock<Apart> = LazyLock::new(|| {
    let places = (4 * processors()).min(MOST);
    Apart::new(places, places / 4)
});

/// Makes calls of a plugin that may take their time, for a workspace and when it is its turn.
pub async fn at_leisure<T, F>(workspace: WorkspaceId, calls: F) -> T
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    AT_LEISURE.run(workspace, calls).await
}

/// One call. Most plugins answer in microseconds, and are called right here. One that does not is
/// stopped after a few milliseconds and called again on a thread where it may take its time: calls
/// are pure, so nothing happens twice.
async fn call(
    partners: &Partners<'_>,
    function: Function,
    input: &mut String,
    replies: &mut Vec<Reply>,
) -> Result<Result<Step, Failure>, CallError> {
    if partners.tempo.is_quick() {
        match partners.plugin.call(function, input, replies, Patience::Brief) {
            Err(CallError::OutOfTime { .. } | CallError::Busy { .. }) => {}
            answer => return answer,
        }
    }
    let plugin = partners.plugin.clone();
    let (lent_input, lent_replies) = (std::mem::take(input), std::mem::take(replies));
    let called = at_leisure(partners.workspace, move || {
        let began = Instant::now();
        let answer = plugin.call(function, &lent_input, &lent_replies, Patience::Full);
        (lent_input, lent_replies, answer, began.elapsed())
    });
    let (returned_input, returned_replies, answer, took) = called.await;
    (*input, *replies) = (returned_input, returned_replies);
    partners.tempo.took(took);
    answer
}

impl Conversation {
    /// What the ending means for a delivery.
    pub fn outcome(&self) -> Outcome {
        let status = self.reply.as_ref().map(|reply| reply.status);
        match &self.ending {
            Ending::Done(receipt) => Outcome::delivered(message_of(receipt)),
            Ending::Failed(failure) => Outcome::from_failure(failure, status),
            Ending::Unsent(error) => match error.kind {
                SendErrorKind::Refused => Outcome::permanent(OutcomeCode::NetworkError, error.to_string()),
                SendErrorKind::Timeout => Outcome::retry(OutcomeCode::Timeout, error.to_string()),
                SendErrorKind::Network => Outcome::retry(OutcomeCode::NetworkError, error.to_string()),
                SendErrorKind::Exhausted => Outcome::internal(error.to_string()),
                SendErrorKind::Authentication => Outcome {
                    connection: ConnectionVerdict::CredentialRefused,
                    ..Outcome::permanent(OutcomeCode::AuthFailed, error.to_string())
                },
                SendErrorKind::Throttled { retry_after } => Outcome {
                    verdict: Verdict::Throttled { retry_after },
                    ..Outcome::retry(OutcomeCode::RateLimited, error.to_string())
                },
                SendErrorKind::Paced { wait } => Outcome {
                    verdict: Verdict::Paced { wait },
                    ..Outcome::retry(OutcomeCode::RateLimited, error.to_string())
                },
            },
            Ending::Broken(error) => Outcome::internal(error.to_string()),
            Ending::TooManySteps(steps) => Outcome::internal(format!(
                "The plugin asked for more than {steps} requests in one attempt and was stopped."
            )),
            Ending::OutOfTime(time) => Outcome::retry(
                OutcomeCode::Timeout,
                format!("The attempt took longer than {} s.", time.as_secs()),
            ),
        }
    }
}

fn message_of(receipt: &str) -> String {
    serde_json::from_str::<serde_json::Value>(receipt)
        .ok()
        .and_then(|receipt| receipt.get("message")?.as_str().map(str::to_owned))
        .filter(|message| !message.is_empty())
        .unwrap_or_else(|| "Delivered.".to_owned())
}
