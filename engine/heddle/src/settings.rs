//! Every setting once: its key, its default, its help. A setting is read from the command line,
//! else from the environment (`HEDDLE_` and the key in capitals), else from `heddle.toml`, else it
//! has its default.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use heddle_core::json::MAX_PAYLOAD_BYTES;
use heddle_core::quota::{Limits, MAX_DAYS, Rate};
use heddle_core::retry::Schedule;
use heddle_store::DefaultLimits;

/// What `heddle serve` runs with.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Settings {
    pub listen: SocketAddr,
    pub data_dir: PathBuf,
    pub public_url: Option<String>,
    pub environment: String,
    pub retry_schedule: Schedule,
    pub egress_allow_networks: Vec<String>,
    pub egress_allow_http: bool,
    pub egress_routes: Vec<String>,
    pub egress_timeout: Duration,
    pub master_key: Option<String>,
    pub synchronous: String,
    pub in_flight: usize,
    pub max_connections: usize,
    pub caller_idle_timeout: Duration,
    pub shutdown_grace: Duration,
    pub limit_key_rate: Option<Rate>,
    pub limits: DefaultLimits,
    pub limit_payload_bytes: usize,
    pub log: String,
    pub log_format: String,
}

/// A setting as the help and `docs/configuration.md` show it.
pub struct Setting {
    /// The key in `heddle.toml`; the environment variable is `HEDDLE_` and this in capitals.
    pub key: &'static str,
    /// Its value when nobody sets it.
    pub default: &'static str,
    /// What it does.
    pub help: &'static str,
}

/// All settings, in the order of the documentation.
pub const ALL: &[Setting] = &[
    Setting {
        key: "listen",
        default: "127.0.0.1:8080",
        help: "The address and port to serve on.",
    },
    Setting {
        key: "public_url",
        default: "",
        help: "Where browsers reach this server, such as https://heddle.example.com: the addresses of embedded pages begin with it. Without it they begin with the host that a request names.",
    },
    Setting {
        key: "data_dir",
        default: "./heddle-data",
        help: "The folder for the database, the master key, plugins and the compile cache.",
    },
    Setting {
        key: "master_key",
        default: "",
        help: "64 hexadecimal digits that seal the secrets in the database. Without it a key is made in the data folder.",
    },
    Setting {
        key: "environment",
        default: "live",
        help: "The middle word of the publishable keys that are made: mesh_pub_<environment>_….",
    },
    Setting {
        key: "retry_schedule",
        default: "0s,5s,5m,30m,2h,5h,10h,14h,20h,24h",
        help: "The wait before each attempt of a delivery; a connection may set its own.",
    },
    Setting {
        key: "egress_allow_networks",
        default: "",
        help: "Networks that destinations may be in although they are not public, such as 10.1.0.0/16,127.0.0.0/8.",
    },
    Setting {
        key: "egress_allow_http",
        default: "false",
        help: "Whether destinations may be called without TLS.",
    },
    Setting {
        key: "egress_routes",
        default: "",
        help: "Requests for a host go elsewhere, for provider sandboxes and tests: api.hubapi.com=http://127.0.0.1:41001,…",
    },
    Setting {
        key: "egress_timeout",
        default: "15s",
        help: "The longest that one request to a destination may take, its answer included.",
    },
    Setting {
        key: "synchronous",
        default: "full",
        help: "full: an accepted event survives a power cut. normal: only a crash of the process; faster on slow disks.",
    },
    Setting {
        key: "in_flight",
        default: "1024",
        help: "Deliveries under way at once, over all connections.",
    },
    Setting {
        key: "max_connections",
        default: "10000",
        help: "Connections that callers may have at once, but no more than half of the files that the process may open; one more is answered 503.",
    },
    Setting {
        key: "caller_idle_timeout",
        default: "75s",
        help: "How long a caller's connection is kept that sends no whole head of a next request, or takes nothing of an answer.",
    },
    Setting {
        key: "shutdown_grace",
        default: "20s",
        help: "How long a stop waits for what is in flight. What is then left is delivered after the next start.",
    },
    Setting {
        key: "limit_key_rate",
        default: "",
        help: "Calls that each credential may make, such as 100/1s. Without it, any number.",
    },
    Setting {
        key: "limit_workspace_rate",
        default: "",
        help: "Calls that may emit into each workspace, such as 100/1s; a workspace may have its own.",
    },
    Setting {
        key: "limit_events_per_month",
        default: "",
        help: "Events that each workspace may have accepted in a month (UTC); a workspace may have its own.",
    },
    Setting {
        key: "limit_organization_events_per_month",
        default: "",
        help: "Events that all workspaces of an organization together may have accepted in a month (UTC).",
    },
    Setting {
        key: "limit_workspaces",
        default: "",
        help: "Workspaces of each organization.",
    },
    Setting {
        key: "limit_connections",
        default: "",
        help: "Connections of each workspace; a workspace may have its own limit.",
    },
    Setting {
        key: "limit_rules",
        default: "10000",
        help: "Rules of each workspace; a workspace may have its own limit. Empty: any number.",
    },
    Setting {
        key: "limit_payload_bytes",
        default: "262144",
        help: "The most bytes of an event's payload, at most 262144.",
    },
    Setting {
        key: "retention_payload_days",
        default: "",
        help: "Days for which payloads are kept after their event ended; a workspace may have its own. Without it, for ever.",
    },
    Setting {
        key: "retention_attempt_days",
        default: "",
        help: "Days for which attempts and their answers are kept after their event ended; a workspace may have its own. Without it, for ever.",
    },
    Setting {
        key: "retention_event_days",
        default: "",
        help: "Days for which events and their deliveries are kept after they ended, at least 1; a workspace may have its own. Without it, for ever.",
    },
    Setting {
        key: "log",
        default: "info",
        help: "What is logged: error, warn, info, debug, or filters such as heddle_delivery=debug.",
    },
    Setting {
        key: "log_format",
        default: "text",
        help: "text or json; logs go to standard error.",
    },
];

