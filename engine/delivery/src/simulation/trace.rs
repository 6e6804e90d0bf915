//! What happened, line by line, and one number for all of it.

use std::fmt;

/// The lines of a run.
#[derive(Default)]
pub struct Trace {
    lines: Vec<String>,
}

impl Trace {
    pub fn note(&mut self, elapsed_ms: i64, text: fmt::Arguments<'_>) {
        let (seconds, rest) = (elapsed_ms / 1000, elapsed_ms % 1000);
        self.lines.push(format!("{seconds:>6}.{rest:03} {text}"));
    }

    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// FNV-1a over all lines.
    pub fn hash(&self) -> u64 {
        let bytes = self.lines.iter().flat_map(|line| line.bytes().chain([b'\n']));
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }
}
