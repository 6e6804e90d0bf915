//! One call of the bundled webhook adapter in its sandbox: a fresh instance, JSON in and out. This
//! group links the sandbox in; the engine does not run.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use heddle_core::exchange::{Function, Reply, Step};
use heddle_sandbox::{Patience, Sandbox, SandboxConfig};
use serde_json::{Value, json};

use crate::Bench;
use crate::figures::{Samples, number};

/// The adapter that is called.
const ADAPTER: &str = "webhook";

/// More calls than this tell nothing new.
const MOST_CALLS: usize = 200_000;

/// The input of `deliver` as the engine makes it.
const INPUT: &str = concat!(
    r#"{"delivery":{"id":"0195b8f0-3c1a-7d2e-9f00-2b5a6c7d8e9f","attempt":1,"sent_at":1774137600500},"#,
    r#""event":{"id":"0195b8f0-3c19-7aa1-8b42-0e1f2a3b4c5d","event":"lesson.completed","resource":"course","#,
    r#""resource_id":"creator-accelerator","created_at":1774137600000,"payload":{"student_id":"stu_2048","#,
    r#""email":"nina@academyflow.io","lesson_id":"lesson_customer-research","lesson_title":"Customer Research Fundamentals","#,
    r#""module_id":"module_growth-foundations","module_title":"Growth Foundations","course_id":"course_creator-accelerator","#,
    r#""completion_percentage":62,"time_spent_seconds":1840,"completed_at":"2026-03-21T14:18:00Z"}},"#,
    r#""action":"send_webhook","inputs":{"action":"send_webhook"},"fields":{},"#,
    r#""connection":{"id":"0195b8ef-0001-7000-8000-000000000001","settings":{"url":"https://hooks.academyflow.io/events","#,
    r#""http_method":"POST","payload_mode":"wrapped","auth_scheme":"none","signing_scheme":"standard_webhooks"},"#,
    r#""credentials":["signing_secret"]}}"#
);

/// Runs the group.
pub fn run(bench: &mut Bench) -> Result<()> {
    let (_, wasm) = heddle::bundled::adapters()?
        .into_iter()
        .find(|(name, _)| *name == ADAPTER)
        .with_context(|| format!("there is no bundled adapter {ADAPTER}"))?;
    let sandbox = Sandbox::new(SandboxConfig::default()).context("starting the sandbox")?;
    let started = Instant::now();
    let plugin = sandbox
        .load(&format!("bundled:{ADAPTER}"), &wasm)
        .context("loading the adapter")?;
    let loaded = started.elapsed();
    let reply = Reply {
        status: 204,
        headers: Vec::new(),
        body: Vec::new(),
    };
    let call = |replies: &[Reply]| match plugin.call(Function::Deliver, INPUT, replies, Patience::Full) {
        Ok(Ok(step)) => Ok(step),
        Ok(Err(failure)) => bail!("the adapter failed: {}", failure.message),
        Err(error) => bail!("the call failed: {error:?}"),
    };
    if !matches!(call(&[])?, Step::Send(_)) || !matches!(call(std::slice::from_ref(&reply))?, Step::Done(_)) {
        bail!("the adapter does not send once and finish");
    }
    let lasting = bench.lasting();
    let native = sample(lasting / 4, || {
        let value: Value = serde_json::from_str(black_box(INPUT))?;
        black_box(value.to_string());
        Ok(())
    })?;
    let send = sample(lasting, || call(&[]).map(|step| drop(black_box(step))))?;
    let done = sample(lasting / 2, || {
        call(std::slice::from_ref(&reply)).map(|step| drop(black_box(step)))
    })?;
    for (what, samples, goal) in [
        (
            "one sandboxed step of the webhook adapter: input to request",
            &send,
            "< 20 µs",
        ),
        (
            "one sandboxed step of the webhook adapter: reply to outcome",
            &done,
            "–",
        ),
    ] {
        bench.report.row(
            what,
            format!(
                "{} µs (min {}, p99 {})",
                number(samples.thousandths(50.0)),
                number(samples.thousandths(0.0)),
                number(samples.thousandths(99.0))
            ),
            format!(
                "{} µs to read and write the same JSON natively",
                number(native.thousandths(50.0))
            ),
            Some(samples.thousandths(50.0) / native.thousandths(50.0)),
            goal,
        );
    }
    let raw = |samples: &Samples| {
        json!({"calls": samples.len(), "min_ns": samples.percentile(0.0), "p50_ns": samples.percentile(50.0),
            "p90_ns": samples.percentile(90.0), "p99_ns": samples.percentile(99.0), "max_ns": samples.percentile(100.0)})
    };
    bench.report.raw(
        "sandbox_step",
        json!({"input_bytes": INPUT.len(), "wasm_bytes": wasm.len(), "compile_ms": loaded.as_secs_f64() * 1000.0,
            "send": raw(&send), "done": raw(&done), "native_json": raw(&native)}),
    );
    Ok(())
}

/// Calls again and again for the time `lasting`, a tenth of it uncounted; nanoseconds a call.
fn sample(lasting: Duration, mut call: impl FnMut() -> Result<()>) -> Result<Samples> {
    let started = Instant::now();
    while started.elapsed() < lasting / 10 {
        call()?;
    }
    let mut samples = Vec::with_capacity(MOST_CALLS);
    while started.elapsed() < lasting && samples.len() < MOST_CALLS {
        let before = Instant::now();
        call()?;
        samples.push(u32::try_from(before.elapsed().as_nanos()).unwrap_or(u32::MAX));
    }
    Ok(Samples::new(samples))
}
