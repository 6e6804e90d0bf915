//! The engine under test: the released program in a process of its own, in a fresh data folder,
//! and as much of its API as the runs need. Nothing of the engine is linked in here.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::client::Line;
use crate::http;
use crate::process::{self, Memory};
use crate::receiver::Receiver;
use crate::template::EVENT_NAME;

/// A start that takes longer has failed; the first one compiles the bundled plugins.
const LONGEST_START: Duration = Duration::from_secs(120);

/// A stop that takes longer is made one.
const LONGEST_STOP: Duration = Duration::from_secs(30);

/// A token lives for a minute; it is renewed before.
const TOKEN_LIFE: Duration = Duration::from_secs(40);

/// A signing secret as Standard Webhooks has it.
const SIGNING_SECRET: &str = "whsec_aGVkZGxlIGJlbmNoIHNpZ25pbmcgc2VjcmV0IDAwMDE=";

/// Where an engine lives: its program, its data, its log.
pub struct Home {
    program: PathBuf,
    folder: tempfile::TempDir,
    log: PathBuf,
    settings: Vec<(&'static str, String)>,
}

impl Home {
    /// A fresh data folder under `beside`, which must be on a real disk for the syncs to count.
    /// It is removed when this is dropped; the log stays.
    pub fn new(program: &Path, beside: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("data-")
            .tempdir_in(beside)
            .with_context(|| format!("making a data folder in {}", beside.display()))?;
        Ok(Self {
            program: program.to_owned(),
            folder,
            log: beside.join("engine.log"),
            settings: Vec::new(),
        })
    }

    /// The same with a setting, as its environment variable is called.
    pub fn with(mut self, variable: &'static str, value: impl Into<String>) -> Self {
        self.settings.push((variable, value.into()));
        self
    }

    /// The file of the database.
    pub fn database(&self) -> PathBuf {
        self.folder.path().join("heddle.db")
    }

    /// Runs the program with `arguments` to its end and returns what it printed.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = self
            .command(arguments)
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("running {}", self.program.display()))?;
        if !output.status.success() {
            bail!("heddle {} ended with {}", arguments.join(" "), output.status);
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// The bytes of the data folder's files.
    pub fn size(&self) -> u64 {
        let Ok(files) = std::fs::read_dir(self.folder.path()) else {
            return 0;
        };
        files
            .flatten()
            .filter_map(|file| file.metadata().ok())
            .filter(std::fs::Metadata::is_file)
            .map(|file| file.len())
            .sum()
    }

    /// The bytes of one file of the data folder; zero when it is not there.
    pub fn file(&self, name: &str) -> u64 {
        std::fs::metadata(self.folder.path().join(name)).map_or(0, |file| file.len())
    }

    /// The program with only the settings of the bench: those of the caller's shell would make
    /// figures that nobody can repeat.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HEDDLE_") {
                command.env_remove(name);
            }
        }
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("HEDDLE_DATA_DIR", self.folder.path())
            .env("HEDDLE_LISTEN", "127.0.0.1:0")
            .env("HEDDLE_EGRESS_ALLOW_HTTP", "true")
            .env("HEDDLE_EGRESS_ALLOW_NETWORKS", "127.0.0.0/8")
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }
}

/// A workspace of an engine.
pub struct Workspace {
    /// Its id.
    pub id: String,
    /// The header that emits into it, with the line's end.
    pub header: String,
}

/// A running engine. Dropped, it is killed.
pub struct Engine<'a> {
    home: &'a Home,
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// From the program's start to its first good answer at `/readyz`.
    pub ready_after: Duration,
    key: Option<String>,
    token: Option<(String, Instant)>,
}

