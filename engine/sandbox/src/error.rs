//! What can go wrong, in words for the person who has to mend it.

use std::fmt;
use std::time::Duration;

use heddle_core::exchange::Function;
use heddle_core::manifest::ManifestError;

use crate::limits::{MAX_INPUT_BYTES, MAX_WASM_BYTES};

/// The sandbox cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// wasmtime refuses the settings or this machine.
    #[error("the WebAssembly engine does not start: {0}")]
    Engine(String),
    /// The directory for compiled plugins cannot be used.
    #[error("the cache directory {path} cannot be used")]
    Cache {
        /// Which directory.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The thread that measures time cannot be started.
    #[error("the sandbox's clock thread cannot be started")]
    Clock(#[source] std::io::Error),
}

/// A plugin cannot be used. Its text names where the plugin came from and what to do.
#[derive(Debug)]
pub struct LoadError {
    /// The file name, or `bundled:NAME`.
    pub origin: String,
    /// What is wrong with it.
    pub problem: LoadProblem,
}

/// Why a plugin cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadProblem {
    /// The file could not be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// Larger than [`MAX_WASM_BYTES`].
    #[error("has {0} bytes, and at most {MAX_WASM_BYTES} are read; build it for size and strip it")]
    TooLarge(u64),
    /// Not WebAssembly at all.
    #[error("is not a WebAssembly component; build one and put its .wasm file here")]
    NotWasm,
    /// A core module.
    #[error(
        "is a core WebAssembly module, not a component; make a component of it, \
         for example with `wasm-tools component new`"
    )]
    CoreModule,
    /// Native code made by wasmtime.
    #[error("is precompiled native code, which is never taken from outside; give the .wasm file instead")]
    Precompiled,
    /// Not valid, beyond the limits, or using a proposal that is switched off.
    #[error("cannot be compiled: {0}; rebuild it with a current toolchain")]
    Compile(String),
    /// Imports something that acts.
    #[error(
        "imports {0:?}, and a plugin may import nothing that acts; build it without what needs that \
         (network, HTTP, other hosts' interfaces)"
    )]
    Import(String),
    /// A required function is absent.
    #[error("does not export {0:?}; export it as the world `adapter` of heddle:plugin says")]
    MissingExport(&'static str),
    /// A function has another type than the published one.
    #[error("exports {name:?} with another type than the world `adapter` of heddle:plugin: {reason}")]
    ExportType {
        /// Which export.
        name: &'static str,
        /// Where they differ.
        reason: String,
    },
    /// `describe` did not answer, or nothing could be started at all.
    #[error("failed when it was started and asked to describe itself; mend the plugin")]
    Describe(#[source] CallError),
    /// `describe` answered with a manifest that cannot be used.
    #[error("describes itself wrongly; mend the manifest")]
    Manifest(#[source] ManifestError),
    /// The plugin's name is another's.
    #[error("calls itself {name:?}, which is the name of {holder}; give it another name in its manifest")]
    NameTaken {
        /// The name in the manifest.
        name: String,
        /// The origin of the plugin that has it.
        holder: String,
    },
    /// A bundled plugin's manifest has another name than the one it is bundled under.
    #[error("calls itself {0:?}; a bundled plugin must have the name that it is bundled under")]
    WrongName(String),
}

impl fmt::Display for LoadError {
    /// The whole story in one line, cause included: it goes into a list that people read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plugin {:?} ", self.origin)?;
        match &self.problem {
            LoadProblem::Describe(error) => write!(f, "{}: {error}", self.problem),
            LoadProblem::Manifest(error) => write!(f, "{}: {error}", self.problem),
            problem => write!(f, "{problem}"),
        }
    }
}

// No `source`: the text above has it already.
impl std::error::Error for LoadError {}

/// A call that gave no answer. The fault is the plugin's, except for [`CallError::Busy`] and
/// [`CallError::InputTooLarge`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It ran longer than it may. After a brief call, try a full one.
    #[error("plugin {plugin:?} gave no answer within {} ms", limit.as_millis())]
    OutOfTime {
        /// The plugin's name.
        plugin: String,
        /// The time that it had.
        limit: Duration,
    },
    /// It broke off.
    #[error("plugin {plugin:?} broke off: {reason}")]
    Trap {
        /// The plugin's name.
        plugin: String,
        /// How.
        reason: String,
    },
    /// Its answer is larger than an answer may be.
    #[error("plugin {plugin:?} answered with too much: {excess}")]
    OutputTooLarge {
        /// The plugin's name.
        plugin: String,
        /// What is too large, and the limit.
        excess: String,
    },
    /// Its answer is not of the shape that the interface says.
    #[error("plugin {plugin:?} gave an answer that cannot be read: {reason}")]
    Malformed {
        /// The plugin's name.
        plugin: String,
        /// Why not.
        reason: String,
    },
    /// The plugin does not have this function.
    #[error("plugin {plugin:?} has no function {:?}", function.as_str())]
    MissingExport {
        /// The plugin's name.
        plugin: String,
        /// What was called.
        function: Function,
    },
    /// The input and the replies together are larger than [`MAX_INPUT_BYTES`].
    #[error(
        "plugin {plugin:?} was not called: its input and the replies have {bytes} bytes, \
         and at most {MAX_INPUT_BYTES} are passed on"
    )]
    InputTooLarge {
        /// The plugin's name.
        plugin: String,
        /// How many there are.
        bytes: usize,
    },
    /// As many calls as may run are running. Try again.
    #[error("plugin {plugin:?} was not called: too many calls of plugins are under way")]
    Busy {
        /// The plugin's name.
        plugin: String,
    },
}

/// A text from elsewhere, on one line and not too long. wasmtime quotes names out of the component.
pub(crate) fn brief(text: impl fmt::Display) -> String {
    let mut line = text.to_string().replace(|c: char| c.is_control(), " ");
    if line.len() > 400 {
        line.truncate(line.floor_char_boundary(400));
        line.push('…');
    }
    line
}
