//! Measures one step of a plugin: `cargo run --release -p heddle-sandbox --example step -- FILE
//! [INPUT]`. FILE is a component (`.wasm`, or `.wat` text); INPUT is the JSON text for `deliver`,
//! or a file of it after `@`. Prints microseconds a call.

use std::time::{Duration, Instant};

use heddle_core::exchange::Function;
use heddle_sandbox::{Patience, Sandbox, SandboxConfig};

const CALLS: usize = 20_000;

/// A delivery as the engine would pass it.
const SAMPLE: &str = r#"{"delivery":{"id":"018f6b1c-0000-7000-8000-000000000000","attempt":1,"sent_at":1774137600500},"event":{"id":"018f6b1c-0000-7000-8000-000000000001","event":"lesson.completed","resource":"course","resource_id":"creator-accelerator","created_at":1774137600000,"payload":{"student_id":"stu_2048","email":"nina@academyflow.io","lesson_id":"lesson_customer-research","lesson_title":"Customer Research Fundamentals","module_id":"module_growth-foundations","module_title":"Growth Foundations","course_id":"course_creator-accelerator","completion_percentage":62,"time_spent_seconds":1840,"completed_at":"2026-03-21T14:18:00Z"}},"action":"send","inputs":{},"fields":{},"connection":{"id":"018f6b1c-0000-7000-8000-000000000002","settings":{"url":"https://example.com/hook"},"credentials":[]}}"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().ok_or("usage: step FILE [INPUT | @INPUT-FILE]")?;
    let input = match arguments.next() {
        None => SAMPLE.to_owned(),
        Some(text) => match text.strip_prefix('@') {
            Some(path) => std::fs::read_to_string(path)?,
            None => text,
        },
    };
    let wasm = wat::parse_file(&file)?;
    let sandbox = Sandbox::new(SandboxConfig::default())?;
    let loading = Instant::now();
    let plugin = sandbox.load(&file, &wasm)?;
    let loaded = loading.elapsed();

    let answer = plugin.call(Function::Deliver, &input, &[], Patience::Full)?;
    for _ in 0..CALLS / 20 {
        plugin.call(Function::Deliver, &input, &[], Patience::Full)?.ok();
    }
    let mut times: Vec<Duration> = (0..CALLS)
        .map(|_| {
            let start = Instant::now();
            let answer = plugin.call(Function::Deliver, &input, &[], Patience::Full);
            let time = start.elapsed();
            answer.map(|_| time)
        })
        .collect::<Result<_, _>>()?;
    times.sort_unstable();

    let microseconds = |time: Duration| time.as_secs_f64() * 1e6;
    println!(
        "{}: min {:.1} µs, median {:.1} µs, p99 {:.1} µs a call ({CALLS} calls; loaded in {} ms)",
        plugin.manifest().name,
        microseconds(times[0]),
        microseconds(times[CALLS / 2]),
        microseconds(times[CALLS * 99 / 100]),
        loaded.as_millis(),
    );
    match answer {
        Ok(step) => println!("answers {}", shortened(&format!("{step:?}"))),
        Err(failure) => println!("fails: {}", shortened(&format!("{failure:?}"))),
    }
    Ok(())
}

fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(120)]
}
