//! The bounds that are the same for every plugin. Those that an operator may want to change are in
//! [`SandboxConfig`](crate::SandboxConfig).

/// The largest component that is read. Python and JavaScript components have 12 to 18 MB.
pub const MAX_WASM_BYTES: usize = 32 * 1024 * 1024;

/// The input of a call and all the replies together.
pub const MAX_INPUT_BYTES: usize = 8 * 1024 * 1024;

/// The body of a request, and the JSON of a `done`.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// The URL of a request.
pub const MAX_URL_BYTES: usize = 16 * 1024;

/// The headers of a request.
pub const MAX_HEADERS: usize = 64;

/// Names and values of a request's headers together.
pub const MAX_HEADERS_BYTES: usize = 16 * 1024;

/// The message of a failure; what goes beyond is cut off.
pub const MAX_MESSAGE_BYTES: usize = 2 * 1024;

/// The bytes that wasmtime copies out of a guest in one call, before the finer limits above are
/// looked at. Twice the largest answer, since a guest may hand over its text as UTF-16.
pub(crate) const MAX_LIFTED_BYTES: usize = 2 * (MAX_BODY_BYTES + 128 * 1024);

/// The stack of a guest. Rust and tokio give their threads 2 MiB, so what the host needs below and
/// above the guest fits beside it on every one of them.
pub(crate) const MAX_STACK_BYTES: usize = 512 * 1024;

/// Core instances of one component. componentize-py links 38.
pub(crate) const MAX_CORE_INSTANCES: u32 = 64;

/// Linear memories of one component. Toolchains make one; an adapter module may bring its own.
pub(crate) const MAX_MEMORIES: u32 = 2;

/// Tables of one component. wit-component adds one for its indirect calls.
pub(crate) const MAX_TABLES: u32 = 8;

/// Handles to resources that a call may hold at once. Nothing in the interface has resources; a
/// guest can still make its own.
pub(crate) const MAX_HANDLES: usize = 1024;
