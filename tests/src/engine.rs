//! The real binary as a child process, on a folder of its own.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::wait::within;
use crate::warm;

/// What `heddle serve` is started with. The default lets it deliver to the test's receiver, over
/// plain HTTP on loopback.
#[derive(Clone, Debug)]
pub struct Settings {
    environment: Vec<(String, String)>,
    disk_can_be_full: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self::strict()
            .with("EGRESS_ALLOW_HTTP", "true")
            .with("EGRESS_ALLOW_NETWORKS", "127.0.0.0/8")
    }
}

impl Settings {
    /// Only what an operator gets who sets nothing but a port of its own.
    pub fn strict() -> Self {
        Self {
            environment: Vec::new(),
            disk_can_be_full: false,
        }
        .with("LISTEN", "127.0.0.1:0")
    }

    /// Sets `HEDDLE_<name>`.
    pub fn with(self, name: &str, value: impl Into<String>) -> Self {
        self.with_raw(&format!("HEDDLE_{name}"), value)
    }

    /// Sets any variable of the environment.
    pub fn with_raw(mut self, name: &str, value: impl Into<String>) -> Self {
        let name = name.to_owned();
        self.environment.retain(|(known, _)| *known != name);
        self.environment.push((name, value.into()));
        self
    }

    /// Sets the wait before each attempt, such as `0s,100ms`.
    pub fn retrying(self, schedule: &str) -> Self {
        self.with("RETRY_SCHEDULE", schedule)
    }

    /// Lets [`Engine::fill_disk`] work.
    pub fn on_a_disk_that_can_be_full(mut self) -> Self {
        self.disk_can_be_full = true;
        self
    }

    /// Sends what is meant for each of `hosts` to `base`.
    pub fn routing(self, hosts: &[&str], base: &str) -> Self {
        let routes: Vec<_> = hosts.iter().map(|host| format!("{host}={base}")).collect();
        self.with("EGRESS_ROUTES", routes.join(","))
    }
}

/// A machine key as `heddle keys create` prints it.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Keys {
    pub organization_id: String,
    pub access_key: String,
    pub secret_key: String,
}

/// How a command ended.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// A data folder; it outlives the processes that use it.
#[derive(Clone)]
pub struct Home(Arc<TempDir>);

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}

impl Home {
    /// One without data, in which the bundled plugins are already compiled.
    pub fn new() -> Self {
        let home = Self::bare();
        warm::prepare(&home.data_dir(), &binary()).expect("a data folder can be made");
        home
    }

    /// Not even the data folder is there.
    pub fn bare() -> Self {
        Self(Arc::new(
            tempfile::tempdir().expect("a temporary folder can be made"),
        ))
    }

    /// Where it is.
    pub fn data_dir(&self) -> PathBuf {
        self.0.path().join("data")
    }

    /// Puts a file into the plugins folder.
    pub fn put_plugin(&self, name: &str, bytes: &[u8]) {
        let folder = self.data_dir().join("plugins");
        std::fs::create_dir_all(&folder).expect("the plugins folder can be made");
        std::fs::write(folder.join(name), bytes).expect("the plugin can be written");
    }

