//! Lists that the contract never cuts: sent as they are read, batch by batch, so that a list of any length
//! takes little memory. One that is a batch long is answered like any other.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use futures::Stream;
use futures::stream::try_unfold;
use heddle_store::{Batch, Mark, StoreError};
use http::header::CONTENT_TYPE;
use serde_json::Value;

use crate::App;
use crate::bodies::Share;
use crate::caller::Caller;
use crate::error::ApiError;
use crate::views;

/// What a batch may take of the memory for [`crate::Bodies`]: its rows, and the text that is made of them.
const HELD: usize = 512 * 1024;

/// Answers with a whole list. `next` reads the batch at a mark, `show` is how a record is shown.
pub async fn whole<T, N, F, S>(app: &App, caller: &Caller, next: N, show: S) -> Result<Response, ApiError>
where
    T: Send + 'static,
    N: Fn(Option<Mark>) -> F + Send + 'static,
    F: Future<Output = Result<Batch<T>, StoreError>> + Send + 'static,
    S: Fn(&T) -> Value + Send + 'static,
{
    let share = app.bodies.share(caller);
    share.grow(HELD)?;
    let first = next(None).await?;
    if first.next.is_none() {
        let records = first.records.iter().map(show).collect();
        return Ok(Json(views::list(records, None, None)).into_response());
    }
    let list = List {
        next,
        show,
        begun: false,
        count: 0,
        _share: share,
    };
    let body = Body::from_stream(list.send(first));
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

/// A list under way.
struct List<N, S> {
    next: N,
    show: S,
    begun: bool,
    /// Records that were sent.
    count: usize,
    /// Given back when the last of it is sent, or the caller has gone.
    _share: Arc<Share>,
}

/// What is to be sent next.
enum Part<T> {
    Batch(Batch<T>),
    At(Mark),
}

impl<N, S> List<N, S> {
    /// The text of the whole answer, a piece for each batch. What goes wrong in between cuts the
    /// connection: nobody takes the part for the whole.
    fn send<T, F>(self, first: Batch<T>) -> impl Stream<Item = Result<String, StoreError>>
    where
        N: Fn(Option<Mark>) -> F,
        F: Future<Output = Result<Batch<T>, StoreError>>,
        S: Fn(&T) -> Value,
    {
        let start = Some((self, Part::Batch(first)));
        try_unfold(start, |state| async move {
            let Some((mut list, part)) = state else {
                return Ok(None);
            };
            let batch = match part {
                Part::Batch(first) => first,
                Part::At(mark) => (list.next)(Some(mark)).await.inspect_err(|error| {
                    tracing::error!(%error, "a list ends before its end");
                })?,
            };
            let text = list.piece(&batch.records, batch.next.is_none());
            Ok(Some((text, batch.next.map(|mark| (list, Part::At(mark))))))
        })
    }

    fn piece<T>(&mut self, records: &[T], is_last: bool) -> String
    where
        S: Fn(&T) -> Value,
    {
        let mut text = String::new();
        if !std::mem::replace(&mut self.begun, true) {
            text.push_str("{\"records\":[");
        }
        for record in records {
            if self.count > 0 {
                text.push(',');
            }
            text.push_str(&(self.show)(record).to_string());
            self.count += 1;
        }
        if is_last {
            // The contract has `limit` above zero, also where a list is never cut.
            let (count, limit) = (self.count, self.count.max(1));
            text.push_str(&format!(
                "],\"count\":{count},\"limit\":{limit},\"next_cursor\":null}}"
            ));
        }
        text
    }
}
