//! `heddle keys`: machine keys, made beside a running server or before the first start.

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use heddle_core::id::OrganisationId;
use heddle_core::secret::Secret;
use heddle_core::time::{Clock, Timestamp};
use heddle_store::{MachineKey, Store};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use crate::engine::open_store;
use crate::home::Home;
use crate::machine::{self, SystemClock};
use crate::settings::Settings;

/// The longest life of a machine token that the API takes, in seconds.
const TOKEN_SECONDS: i64 = 60;

/// Prints `{"organization_id", "access_key", "secret_key"}`, the only time that the secret is seen.
pub async fn create(settings: &Settings, name: &str, organisation: Option<&str>) -> Result<()> {
    let home = Home::open(&settings.data_dir, settings.master_key.as_deref())?;
    let store = open_store(&home, settings)?;
    let key = make(&store, name, organisation).await?;
    println!(
        "{}",
        json!({
            "organization_id": key.organisation.to_string(),
            "access_key": key.access_key,
            "secret_key": key.secret.reveal(),
        })
    );
    store.close().await;
    Ok(())
}

/// Makes a key of the default organisation, of the one with this id, or of a `new` one.
pub async fn make(store: &Store, name: &str, organisation: Option<&str>) -> Result<MachineKey> {
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
                    "there is no organisation {id}; leave --organization out for the default one, or write new"
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
        created_at: now,
    };
    store.create_machine_key(key.clone()).await?;
    Ok(key)
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
    let key = store
        .machine_key(access_key)
        .await?
        .with_context(|| format!("there is no machine key {access_key}"))?;
    println!("{}", token(&key, SystemClock.now())?);
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
