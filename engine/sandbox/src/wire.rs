//! The shapes of `wit/adapter.wit` as wasmtime passes them, and their conversion to and from
//! `core`'s own. Limits on an answer are checked here, on the way out of the guest.

use heddle_core::exchange::{self, Reply};
use wasmtime::component::{ComponentType, Lift, Lower};

use crate::limits::{
    MAX_BODY_BYTES, MAX_HEADERS, MAX_HEADERS_BYTES, MAX_INPUT_BYTES, MAX_MESSAGE_BYTES, MAX_URL_BYTES,
};

/// What `deliver` and its siblings take.
pub(crate) type Arguments<'a> = (&'a str, &'a [ReplyIn<'a>]);
/// What they give.
pub(crate) type Answer = (Result<StepOut, FailureOut>,);

#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct HeaderIn<'a> {
    name: &'a str,
    value: &'a str,
}

#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct ReplyIn<'a> {
    status: u16,
    headers: Vec<HeaderIn<'a>>,
    body: &'a [u8],
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct HeaderOut {
    name: String,
    value: String,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct RequestOut {
    method: String,
    url: String,
    headers: Vec<HeaderOut>,
    body: Vec<u8>,
}

#[derive(ComponentType, Lift)]
#[component(variant)]
pub(crate) enum StepOut {
    #[component(name = "send")]
    Send(RequestOut),
    #[component(name = "done")]
    Done(String),
}

// Its variants are made by the derived `Lift` alone.
#[allow(dead_code)]
#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
pub(crate) enum FailureKindOut {
    #[component(name = "permanent")]
    Permanent,
    #[component(name = "retryable")]
    Retryable,
    #[component(name = "authentication")]
    Authentication,
    #[component(name = "rate-limited")]
    RateLimited,
    #[component(name = "gone")]
    Gone,
    #[component(name = "mapping")]
    Mapping,
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(crate) struct FailureOut {
    kind: FailureKindOut,
    message: String,
    #[component(name = "retry-after-ms")]
    retry_after_ms: Option<u64>,
    #[component(name = "max-attempts")]
    max_attempts: Option<u32>,
}

/// The replies as the guest sees them, borrowed; or how many bytes there are when `input` and they
/// are too many.
pub(crate) fn replies_in<'a>(input: &str, replies: &'a [Reply]) -> Result<Vec<ReplyIn<'a>>, usize> {
    let mut bytes = input.len();
    let lowered = replies
        .iter()
        .map(|reply| {
            bytes += reply.body.len();
            let headers = reply.headers.iter().map(|header| {
                bytes += header.name.len() + header.value.len();
                HeaderIn {
                    name: &header.name,
                    value: &header.value,
                }
            });
            ReplyIn {
                status: reply.status,
                headers: headers.collect(),
                body: &reply.body,
            }
        })
        .collect();
    if bytes > MAX_INPUT_BYTES {
        Err(bytes)
    } else {
        Ok(lowered)
    }
}

/// The answer in `core`'s words; the error says what is too large.
pub(crate) fn answer_out(
    answer: Result<StepOut, FailureOut>,
) -> Result<Result<exchange::Step, exchange::Failure>, String> {
    Ok(match answer {
        Ok(StepOut::Send(request)) => Ok(exchange::Step::Send(request_out(request)?)),
        Ok(StepOut::Done(json)) => {
            within("result", json.len(), MAX_BODY_BYTES)?;
            Ok(exchange::Step::Done(json))
        }
        Err(failure) => Err(failure_out(failure)),
    })
}

fn request_out(request: RequestOut) -> Result<exchange::Request, String> {
    if request.headers.len() > MAX_HEADERS {
        return Err(format!(
            "{} headers, at most {MAX_HEADERS}",
            request.headers.len()
        ));
    }
    let header_bytes = request
        .headers
        .iter()
        .map(|header| header.name.len() + header.value.len())
        .sum();
    within("method", request.method.len(), 16)?;
    within("URL", request.url.len(), MAX_URL_BYTES)?;
    within("headers", header_bytes, MAX_HEADERS_BYTES)?;
    within("body", request.body.len(), MAX_BODY_BYTES)?;
    Ok(exchange::Request {
        method: request.method,
        url: request.url,
        headers: request
            .headers
            .into_iter()
            .map(|header| exchange::Header {
                name: header.name,
                value: header.value,
            })
            .collect(),
        body: request.body,
    })
}

fn failure_out(failure: FailureOut) -> exchange::Failure {
    use exchange::FailureKind;
    let mut message = failure.message;
    message.truncate(message.floor_char_boundary(MAX_MESSAGE_BYTES));
    exchange::Failure {
        kind: match failure.kind {
            FailureKindOut::Permanent => FailureKind::Permanent,
            FailureKindOut::Retryable => FailureKind::Retryable,
            FailureKindOut::Authentication => FailureKind::Authentication,
            FailureKindOut::RateLimited => FailureKind::RateLimited,
            FailureKindOut::Gone => FailureKind::Gone,
            FailureKindOut::Mapping => FailureKind::Mapping,
        },
        message,
        retry_after_ms: failure.retry_after_ms,
        max_attempts: failure.max_attempts,
    }
}

fn within(what: &str, bytes: usize, limit: usize) -> Result<(), String> {
    if bytes > limit {
        Err(format!("{bytes} bytes of {what}, at most {limit}"))
    } else {
        Ok(())
    }
}