/// Gathers the settings. `flags` are those given on the command line.
pub fn load(
    config: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    flags: &[(&'static str, Option<String>)],
) -> Result<Settings> {
    let mut values = match config {
        Some(path) => read_file(path)?,
        None => BTreeMap::new(),
    };
    for (name, value) in environment {
        let Some(key) = name.strip_prefix("HEDDLE_").map(str::to_ascii_lowercase) else {
            continue;
        };
        if ALL.iter().any(|setting| setting.key == key) {
            values.insert(key, value);
        }
    }
    for (key, value) in flags {
        if let Some(value) = value {
            values.insert((*key).to_owned(), value.clone());
        }
    }
    parse(&values)
}

/// A TOML file whose tables and keys joined by `_` are the settings; lists are joined by commas.
fn read_file(path: &Path) -> Result<BTreeMap<String, String>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let table: toml::Table = text
        .parse()
        .with_context(|| format!("{} is not valid TOML", path.display()))?;
    let mut values = BTreeMap::new();
    flatten("", &table, &mut values).with_context(|| format!("in {}", path.display()))?;
    Ok(values)
}

fn flatten(prefix: &str, table: &toml::Table, values: &mut BTreeMap<String, String>) -> Result<()> {
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        let text = match value {
            toml::Value::Table(inner) => {
                flatten(&format!("{key}_"), inner, values)?;
                continue;
            }
            toml::Value::Array(items) => items.iter().map(text_of).collect::<Result<Vec<_>>>()?.join(","),
            other => text_of(other)?,
        };
        if !ALL.iter().any(|setting| setting.key == key) {
            let known: Vec<_> = ALL.iter().map(|setting| setting.key).collect();
            bail!("there is no setting {key}; the settings are {}", known.join(", "));
        }
        values.insert(key, text);
    }
    Ok(())
}

fn text_of(value: &toml::Value) -> Result<String> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Boolean(flag) => Ok(flag.to_string()),
        other => bail!("{other} is neither text, a number, true or false"),
    }
}