impl<'a> Engine<'a> {
    /// Starts `heddle serve` and waits until it is ready.
    pub async fn start(home: &'a Home) -> Result<Self> {
        let log = File::options().create(true).append(true).open(&home.log)?;
        let started = Instant::now();
        let mut child = home
            .command(&["serve"])
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {}", home.program.display()))?;
        let told = child
            .stdout
            .take()
            .map(listening_line)
            .context("the engine has no output")?;
        let address = told.recv_timeout(LONGEST_START);
        let mut engine = Self {
            home,
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            ready_after: Duration::ZERO,
            key: None,
            token: None,
        };
        engine.address =
            address.with_context(|| format!("the engine did not start; see {}", home.log.display()))?;
        let ready = http::request("GET", "/readyz", "", b"");
        let mut line = Line::open(engine.address).await?;
        loop {
            let (status, _) = line.exchange(&ready).await.context("asking /readyz")?;
            if status == 200 {
                break;
            }
            if started.elapsed() > LONGEST_START {
                bail!("the engine is not ready: /readyz answers {status}");
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        engine.ready_after = started.elapsed();
        Ok(engine)
    }

    /// The process, as `/proc` names it.
    pub fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// Processor seconds used so far.
    pub fn cpu_seconds(&self) -> Result<f64> {
        process::cpu_seconds(&self.pid())
    }

    /// Its memory.
    pub fn memory(&self) -> Result<Memory> {
        process::memory(&self.pid())
    }

    /// Stops it as an operator would and returns how long that took.
    pub fn stop(mut self) -> Result<Duration> {
        let started = Instant::now();
        let asked = Command::new("kill").args(["-TERM", &self.pid()]).status()?;
        if !asked.success() {
            bail!("the engine could not be asked to stop");
        }
        while started.elapsed() < LONGEST_STOP {
            if let Some(status) = self.child.try_wait()? {
                if !status.success() {
                    bail!("the engine ended with {status}; see {}", self.home.log.display());
                }
                return Ok(started.elapsed());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        bail!("the engine did not stop within {} s", LONGEST_STOP.as_secs())
    }

    /// Kills it, as a crash or an impatient operator would.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Makes a workspace in which the receiver's hooks `0..hooks` each get every event through a
    /// signed webhook connection of their own. Returns the header that emits into it.
    pub async fn workspace(&mut self, name: &str, receiver: &Receiver, hooks: u32) -> Result<String> {
        let workspace = self.tenant(name).await?;
        for hook in 0..hooks {
            let connection = self
                .webhook(&workspace, &format!("Hook {hook}"), &receiver.url(hook))
                .await?;
            self.rule(&workspace, &connection, "send_webhook", EVENT_NAME)
                .await?;
        }
        Ok(workspace.header)
    }

    /// Makes a workspace without anything in it.
    pub async fn tenant(&mut self, name: &str) -> Result<Workspace> {
        let workspace = self.create("/workspaces", &json!({"name": name})).await?;
        let id = text(&workspace, "/workspace/id")?;
        let read = self.api("GET", &format!("/workspaces/{id}"), b"").await?;
        let key = text(&read, "/publishable_key/public_key")?;
        Ok(Workspace {
            header: format!("x-heddle-publishable-key: {key}\r\n"),
            id,
        })
    }

    /// Makes a signed webhook connection and returns its id.
    pub async fn webhook(&mut self, workspace: &Workspace, name: &str, url: &str) -> Result<String> {
        let metadata = json!({"url": url, "signing_scheme": "standard_webhooks",
            "signing_secret": SIGNING_SECRET, "skip_url_test": true});
        self.connection(workspace, "webhook", name, metadata).await
    }

    /// Makes a connection of any type and returns its id.
    pub async fn connection(
        &mut self,
        workspace: &Workspace,
        kind: &str,
        name: &str,
        metadata: Value,
    ) -> Result<String> {
        let body = json!({"workspace": workspace.id, "type": kind, "name": name, "metadata": metadata});
        text(&self.create("/connections", &body).await?, "/connection/id")
    }

    /// Makes a rule that leads the events of a name to a connection.
    pub async fn rule(
        &mut self,
        workspace: &Workspace,
        connection: &str,
        action: &str,
        event: &str,
    ) -> Result<Value> {
        let body = json!({"workspace": workspace.id, "connection": connection, "event": event,
            "metadata": {"action": action}});
        self.create("/rules", &body).await
    }

    /// Open file descriptors.
    pub fn descriptors(&self) -> Result<u64> {
        process::descriptors(&self.pid())
    }

    /// The header by which a caller is known for the next half minute.
    pub fn authorization(&mut self) -> Result<String> {
        Ok(format!("authorization: Bearer {}\r\n", self.token()?))
    }

    /// Posts and returns what was made.
    pub async fn create(&mut self, path: &str, body: &Value) -> Result<Value> {
        self.api("POST", path, body.to_string().as_bytes()).await
    }

    /// Any call of the API; an answer other than success is an error.
    pub async fn api(&mut self, method: &str, path: &str, body: &[u8]) -> Result<Value> {
        let headers = self.authorization()?;
        let request = http::request(method, &format!("/api/v1{path}"), &headers, body);
        let mut line = Line::open(self.address).await?;
        let (status, answer) = line
            .exchange(&request)
            .await
            .with_context(|| format!("{method} {path}"))?;
        if !(200..300).contains(&status) {
            bail!(
                "{method} {path} answered {status}: {}",
                String::from_utf8_lossy(answer)
            );
        }
        serde_json::from_slice(answer).with_context(|| format!("reading the answer to {method} {path}"))
    }

    fn token(&mut self) -> Result<String> {
        if let Some((token, made)) = &self.token
            && made.elapsed() < TOKEN_LIFE
        {
            return Ok(token.clone());
        }
        let key = match &self.key {
            Some(key) => key.clone(),
            None => {
                let made = self.home.run(&["keys", "create", "--name", "bench"])?;
                text(&serde_json::from_str(&made)?, "/access_key")?
            }
        };
        let token = self.home.run(&["keys", "token", "--access-key", &key])?;
        self.key = Some(key);
        self.token = Some((token.clone(), Instant::now()));
        Ok(token)
    }
}

impl Drop for Engine<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads what the engine prints, for as long as it runs, and tells the address it listens on.
fn listening_line(output: impl std::io::Read + Send + 'static) -> mpsc::Receiver<SocketAddr> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if let Some(address) = listening_on(&line) {
                let _ = tell.send(address);
            }
        }
    });
    told
}

fn listening_on(line: &str) -> Option<SocketAddr> {
    let (_, address) = line.split_once("listening on http://")?;
    address
        .split_ascii_whitespace()
        .next()?
        .trim_end_matches('/')
        .parse()
        .ok()
}

/// The text at a place of an answer.
pub fn text(value: &Value, pointer: &str) -> Result<String> {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .with_context(|| format!("no {pointer} in {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_the_line_that_the_engine_prints() {
        let address = "127.0.0.1:41001".parse().ok();
        assert_eq!(
            listening_on("heddle 0.1.0 listening on http://127.0.0.1:41001"),
            address
        );
        assert_eq!(listening_on("  data in /tmp"), None);
    }
}
