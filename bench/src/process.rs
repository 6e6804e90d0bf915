//! What Linux tells of a process: processor time and memory.

use anyhow::{Context, Result};

/// The unit of the times in `/proc/PID/stat`: Linux shows hundredths of a second to every program.
const TICKS_PER_SECOND: f64 = 100.0;

/// Resident memory, in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Now.
    pub resident: u64,
    /// The most there ever was.
    pub peak: u64,
}

/// Processor seconds that a process has used, all its threads together. `pid` may be `self`.
pub fn cpu_seconds(pid: &str) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    parse_stat(&text).with_context(|| format!("{path} is not understood"))
}

/// Seconds that the present threads of a process have run: finer than [`cpu_seconds`], which
/// counts in hundredths, but without the threads that have ended.
pub fn running_seconds(pid: &str) -> Result<f64> {
    let mut seconds = 0.0;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between being listed and being read.
        let text = std::fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
        let nanos: u64 = text
            .split_ascii_whitespace()
            .next()
            .and_then(|field| field.parse().ok())
            .unwrap_or(0);
        seconds += std::time::Duration::from_nanos(nanos).as_secs_f64();
    }
    Ok(seconds)
}

/// The memory of a process.
pub fn memory(pid: &str) -> Result<Memory> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    parse_status(&text).with_context(|| format!("{path} is not understood"))
}

/// Open file descriptors of a process.
pub fn descriptors(pid: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/fd");
    let open = std::fs::read_dir(&path).with_context(|| format!("reading {path}"))?;
    Ok(open.count() as u64)
}

/// `utime` and `stime` are the 14th and 15th fields; the 2nd is the program's name in parentheses,
/// which may hold anything.
fn parse_stat(text: &str) -> Option<f64> {
    let (_, after_name) = text.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok().map(f64::from);
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

fn parse_status(text: &str) -> Option<Memory> {
    let kib = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().strip_suffix("kB")?.trim().parse().ok()
    };
    Some(Memory {
        resident: kib("VmRSS:")?,
        peak: kib("VmHWM:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        for name in ["heddle", "a b", "a) R 1"] {
            let text = format!("1234 ({name}) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9 0 1 2 3");
            assert_eq!(parse_stat(&text), Some(2.0), "{name}");
        }
        assert_eq!(parse_stat("1234 (heddle) S 1"), None);
    }

    #[test]
    fn memory_is_read_in_kib() {
        let text = "Name:\theddle\nVmHWM:\t  65536 kB\nVmRSS:\t   1024 kB\nThreads:\t9\n";
        assert_eq!(
            parse_status(text),
            Some(Memory {
                resident: 1024,
                peak: 65536
            })
        );
        assert_eq!(parse_status("Name:\theddle\n"), None);
    }

    #[test]
    fn this_process_uses_some_memory() {
        assert!(memory("self").unwrap().resident > 0);
        assert!(cpu_seconds("self").unwrap() >= 0.0);
        assert!(running_seconds("self").unwrap() > 0.0);
        assert!(descriptors("self").unwrap() > 2);
    }
}
