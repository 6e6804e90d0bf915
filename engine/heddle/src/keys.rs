//! `heddle keys`: machine keys, made and ended beside a running server or before the first start.

use std::io::{Write, stdout};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use heddle_core::id::{OrganisationId, WorkspaceId};
use heddle_core::secret::Secret;
use heddle_core::time::{Clock, Timestamp};
use heddle_store::{MachineKey, Store};
use heddle_web::{MAX_WORKSPACES, Permission};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use crate::engine::open_store;
use crate::home::Home;
use crate::machine::{self, SystemClock};
use crate::settings::Settings;

/// The longest life of a machine token that the API takes, in seconds.
const TOKEN_SECONDS: i64 = 60;

/// What a key is limited to; the default is nothing.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// Ids of workspaces; none is all of the organization.
    pub workspaces: Vec<String>,
    /// Words of permissions; none is all.
    pub permissions: Vec<String>,
    /// How long it lives.
    pub life: Option<Duration>,
}

/// Prints `{"organization_id", "access_key", "secret_key"}`, the only time that the secret is seen.
pub async fn create(
    settings: &Settings,
    name: &str,
    organisation: Option<&str>,
    limits: &Limits,
) -> Result<()> {
    let home = Home::open(&settings.data_dir, settings.master_key.as_deref())?;
    let store = open_store(&home, settings)?;
    let key = make(&store, name, organisation, limits).await?;
    writeln!(
        stdout(),
        "{}",
        json!({
            "organization_id": key.organisation.to_string(),
            "access_key": key.access_key,
            "secret_key": key.secret.reveal(),
        })
    )?;
    store.close().await;
    Ok(())
}

/// Makes a key of the default organization, of the one with this id, or of a `new` one.
pub async fn make(
    store: &Store,
    name: &str,
    organisation: Option<&str>,
    limits: &Limits,
) -> Result<MachineKey> {
    if name.trim().is_empty() || name.len() > 128 {
        bail!("a key's name has 1 to 128 bytes");
    }
    let now = SystemClock.now();
    let organisation = match organisation {
        Some("new") => new_organisation(store, name, now).await?,
        Some(id) => {
            let id: OrganisationId = id
                .parse()
                .context("--organization takes an id (a UUID) or the word new")?;
            if !store.organisation_exists(id).await? {
                bail!(
                    "there is no organization {id}; leave --organization out for the default one, or write new"
                );
            }
            id
        }
        None => match store.default_organisation().await? {
            Some(id) => id,
            None => new_organisation(store, "Default", now).await?,
        },
    };
    let key = MachineKey {
        access_key: format!("mk_{}", URL_SAFE_NO_PAD.encode(machine::random::<18>())),
        organisation,
        name: name.to_owned(),
        secret: Secret::new(URL_SAFE_NO_PAD.encode(machine::random::<32>())),
        permissions: permissions(&limits.permissions)?,
        workspaces: workspaces(store, organisation, &limits.workspaces).await?,
        created_by: None,
        created_at: now,
        expires_at: limits.life.map(|life| now.plus(life)),
        revoked_at: None,
    };
    store.create_machine_key(key.clone()).await?;
    Ok(key)
}

/// How long a key lives, from text such as `12h` or `90d`.
pub fn life(text: &str) -> Result<Duration> {
    let wrong = || format!("--expires-in takes a time such as 12h or 90d, not {text:?}");
    let (number, unit) = text.split_at(text.floor_char_boundary(text.len().saturating_sub(1)));
    let number: u64 = number.parse().with_context(wrong)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => bail!(wrong()),
    };
    let life = number.checked_mul(seconds).filter(|life| *life > 0);
    life.map(Duration::from_secs).with_context(wrong)
}

