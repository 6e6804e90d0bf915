//! `heddle plugin`: installing and listing plugins.

use std::fs;
use std::io::{Write, stdout};
use std::path::Path;

use anyhow::{Context, Result, bail};
use heddle_sandbox::{Registry, Sandbox, SandboxConfig};

use crate::engine::load_plugins;
use crate::home::Home;
use crate::page::page;
use crate::settings::Settings;

/// Checks a plugin as the server would and puts it into the plugins folder, where a running server
/// takes it up within seconds.
pub fn install(settings: &Settings, file: &Path) -> Result<()> {
    let home = Home::open(&settings.data_dir, settings.master_key.as_deref())?;
    let bytes = fs::read(file).with_context(|| format!("reading {}", file.display()))?;
    let sandbox = Sandbox::new(SandboxConfig {
        cache_dir: Some(home.cache()),
        cache_key: home.cache_key()?,
        ..SandboxConfig::default()
    })
    .context("starting the sandbox")?;
    let plugin = sandbox.load(&file.display().to_string(), &bytes)?;
    let manifest = plugin.manifest();
    if crate::bundled::names().any(|name| name == manifest.name) {
        bail!(
            "{:?} is the name of a bundled destination; give the plugin's manifest another name",
            manifest.name
        );
    }
    let folder = home.plugins();
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let target = folder.join(format!("{}.wasm", manifest.name));
    let draft = folder.join(format!(".{}.draft", manifest.name));
    fs::write(&draft, &bytes)
        .and_then(|()| fs::rename(&draft, &target))
        .with_context(|| format!("writing {}", target.display()))?;
    writeln!(
        stdout(),
        "installed {} {} ({}) as {}",
        manifest.title,
        manifest.version,
        manifest.name,
        target.display()
    )?;
    writeln!(
        stdout(),
        "  actions: {}",
        manifest.actions.keys().cloned().collect::<Vec<_>>().join(", ")
    )?;
    writeln!(stdout(), "  may call: {}", manifest.hosts.join(", "))?;
    writeln!(stdout(), "  a running server offers it within seconds")?;
    Ok(())
}

/// Prints what a server with these settings offers.
pub fn list(settings: &Settings) -> Result<()> {
    let home = Home::open(&settings.data_dir, settings.master_key.as_deref())?;
    let plugins = load_plugins(&home)?;
    for plugin in plugins.all() {
        let manifest = plugin.manifest();
        let actions = manifest.actions.keys().cloned().collect::<Vec<_>>().join(", ");
        writeln!(
            stdout(),
            "{:<20} {:<10} {:<28} {actions}",
            manifest.name,
            manifest.version,
            plugin.origin()
        )?;
    }
    for (file, problem) in plugins.broken() {
        writeln!(stdout(), "{file}: NOT LOADED: {problem}")?;
    }
    Ok(())
}

/// Prints the page of a destination.
pub fn print_page(settings: &Settings, name: &str) -> Result<()> {
    let home = Home::open(&settings.data_dir, settings.master_key.as_deref())?;
    let plugins = load_plugins(&home)?;
    let Some(plugin) = plugins.get(name) else {
        bail!("there is no destination {name:?}; heddle plugin list shows them");
    };
    write!(stdout(), "{}", page(plugin.manifest()))?;
    Ok(())
}

/// Logs what is loaded and, by name, what is not.
pub fn report(plugins: &Registry) {
    let names: Vec<_> = plugins
        .all()
        .iter()
        .map(|plugin| plugin.manifest().name.clone())
        .collect();
    tracing::info!(destinations = names.join(", "), "plugins are loaded");
    for (file, problem) in plugins.broken() {
        tracing::error!(file, problem, "a plugin is broken and was left out");
    }
}
