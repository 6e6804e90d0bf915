//! The command line.

use std::io::{ErrorKind, IsTerminal, Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};

use crate::settings::{self, Settings};
use crate::{backup, demo, keys, plugin, serve};

/// Heddle takes events that your product emits once and delivers them to every destination that
/// your customers connected: it matches, retries, keeps the history of every attempt, and replays.
///
/// New here? Run `heddle demo`.
#[derive(Debug, Parser)]
#[command(name = "heddle", version, propagate_version = true, arg_required_else_help = true, after_help = SETTINGS_HELP)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const SETTINGS_HELP: &str = "Settings come from flags, then HEDDLE_… environment variables, then heddle.toml \
(--config). `heddle settings` lists them all.";

#[derive(Debug, Args)]
struct Global {
    /// The folder for the database, the master key and plugins [default: ./heddle-data]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<String>,
    /// Read settings from this file
    #[arg(long, global = true, value_name = "FILE", env = "HEDDLE_CONFIG")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    Serve {
        /// The address to listen on [default: 127.0.0.1:8080]
        #[arg(long, value_name = "ADDRESS:PORT")]
        listen: Option<String>,
    },
    /// See it work: three destinations, two of them failing at first, one event
    Demo {
        /// The address to listen on; another port is taken when it is in use
        #[arg(long, value_name = "ADDRESS:PORT")]
        listen: Option<String>,
        /// Stop when the event is delivered instead of serving on
        #[arg(long)]
        once: bool,
    },
    /// Make, list and revoke machine keys for the API
    Keys {
        #[command(subcommand)]
        command: KeysCommand,
    },
    /// Install and list destination plugins
    Plugin {
        #[command(subcommand)]
        command: PluginCommand,
    },
    /// Copy the database into one file, also while the server runs; the master key is not in it
    Backup {
        /// A file that is not there yet, or a folder, in which it is named by the time
        #[arg(value_name = "FILE|DIR")]
        to: PathBuf,
    },
    /// Say what is in a backup, whether it is sound, and whether the master key opens it
    Verify {
        /// The backup
        file: PathBuf,
    },
    /// Check a backup and put it into a data folder that has no database
    Restore {
        /// The backup
        file: PathBuf,
    },
    /// Rewrite the database of a stopped server without its free space
    Vacuum,
    /// List all settings with their defaults
    Settings,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Make a machine key and print it as JSON; the secret is shown this once
    Create {
        /// What the key is for, such as the name of the service that uses it
        #[arg(long)]
        name: String,
        /// The organization's id, or the word new [default: the first organisation]
        #[arg(long, value_name = "ID|new")]
        organization: Option<String>,
        /// Limit it to this workspace; may be given several times [default: all of the organisation]
        #[arg(long, value_name = "ID")]
        workspace: Vec<String>,
        /// Allow it this, such as events:emit; may be given several times [default: everything]
        #[arg(long, value_name = "WORD")]
        permission: Vec<String>,
        /// Let it expire after this time, such as 12h or 90d [default: never]
        #[arg(long, value_name = "TIME")]
        expires_in: Option<String>,
    },
    /// List the machine keys of an organization, one JSON object a line, without secrets
    List {
        /// The organization's id [default: the first organisation]
        #[arg(long, value_name = "ID")]
        organization: Option<String>,
    },
    /// End a machine key for good; a running server refuses it within a second
    Revoke {
        /// The key: mk_…
        #[arg(long)]
        access_key: String,
    },
    /// Print a bearer token of a key, good for one minute: curl -H "Authorization: Bearer $(heddle keys token …)"
    Token {
        /// The key: mk_…
        #[arg(long)]
        access_key: String,
    },
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    /// Check a plugin and put it into the data folder; a running server takes it up
    Install {
        /// A WebAssembly component
        file: PathBuf,
    },
    /// List the destinations, bundled and installed
    List,
    /// Print a destination's page in Markdown: what to create, settings, actions, limits
    Page {
        /// Its name, such as hubspot
        name: String,
    },
}

/// What still runs on the runtime's threads at the end is given this long.
const LAST_GRACE: Duration = Duration::from_secs(1);

/// Runs the command line; errors go to standard error in one line.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has seen enough of it.
        Err(error) if is_broken_pipe(&error) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("heddle: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let cause = error.downcast_ref::<std::io::Error>();
    cause.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

fn run(cli: Cli) -> Result<()> {
    let listen = match &cli.command {
        Command::Serve { listen } | Command::Demo { listen, .. } => listen.clone(),
        _ => None,
    };
    let flags = [("data_dir", cli.global.data_dir.clone()), ("listen", listen)];
    let default_config = PathBuf::from("heddle.toml");
    let config = cli
        .global
        .config
        .clone()
        .or_else(|| default_config.exists().then_some(default_config));
    let settings = settings::load(config.as_deref(), std::env::vars(), &flags)?;
    match cli.command {
        Command::Serve { .. } => {
            start_logging(&settings, &settings.log)?;
            block_on(serve::run(&settings))
        }
        Command::Demo { once, .. } => {
            start_logging(&settings, "error")?;
            block_on(demo::run(&settings, once))
        }
        Command::Keys {
            command:
                KeysCommand::Create {
                    name,
                    organization,
                    workspace,
                    permission,
                    expires_in,
                },
        } => {
            let limits = keys::Limits {
                workspaces: workspace,
                permissions: permission,
                life: expires_in.as_deref().map(keys::life).transpose()?,
            };
            block_on(keys::create(&settings, &name, organization.as_deref(), &limits))
        }
        Command::Keys {
            command: KeysCommand::List { organization },
        } => block_on(keys::list(&settings, organization.as_deref())),
        Command::Keys {
            command: KeysCommand::Revoke { access_key },
        } => block_on(keys::revoke(&settings, &access_key)),
        Command::Keys {
            command: KeysCommand::Token { access_key },
        } => block_on(keys::print_token(&settings, &access_key)),
        Command::Plugin {
            command: PluginCommand::Install { file },
        } => plugin::install(&settings, &file),
        Command::Plugin {
            command: PluginCommand::List,
        } => plugin::list(&settings),
        Command::Plugin {
            command: PluginCommand::Page { name },
        } => plugin::print_page(&settings, &name),
        Command::Backup { to } => backup::backup(&settings, &to),
        Command::Verify { file } => backup::verify(&settings, &file),
        Command::Restore { file } => backup::restore(&settings, &file),
        Command::Vacuum => backup::vacuum(&settings),
        Command::Settings => {
            for setting in settings::ALL {
                writeln!(
                    stdout(),
                    "{} (HEDDLE_{})",
                    setting.key,
                    setting.key.to_ascii_uppercase()
                )?;
                writeln!(stdout(), "    {}", setting.help)?;
                writeln!(
                    stdout(),
                    "    default: {}",
                    if setting.default.is_empty() {
                        "none"
                    } else {
                        setting.default
                    }
                )?;
            }
            Ok(())
        }
    }
}

/// Runs `work` on a runtime of its own. A plugin that still computes when it ends is not waited for.
fn block_on(work: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let ended = runtime.block_on(work);
    runtime.shutdown_timeout(LAST_GRACE);
    ended
}

fn start_logging(settings: &Settings, filter: &str) -> Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter)
        .context("the setting log (HEDDLE_LOG) cannot be used")?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // A log that cannot be written (its disk is full, its reader is gone) must not end a thread.
        .log_internal_errors(false);
    if settings.log_format == "json" {
        builder.json().init();
    } else {
        builder.init();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