    /// A file outside the data folder that lives as long as it.
    pub fn scratch(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).expect("the file can be written");
        path
    }

    /// Every byte of every file of the database: the main file and what SQLite keeps beside it.
    pub fn database_bytes(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.data_dir()).expect("the data folder can be read");
        let names = files.map(|file| file.expect("its entries too").path());
        names
            .filter(|path| {
                path.file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with("heddle.db"))
            })
            .flat_map(|path| std::fs::read(path).expect("the database can be read"))
            .collect()
    }

    /// Runs `heddle` with `arguments` on this folder until it ends.
    pub async fn run(&self, arguments: &[&str], settings: &Settings) -> Ended {
        let output = within(
            &format!("heddle {}", arguments.join(" ")),
            self.command(arguments, settings).output(),
        )
        .await
        .expect("heddle can be run");
        Ended {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// `heddle keys create` for the default organization.
    pub async fn create_keys(&self) -> Keys {
        self.create_keys_with(&[]).await
    }

    /// `heddle keys create` for a new organization.
    pub async fn create_keys_of_new_organisation(&self) -> Keys {
        self.create_keys_with(&["--organization", "new"]).await
    }

    async fn create_keys_with(&self, more: &[&str]) -> Keys {
        let arguments = [&["keys", "create", "--name", "tests"], more].concat();
        let ended = self.run(&arguments, &Settings::default()).await;
        assert!(ended.status.success(), "heddle {arguments:?}: {ended:?}");
        let printed: Value = serde_json::from_str(ended.stdout.trim())
            .unwrap_or_else(|error| panic!("heddle keys create printed no JSON object ({error}): {ended:?}"));
        let field = |name: &str| match printed[name].as_str() {
            Some(text) => text.to_owned(),
            None => panic!("heddle keys create printed no {name}: {printed}"),
        };
        Keys {
            organization_id: field("organization_id"),
            access_key: field("access_key"),
            secret_key: field("secret_key"),
        }
    }

    /// Starts `heddle serve` on this folder and waits until it listens.
    pub async fn serve(&self, settings: Settings) -> Engine {
        Engine::spawn(self.clone(), settings).await
    }

    /// The same where it may end before it listens: then gives what it said over all its starts.
    pub async fn try_serve(&self, settings: Settings) -> Result<Engine, String> {
        Engine::try_spawn(self.clone(), settings).await
    }

    fn command(&self, arguments: &[&str], settings: &Settings) -> Command {
        let mut command = if settings.disk_can_be_full {
            // Beyond its limit a write then fails as on a full disk, instead of ending the process.
            let mut shell = Command::new("sh");
            shell
                .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
                .arg(binary());
            shell
        } else {
            Command::new(binary())
        };
        command
            .args(arguments)
            .env_clear()
            .env("HEDDLE_DATA_DIR", self.data_dir())
            .envs(settings.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }
}

/// The binary beside the test executable: `target/<profile>/heddle`.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let profile = test
        .parent()
        .and_then(Path::parent)
        .expect("a test lies in target/<profile>/deps");
    let binary = profile.join(format!("heddle{}", std::env::consts::EXE_SUFFIX));
    assert!(
        binary.is_file(),
        "{} is not built: run `cargo build --bin heddle` first, as `make test` does",
        binary.display()
    );
    binary
}

/// A running `heddle serve`. Dropping it kills it; a failing test shows its log.
pub struct Engine {
    home: Home,
    settings: Settings,
    child: Child,
    base: String,
    printed: Arc<Mutex<Vec<String>>>,
    reading: JoinHandle<()>,
}

impl Engine {
    /// One on a folder of its own.
    pub async fn start(settings: Settings) -> Self {
        Home::new().serve(settings).await
    }

    async fn spawn(home: Home, settings: Settings) -> Self {
        let ended = "heddle serve ended before it listened";
        match Self::try_spawn(home, settings).await {
            Ok(engine) => engine,
            Err(log) => panic!("{ended}\n{log}"),
        }
    }

    /// What it said, when it ended before it listened.
    async fn try_spawn(home: Home, settings: Settings) -> Result<Self, String> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(log_path(&home))
            .expect("a log can be written");
        let mut child = home
            .command(&["serve"], &settings)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("heddle can be run");
        let stdout = child.stdout.take().expect("its output is piped");
        let printed = Arc::new(Mutex::new(Vec::new()));
        let (found, address) = oneshot::channel();
        let reading = tokio::spawn(read_lines(stdout, Arc::clone(&printed), found));
        let address = within("heddle serve to listen", address).await;
        let base = address.clone().unwrap_or_default();
        let mut engine = Self {
            home,
            settings,
            child,
            base,
            printed,
            reading,
        };
        if address.is_err() {
            engine.ended().await;
            return Err(engine.log());
        }
        warm::keep(&engine.home.data_dir(), &binary());
        Ok(engine)
    }

    /// `http://127.0.0.1:PORT`
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Its data folder.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Everything that it has said: standard output, then standard error, over all its starts.
    pub fn log(&self) -> String {
        let printed = self
            .printed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .join("\n");
        let logged = std::fs::read(log_path(&self.home)).unwrap_or_default();
        format!("{printed}\n{}", String::from_utf8_lossy(&logged))
    }

    /// Nobody reads its standard output any more, as when a terminal is closed.
    pub async fn close_output(&mut self) {
        self.reading.abort();
        // Ends once the reader, and with it the pipe, is gone.
        let _ = within("the reader to end", &mut self.reading).await;
    }

    /// `kill -9`.
    pub async fn kill(&mut self) {
        within("heddle to die", self.child.kill())
            .await
            .expect("a child can be killed");
    }

    /// Asks it to stop, without waiting.
    pub async fn terminate(&self) {
        let id = self.child.id().expect("heddle is running");
        // The shell's own: not every machine has a program of that name.
        let status = within(
            "kill",
            Command::new("sh")
                .args(["-c", &format!("kill -TERM {id}")])
                .status(),
        )
        .await;
        assert!(
            status.is_ok_and(|status| status.success()),
            "SIGTERM could not be sent"
        );
    }

    /// From now on every write to a file fails, as on a full disk.
    pub async fn fill_disk(&self) {
        self.limit_files("1").await;
    }

    /// There is room again.
    pub async fn free_disk(&self) {
        self.limit_files("unlimited").await;
    }

    async fn limit_files(&self, bytes: &str) {
        assert!(
            self.settings.disk_can_be_full,
            "start it on a disk that can be full"
        );
        self.limit(&format!("--fsize={bytes}:unlimited")).await;
    }

    /// From now on it may have so many files open, sockets included; those that it has stay.
    pub async fn limit_descriptors(&self, most: usize) {
        self.limit(&format!("--nofile={most}:")).await;
    }

    /// How many files it has open, sockets included.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(self.proc("fd"))
            .expect("its descriptors are listed")
            .count()
    }

    /// How many of them are sockets.
    pub fn sockets(&self) -> usize {
        let open = std::fs::read_dir(self.proc("fd")).expect("its descriptors are listed");
        open.flatten()
            .filter_map(|entry| std::fs::read_link(entry.path()).ok())
            .filter(|target| target.to_string_lossy().starts_with("socket:"))
            .count()
    }

    /// The most memory that it has had, in bytes.
    pub fn peak_memory(&self) -> usize {
        let status = std::fs::read_to_string(self.proc("status")).expect("its status can be read");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line
            .and_then(|line| line.trim().strip_suffix(" kB"))
            .and_then(|kib| kib.parse::<usize>().ok());
        kib.unwrap_or_else(|| panic!("no peak: {status}")) * 1024
    }

    /// The processor time that it has used, in hundredths of a second.
    pub fn processor_time(&self) -> u64 {
        let stat = std::fs::read_to_string(self.proc("stat")).expect("its times can be read");
        // Behind the name, which may have blanks; the 14th and 15th of all.
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let times = rest.split_whitespace().skip(11).take(2);
        times.map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
    }

    fn proc(&self, file: &str) -> PathBuf {
        let id = self.child.id().expect("heddle is running").to_string();
        ["/proc", &id, file].iter().collect()
    }

    async fn limit(&self, limit: &str) {
        let id = self.child.id().expect("heddle is running").to_string();
        let status = within(
            "prlimit",
            Command::new("prlimit").args(["--pid", &id, limit]).status(),
        )
        .await;
        assert!(
            status.is_ok_and(|status| status.success()),
            "prlimit (of util-linux) could not set {limit}"
        );
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        within("heddle to end", self.child.wait())
            .await
            .expect("a child can be waited for")
    }

    /// Starts it again on the same folder, on another port, after it has ended.
    pub async fn restart(&mut self) {
        let (home, settings) = (self.home.clone(), self.settings.clone());
        self.restart_with(home, settings).await;
    }

    /// The same with other settings.
    pub async fn restart_as(&mut self, settings: Settings) {
        self.restart_with(self.home.clone(), settings).await;
    }

    async fn restart_with(&mut self, home: Home, settings: Settings) {
        let ended = self.child.try_wait().expect("a child can be asked");
        assert!(ended.is_some(), "heddle still runs");
        *self = Self::spawn(home, settings).await;
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let start = log.len().saturating_sub(8_000);
            let start = (start..log.len())
                .find(|at| log.is_char_boundary(*at))
                .unwrap_or(log.len());
            eprintln!("--- heddle serve at {} said ---\n{}", self.base, &log[start..]);
        }
    }
}

fn log_path(home: &Home) -> PathBuf {
    home.0.path().join("heddle.log")
}

/// Reads the output to its end, so that the child never blocks, and passes on the address.
async fn read_lines(
    stdout: tokio::process::ChildStdout,
    printed: Arc<Mutex<Vec<String>>>,
    found: oneshot::Sender<String>,
) {
    let mut found = Some(found);
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some((_, rest)) = line.split_once("listening on ")
            && let Some(found) = found.take()
        {
            let base = rest
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .trim_end_matches('/');
            let _ = found.send(base.to_owned());
        }
        printed.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}
