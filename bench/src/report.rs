//! The table that people read and the raw data beside it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use heddle_core::time::{Clock, Timestamp};
use serde_json::{Map, Value, json};

/// A line of the table.
pub struct Row {
    /// What was measured, with its load.
    pub what: String,
    /// The figure and its unit.
    pub measured: String,
    /// What it is compared with, taken in the same run.
    pub reference: String,
    /// Measured by reference; `–` where a ratio says nothing.
    pub ratio: String,
    /// What is to be reached.
    pub goal: &'static str,
}

/// Everything that a run found.
#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
    raw: Map<String, Value>,
    problems: Vec<String>,
    drawings: Vec<(&'static str, String)>,
}

impl Report {
    /// Adds a line.
    pub fn row(
        &mut self,
        what: &str,
        measured: String,
        reference: String,
        ratio: Option<f64>,
        goal: &'static str,
    ) {
        let ratio = ratio
            .filter(|ratio| ratio.is_finite())
            .map_or_else(|| "–".to_owned(), crate::figures::number);
        self.rows.push(Row {
            what: what.to_owned(),
            measured,
            reference,
            ratio,
            goal,
        });
    }

    /// Adds raw data under a name.
    pub fn raw(&mut self, name: &str, value: Value) {
        self.raw.insert(name.to_owned(), value);
    }

    /// Adds a drawing, an SVG, that stands beside the raw data.
    pub fn drawing(&mut self, name: &'static str, svg: String) {
        self.drawings.push((name, svg));
    }

    /// Adds something that should not have happened: the figures beside it are not to be trusted.
    pub fn problem(&mut self, problem: String) {
        eprintln!("PROBLEM: {problem}");
        self.problems.push(problem);
    }

    /// Whether nothing went wrong.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// The table in Markdown, with the problems below it.
    pub fn table(&self) -> String {
        let heads = ["what", "measured", "reference", "ratio", "goal"];
        let cells: Vec<[&str; 5]> = self
            .rows
            .iter()
            .map(|row| {
                [
                    row.what.as_str(),
                    &row.measured,
                    &row.reference,
                    &row.ratio,
                    row.goal,
                ]
            })
            .collect();
        let width = |column: usize| {
            cells
                .iter()
                .chain([&heads])
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: [usize; 5] = std::array::from_fn(width);
        let line = |row: &[&str; 5]| {
            let padded: Vec<String> = row
                .iter()
                .zip(widths)
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            format!("| {} |\n", padded.join(" | "))
        };
        let rule = widths.map(|width| "-".repeat(width));
        let mut table = line(&heads) + &line(&std::array::from_fn(|column| rule[column].as_str()));
        table.extend(cells.iter().map(line));
        for problem in &self.problems {
            table.push_str(&format!("\n- PROBLEM: {problem}"));
        }
        table
    }

    /// Writes the table and the raw data into `folder`, under the present instant's name.
    pub fn write(mut self, folder: &Path, machine: Value) -> Result<PathBuf> {
        let now = heddle::machine::SystemClock.now();
        let name = file_name(now);
        let table = self.table();
        let problems = std::mem::take(&mut self.problems);
        let raw = json!({"at": now.to_string(), "machine": machine, "problems": problems, "runs": self.raw});
        let path = folder.join(format!("{name}.json"));
        std::fs::write(&path, serde_json::to_vec_pretty(&raw)?)
            .with_context(|| format!("writing {}", path.display()))?;
        std::fs::write(folder.join(format!("{name}.md")), table)?;
        for (drawing, svg) in &self.drawings {
            std::fs::write(folder.join(format!("{name}-{drawing}.svg")), svg)?;
        }
        Ok(path)
    }
}

/// `2026-03-21T14-18-00Z`: no colons, which some file systems refuse.
fn file_name(now: Timestamp) -> String {
    let text = now.to_string();
    format!("{}Z", text.split('.').next().unwrap_or(&text).replace(':', "-"))
}

/// What the figures were taken on.
pub fn machine() -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    json!({
        "cores": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "processor": field(&read("/proc/cpuinfo"), "model name"),
        "memory": field(&read("/proc/meminfo"), "MemTotal"),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "load_before": read("/proc/loadavg").trim(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_markdown_with_even_columns() {
        let mut report = Report::default();
        report.row("µs a step", "17".into(), "–".into(), None, "< 20");
        report.row("events", "10,000/s".into(), "46,000/s".into(), Some(0.217), "");
        let table = report.table();
        let widths: Vec<usize> = table.lines().map(|line| line.chars().count()).collect();
        assert_eq!(widths.len(), 4);
        assert!(widths.iter().all(|width| *width == widths[0]), "{table}");
        assert!(table.contains("| 0.217 |"), "{table}");
    }

    #[test]
    fn a_file_name_has_no_colon() {
        assert_eq!(file_name(Timestamp(1_774_102_680_500)), "2026-03-21T14-18-00Z");
    }
}
