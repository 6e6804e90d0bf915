//! The component's exports: generated bindings and the conversion to and from them.
#![allow(unsafe_code, missing_docs, clippy::all)] // Generated code.

use std::marker::PhantomData;

use crate::{Adapter, FailureKind, Reply, call};

wit_bindgen::generate!({
    path: "../../wit",
    world: "adapter",
    pub_export_macro: true,
    export_macro_name: "export_adapter",
    default_bindings_module: "heddle_sdk::guest",
});

use heddle::plugin::types;

/// The world's exports for any adapter.
pub struct Exports<A>(PhantomData<A>);

impl<A: Adapter> Guest for Exports<A> {
    fn describe() -> String {
        A::MANIFEST.to_owned()
    }

    fn deliver(input: String, replies: Vec<types::Response>) -> Result<types::Step, types::Failure> {
        answer(call::deliver::<A>(&input, received(replies)))
    }

    fn check(input: String, replies: Vec<types::Response>) -> Result<types::Step, types::Failure> {
        answer(call::check::<A>(&input, received(replies)))
    }

    fn choices(input: String, replies: Vec<types::Response>) -> Result<types::Step, types::Failure> {
        answer(call::choices::<A>(&input, received(replies)))
    }

    fn fields(input: String, replies: Vec<types::Response>) -> Result<types::Step, types::Failure> {
        answer(call::fields::<A>(&input, received(replies)))
    }
}

fn received(replies: Vec<types::Response>) -> Vec<Reply> {
    let header = |header: types::Header| crate::Header {
        name: header.name,
        value: header.value,
    };
    replies
        .into_iter()
        .map(|reply| Reply {
            headers: reply.headers.into_iter().map(header).collect(),
            ..Reply::new(reply.status, reply.body)
        })
        .collect()
}

fn answer(result: Result<call::Step, crate::Failure>) -> Result<types::Step, types::Failure> {
    match result {
        Ok(call::Step::Done(json)) => Ok(types::Step::Done(json)),
        Ok(call::Step::Send(request)) => {
            let header = |header: crate::Header| types::Header {
                name: header.name,
                value: header.value,
            };
            Ok(types::Step::Send(types::Request {
                method: request.method,
                url: request.url,
                headers: request.headers.into_iter().map(header).collect(),
                body: request.body,
            }))
        }
        Err(failure) => Err(types::Failure {
            kind: match failure.kind {
                FailureKind::Permanent => types::FailureKind::Permanent,
                FailureKind::Retryable => types::FailureKind::Retryable,
                FailureKind::Authentication => types::FailureKind::Authentication,
                FailureKind::RateLimited => types::FailureKind::RateLimited,
                FailureKind::Gone => types::FailureKind::Gone,
                FailureKind::Mapping => types::FailureKind::Mapping,
            },
            message: failure.message,
            retry_after_ms: failure.retry_after_ms,
            max_attempts: failure.max_attempts,
        }),
    }
}
