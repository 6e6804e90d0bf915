//! One call of an adapter's function, as the component's exports and the tests make it: JSON and the
//! replies so far in, the next step or a failure out.

use serde::Serialize;
use serde_json::{Value, json};

use crate::input::unreadable;
use crate::{Adapter, Connection, Delivery, Failure, Http, Query, Reply, Request, Stop};

/// What to do next.
pub enum Step {
    /// Make this request, then call again with its reply.
    Send(Request),
    /// Finished; JSON text.
    Done(String),
}

pub fn deliver<A: Adapter>(input: &str, replies: Vec<Reply>) -> Result<Step, Failure> {
    let delivery = Delivery::read(input)?;
    let mut http = Http::new(replies, Some(delivery.sent_at));
    step(A::deliver(&delivery, &mut http))
}

pub fn check<A: Adapter>(input: &str, replies: Vec<Reply>) -> Result<Step, Failure> {
    let (mut input, mut http) = open(input, replies)?;
    step(A::check(&Connection::read(&mut input), &mut http))
}

pub fn choices<A: Adapter>(input: &str, replies: Vec<Reply>) -> Result<Step, Failure> {
    let (mut input, mut http) = open(input, replies)?;
    step(A::choices(&Query::read(&mut input), &mut http))
}

pub fn fields<A: Adapter>(input: &str, replies: Vec<Reply>) -> Result<Step, Failure> {
    let (mut input, mut http) = open(input, replies)?;
    let fields = A::fields(&Query::read(&mut input), &mut http);
    step(fields.map(|fields| json!({ "fields": fields.iter().map(as_value).collect::<Vec<_>>() })))
}

fn open(input: &str, replies: Vec<Reply>) -> Result<(Value, Http), Failure> {
    let input: Value = serde_json::from_str(input).map_err(unreadable)?;
    let sent_at = input["sent_at"].as_i64();
    Ok((input, Http::new(replies, sent_at)))
}

fn step(result: Result<impl Serialize, Stop>) -> Result<Step, Failure> {
    match result {
        Ok(answer) => Ok(Step::Done(as_value(&answer).to_string())),
        Err(Stop::Send(request)) => Ok(Step::Send(request)),
        Err(Stop::Failed(failure)) => Err(failure),
    }
}

/// The answers are structs of texts and lists, which cannot fail to serialize.
fn as_value(answer: &impl Serialize) -> Value {
    serde_json::to_value(answer).unwrap_or_default()
}
