//! The API as a caller sees it: the whole router over a real store and a real plugin, without a
//! listener. Time stands still unless a test turns it.

mod access;
mod conditions;
mod connections;
mod deliveries;
mod door;
mod events;
mod explain;
mod ingest;
mod isolation;
mod limits;
mod lists;
mod mappings;
mod ordering;
mod plugin;
mod publishable_keys;
mod retention;
mod rules;
mod sessions;
mod snapshot;
mod terms;
mod workspaces;
mod world;