fn parse(values: &BTreeMap<String, String>) -> Result<Settings> {
    let get = |key: &str| -> Result<String> {
        let setting = ALL
            .iter()
            .find(|setting| setting.key == key)
            .ok_or_else(|| anyhow!("no setting {key}"))?;
        Ok(values
            .get(key)
            .map_or(setting.default, String::as_str)
            .trim()
            .to_owned())
    };
    let wrong = |key: &str| {
        format!(
            "the setting {key} (HEDDLE_{}) cannot be used",
            key.to_ascii_uppercase()
        )
    };
    let list = |key: &str| -> Result<Vec<String>> {
        Ok(get(key)?
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect())
    };
    let wait = |key: &str| -> Result<Duration> {
        let schedule: Schedule = get(key)?.parse().with_context(|| wrong(key))?;
        schedule
            .wait_after(0)
            .filter(|wait| !wait.is_zero())
            .ok_or_else(|| anyhow!("must be longer than nothing"))
            .with_context(|| wrong(key))
    };
    let one_of = |key: &str, words: &[&str]| -> Result<String> {
        let word = get(key)?.to_ascii_lowercase();
        if words.contains(&word.as_str()) {
            Ok(word)
        } else {
            Err(anyhow!("write one of {}", words.join(", "))).with_context(|| wrong(key))
        }
    };
    let rate = |key: &str| -> Result<Option<Rate>> {
        Some(get(key)?)
            .filter(|text| !text.is_empty())
            .map(|text| text.parse::<Rate>())
            .transpose()
            .with_context(|| wrong(key))
    };
    let quota = |key: &str| -> Result<Option<u64>> {
        Some(get(key)?)
            .filter(|text| !text.is_empty())
            .map(|text| text.parse::<u64>().context("write a whole number"))
            .transpose()
            .with_context(|| wrong(key))
    };
    let days = |key: &str, least: u32| -> Result<Option<u32>> {
        Some(get(key)?)
            .filter(|text| !text.is_empty())
            .map(|text| {
                let days = text.parse().ok();
                days.filter(|days| (least..=MAX_DAYS).contains(days))
                    .ok_or_else(|| anyhow!("write a whole number from {least} to {MAX_DAYS}"))
            })
            .transpose()
            .with_context(|| wrong(key))
    };
    let limits = DefaultLimits {
        workspace: Limits {
            rate: rate("limit_workspace_rate")?,
            events_per_month: quota("limit_events_per_month")?,
            connections: quota("limit_connections")?,
            rules: quota("limit_rules")?,
            payload_days: days("retention_payload_days", 0)?,
            attempt_days: days("retention_attempt_days", 0)?,
            event_days: days("retention_event_days", 1)?,
        },
        workspaces: quota("limit_workspaces")?,
        organisation_events_per_month: quota("limit_organization_events_per_month")?,
    };
    if !limits.workspace.is_nested() {
        return Err(anyhow!(
            "payloads are not kept for longer than attempts, nor those for longer than events"
        ))
        .with_context(|| wrong("retention_payload_days"));
    }
    let limit_payload_bytes: usize = get("limit_payload_bytes")?
        .parse()
        .ok()
        .filter(|bytes| (1..=MAX_PAYLOAD_BYTES).contains(bytes))
        .ok_or_else(|| anyhow!("write a whole number from 1 to {MAX_PAYLOAD_BYTES}"))
        .with_context(|| wrong("limit_payload_bytes"))?;
    let environment = get("environment")?;
    if environment.is_empty()
        || !environment
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
    {
        return Err(anyhow!("letters, digits, - and . are allowed")).with_context(|| wrong("environment"));
    }
    let in_flight: usize = get("in_flight")?.parse().with_context(|| wrong("in_flight"))?;
    if in_flight == 0 {
        return Err(anyhow!("must be at least 1")).with_context(|| wrong("in_flight"));
    }
    let max_connections: usize = get("max_connections")?
        .parse()
        .with_context(|| wrong("max_connections"))?;
    if max_connections == 0 {
        return Err(anyhow!("must be at least 1")).with_context(|| wrong("max_connections"));
    }
    Ok(Settings {
        listen: get("listen")?
            .parse()
            .context("write an address and a port, such as 127.0.0.1:8080")
            .with_context(|| wrong("listen"))?,
        data_dir: PathBuf::from(get("data_dir")?),
        public_url: match get("public_url")? {
            none if none.is_empty() => None,
            url => Some(
                heddle_web::origin(&url)
                    .filter(|origin| *origin == url.trim_end_matches('/').to_ascii_lowercase())
                    .ok_or_else(|| {
                        anyhow!("write http:// or https://, a host and perhaps a port, without a path")
                    })
                    .with_context(|| wrong("public_url"))?,
            ),
        },
        environment,
        retry_schedule: get("retry_schedule")?
            .parse()
            .with_context(|| wrong("retry_schedule"))?,
        egress_allow_networks: list("egress_allow_networks")?,
        egress_allow_http: matches!(
            one_of("egress_allow_http", &["true", "false", "1", "0", "yes", "no"])?.as_str(),
            "true" | "1" | "yes"
        ),
        egress_routes: list("egress_routes")?,
        egress_timeout: wait("egress_timeout")?,
        master_key: Some(get("master_key")?).filter(|key| !key.is_empty()),
        synchronous: one_of("synchronous", &["full", "normal"])?,
        in_flight,
        max_connections,
        caller_idle_timeout: wait("caller_idle_timeout")?,
        shutdown_grace: wait("shutdown_grace")?,
        limit_key_rate: rate("limit_key_rate")?,
        limits,
        limit_payload_bytes,
        log: get("log")?,
        log_format: one_of("log_format", &["text", "json"])?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(pairs: &[(&str, &str)]) -> Result<Settings> {
        let environment = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        load(None, environment, &[])
    }

    #[test]
    fn nothing_set_is_a_safe_server_on_loopback() {
        let settings = from(&[]).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.retry_schedule, Schedule::default());
        assert!(!settings.egress_allow_http && settings.egress_allow_networks.is_empty());
        let mut limits = DefaultLimits::default();
        limits.workspace.rules = Some(10_000);
        assert_eq!((settings.limit_key_rate, settings.limits), (None, limits));
        let settings = from(&[("HEDDLE_LIMIT_RULES", "")]).unwrap();
        assert_eq!(settings.limits, DefaultLimits::default());
    }

    #[test]
    fn the_command_line_wins_over_the_environment_and_that_over_the_file() {
        let folder = std::env::temp_dir().join(format!("heddle-settings-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("heddle.toml");
        std::fs::write(
            &file,
            "listen = '127.0.0.1:1'\ndata_dir = '/a'\n[egress]\nallow_http = true\nallow_networks = ['10.0.0.0/8', '127.0.0.0/8']\n",
        )
        .unwrap();
        let environment = [
            ("HEDDLE_LISTEN".to_owned(), "127.0.0.1:2".to_owned()),
            ("HEDDLE_DATA_DIR".to_owned(), "/b".to_owned()),
        ];
        let settings = load(
            Some(&file),
            environment.into_iter(),
            &[("data_dir", Some("/c".to_owned()))],
        )
        .unwrap();
        assert_eq!(
            (settings.listen.port(), settings.data_dir.to_str()),
            (2, Some("/c"))
        );
        assert!(settings.egress_allow_http);
        assert_eq!(settings.egress_allow_networks, ["10.0.0.0/8", "127.0.0.0/8"]);
        std::fs::write(&file, "lissen = 'x'").unwrap();
        let error = format!("{:#}", load(Some(&file), std::iter::empty(), &[]).unwrap_err());
        assert!(error.contains("lissen") && error.contains("listen"), "{error}");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_documentation_has_every_setting_with_its_default() {
        let documented = include_str!("../../../docs/configuration.md");
        for Setting { key, default, .. } in ALL {
            let default = if default.is_empty() {
                "none".to_owned()
            } else {
                format!("`{default}`")
            };
            let row = format!("| `{key}` | `HEDDLE_{}` | {default} |", key.to_ascii_uppercase());
            assert!(
                documented.contains(&row),
                "docs/configuration.md has no row that begins with {row}"
            );
        }
    }

    #[test]
    fn a_value_that_makes_no_sense_is_refused_by_its_name() {
        for (name, value) in [
            ("HEDDLE_LISTEN", "here"),
            ("HEDDLE_PUBLIC_URL", "heddle.example"),
            ("HEDDLE_PUBLIC_URL", "https://heddle.example/path"),
            ("HEDDLE_RETRY_SCHEDULE", "soon"),
            ("HEDDLE_EGRESS_ALLOW_HTTP", "maybe"),
            ("HEDDLE_IN_FLIGHT", "0"),
            ("HEDDLE_MAX_CONNECTIONS", "0"),
            ("HEDDLE_CALLER_IDLE_TIMEOUT", "0s"),
            ("HEDDLE_SYNCHRONOUS", "off"),
            ("HEDDLE_ENVIRONMENT", "a_b"),
            ("HEDDLE_SHUTDOWN_GRACE", "0s"),
            ("HEDDLE_LIMIT_KEY_RATE", "fast"),
            ("HEDDLE_LIMIT_WORKSPACE_RATE", "0/1s"),
            ("HEDDLE_LIMIT_EVENTS_PER_MONTH", "-1"),
            ("HEDDLE_LIMIT_RULES", "many"),
            ("HEDDLE_LIMIT_PAYLOAD_BYTES", "262145"),
            ("HEDDLE_LIMIT_PAYLOAD_BYTES", "0"),
            ("HEDDLE_RETENTION_PAYLOAD_DAYS", "-1"),
            ("HEDDLE_RETENTION_ATTEMPT_DAYS", "36501"),
            ("HEDDLE_RETENTION_EVENT_DAYS", "0"),
        ] {
            let error = format!("{:#}", from(&[(name, value)]).unwrap_err());
            assert!(error.contains(name), "{name}: {error}");
        }
    }
}
