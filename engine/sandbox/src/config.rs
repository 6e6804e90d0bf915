//! What an operator may set, and the wasmtime engine that follows from it.

use std::path::PathBuf;
use std::time::Duration;

use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::limits::{MAX_CORE_INSTANCES, MAX_MEMORIES, MAX_STACK_BYTES, MAX_TABLES};

/// The sandbox's settings. [`Default`] suits a server; only the cache has to be set.
#[derive(Clone)]
pub struct SandboxConfig {
    /// Where compiled plugins are kept between starts; `None` compiles at every load. Made, with
    /// mode 0700, if it is missing.
    pub cache_dir: Option<PathBuf>,
    /// Authenticates the files in `cache_dir`: they are native code. Whoever knows the key and can
    /// write there can run code in this process.
    pub cache_key: [u8; 32],
    /// The linear memory of one call, in bytes.
    pub max_memory_bytes: usize,
    /// The table elements of one call.
    pub max_table_elements: usize,
    /// Calls at the same time. A call that finds no place waits or is turned away; see
    /// [`Patience`](crate::Patience).
    pub instances: u32,
    /// How long a call with [`Patience::Brief`](crate::Patience::Brief) may run.
    pub brief: Duration,
    /// How long a call with [`Patience::Full`](crate::Patience::Full) may run.
    pub full: Duration,
    /// How long `describe` may run, once, when a plugin is loaded.
    pub describe: Duration,
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            cache_dir: None,
            cache_key: [0; 32],
            max_memory_bytes: 64 * 1024 * 1024,
            max_table_elements: 32 * 1024,
            instances: 32,
            brief: Duration::from_millis(5),
            full: Duration::from_secs(1),
            describe: Duration::from_secs(5),
        }
    }
}

impl SandboxConfig {
    pub(crate) fn engine(&self) -> wasmtime::Result<Engine> {
        let mut pool = PoolingAllocationConfig::new();
        pool.total_component_instances(self.instances)
            .total_core_instances(self.instances.saturating_mul(MAX_CORE_INSTANCES))
            .total_memories(self.instances.saturating_mul(MAX_MEMORIES))
            .total_tables(self.instances.saturating_mul(MAX_TABLES))
            .max_core_instances_per_component(MAX_CORE_INSTANCES)
            .max_memories_per_component(MAX_MEMORIES)
            .max_tables_per_component(MAX_TABLES)
            .max_tables_per_module(MAX_TABLES)
            .max_memory_size(self.max_memory_bytes)
            .table_elements(self.max_table_elements)
            // Wiping a small guest's pages costs less than giving them back and faulting them in.
            .linear_memory_keep_resident(256 * 1024)
            .table_keep_resident(16 * 1024)
            // Where Linux can say which pages a guest has touched (6.7 and later), only those are wiped.
            .pagemap_scan(Enabled::Auto);

        let mut config = Config::new();
        config
            .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
            .epoch_interruption(true)
            .max_wasm_stack(MAX_STACK_BYTES)
            .concurrency_support(false)
            .wasm_backtrace_max_frames(None)
            .wasm_memory64(false)
            .wasm_multi_memory(false)
            // The same input must lead to the same answer on every machine.
            .wasm_relaxed_simd(false)
            .cranelift_nan_canonicalization(true);
        Engine::new(&config)
    }
}