fn permissions(words: &[String]) -> Result<Option<Vec<String>>> {
    for word in words {
        if Permission::parse(word).is_none() {
            let known: Vec<&str> = Permission::ALL.iter().map(|one| one.as_str()).collect();
            bail!("there is no permission {word:?}; there are {}", known.join(", "));
        }
    }
    Ok((!words.is_empty()).then(|| words.to_vec()))
}

async fn workspaces(
    store: &Store,
    organisation: OrganisationId,
    ids: &[String],
) -> Result<Option<Arc<[WorkspaceId]>>> {
    let mut workspaces = Vec::new();
    for id in ids {
        let id: WorkspaceId = id
            .parse()
            .context("--workspace takes the id of a workspace, a UUID")?;
        if store.workspace(organisation, id).await?.is_none() {
            bail!("organization {organisation} has no workspace {id}");
        }
        workspaces.push(id);
    }
    workspaces.sort();
    workspaces.dedup();
    if workspaces.len() > MAX_WORKSPACES {
        bail!("a key can be limited to at most {MAX_WORKSPACES} workspaces");
    }
    Ok((!workspaces.is_empty()).then(|| workspaces.into()))
}

/// Prints the keys of an organization, one JSON object a line, without secrets.
pub async fn list(settings: &Settings, organisation: Option<&str>) -> Result<()> {
    let home = Home::open(&settings.data_dir, settings.master_key.as_deref())?;
    let store = open_store(&home, settings)?;
    let organisation = match organisation {
        Some(id) => Some(id.parse().context("--organization takes an id (a UUID)")?),
        None => store.default_organisation().await?,
    };
    let now = SystemClock.now();
    if let Some(organisation) = organisation {
        for key in store.list_machine_keys(organisation).await? {
            writeln!(stdout(), "{}", heddle_web::machine_key(key, now))?;
        }
    }
    store.close().await;
    Ok(())
}

/// Ends a key for good. A running server refuses it within a second.
pub async fn revoke(settings: &Settings, access_key: &str) -> Result<()> {
    let home = Home::open(&settings.data_dir, settings.master_key.as_deref())?;
    let store = open_store(&home, settings)?;
    let now = SystemClock.now();
    let key = known(&store, access_key, now).await?;
    let revoked = store
        .revoke_machine_key(key.organisation, key.access_key, now)
        .await?;
    writeln!(stdout(), "{}", json!({"revoked": revoked.unwrap_or(false)}))?;
    store.close().await;
    Ok(())
}

async fn known(store: &Store, access_key: &str, now: Timestamp) -> Result<MachineKey> {
    let key = store.machine_key(access_key, now).await?;
    key.with_context(|| format!("there is no machine key {access_key}"))
}

async fn new_organisation(store: &Store, name: &str, now: Timestamp) -> Result<OrganisationId> {
    let id = OrganisationId::new(now, machine::random());
    store.create_organisation(id, name.to_owned(), now).await?;
    Ok(id)
}

/// Prints a machine token of the key, for use with curl.
pub async fn print_token(settings: &Settings, access_key: &str) -> Result<()> {
    let home = Home::open(&settings.data_dir, settings.master_key.as_deref())?;
    let store = open_store(&home, settings)?;
    let now = SystemClock.now();
    let key = known(&store, access_key, now).await?;
    writeln!(stdout(), "{}", token(&key, now)?)?;
    store.close().await;
    Ok(())
}

/// A machine token as the contract has it: HS256, a minute long.
pub fn token(key: &MachineKey, now: Timestamp) -> Result<String> {
    let header = json!({"alg": "HS256", "typ": "JWT", "kid": key.access_key});
    let claims = json!({
        "iss": format!("urn:heddle:m2m:{}", key.access_key),
        "aud": "heddle-api",
        "org": key.organisation.to_string(),
        "iat": now.seconds(),
        "exp": now.seconds() + TOKEN_SECONDS,
    });
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header.to_string()),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key.secret.reveal().as_bytes()).context("signing the token")?;
    mac.update(signed.as_bytes());
    Ok(format!(
        "{signed}.{}",
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    ))
}
