//! Embed sessions: a product's back end opens a part of Heddle to one of its customers, for a while.

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use heddle_core::event::is_label;
use heddle_core::id::{SessionId, WorkspaceId};
use heddle_core::session::{LaunchPage, PAYLOAD_SCOPE, Role, SessionType};
use heddle_core::time::Timestamp;
use heddle_store::{Launch, ResourceKey, Session, SessionFilter, StoreError};
use http::HeaderMap;
use http::header::HOST;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

use crate::caller::Caller;
use crate::error::ApiError;
use crate::extract::{Form, Ids, Members, Parameters, id, text, text_where};
use crate::rules::LABEL_RULE;
use crate::session_tokens::{read_id, shown_id, sign};
use crate::views::List;
use crate::{App, WebState, events, origins, session_access, workspaces};

const NO_SESSION: ApiError = ApiError::NotFound("session");

/// The most scopes that a session can be given.
const MAX_SCOPES: usize = 20;

/// A session as lists show it.
#[derive(Debug, Serialize)]
pub struct SessionView {
    session_id: String,
    workspace_id: WorkspaceId,
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_user_id: Option<String>,
    status: &'static str,
    created_at: String,
    expires_at: String,
    is_expired: bool,
    session_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_id: Option<String>,
}

impl SessionView {
    fn new(session: &Session, now: Timestamp) -> Self {
        let resource = session.resource.as_deref();
        Self {
            session_id: shown_id(session.id),
            workspace_id: session.workspace,
            role: session.role.as_str(),
            external_user_id: session.external_user_id.clone(),
            status: if session.revoked_at.is_some() {
                "revoked"
            } else {
                "active"
            },
            created_at: session.created_at.to_string(),
            expires_at: session.expires_at.to_string(),
            is_expired: session.expires_at <= now,
            session_type: session.kind.as_str(),
            resource: resource.map(|of| of.resource.clone()),
            resource_id: resource.map(|of| of.resource_id.clone()),
        }
    }
}

/// A session with its good access token, and, when it is new, with how to begin it.
#[derive(Serialize)]
pub struct Granted {
    session_id: String,
    access_token: String,
    /// Seconds.
    expires_in: u64,
    expires_at: String,
    #[serde(flatten)]
    begin: Option<Begin>,
    workspace_id: WorkspaceId,
    role: &'static str,
    session_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_id: Option<String>,
}

/// How a new session is begun: the iframe's first address.
#[derive(Serialize)]
struct Begin {
    launch_token: String,
    launch_expires_at: String,
    launch_url: String,
}

/// The answer to the ending of a session.
#[derive(Serialize)]
pub struct Revoked {
    revoked: bool,
}

fn granted(
    app: &App,
    session: &Session,
    now: Timestamp,
    begin: Option<Begin>,
) -> Result<Json<Granted>, ApiError> {
    let resource = session.resource.as_deref();
    Ok(Json(Granted {
        session_id: shown_id(session.id),
        access_token: sign(session, &app.session_key, now)?,
        expires_in: session.expires_at.since(now).as_secs(),
        expires_at: session.expires_at.to_string(),
        begin,
        workspace_id: session.workspace,
        role: session.role.as_str(),
        session_type: session.kind.as_str(),
        resource: resource.map(|of| of.resource.clone()),
        resource_id: resource.map(|of| of.resource_id.clone()),
    }))
}

/// What a caller wishes for.
struct Wish {
    workspace: WorkspaceId,
    kind: SessionType,
    role: Role,
    external_user_id: Option<String>,
    resource: Option<Arc<ResourceKey>>,
    scopes: Vec<String>,
    allowed_origins: Vec<String>,
    ttl_seconds: u32,
    launch_ttl: Duration,
    page: LaunchPage,
}

/// `POST /sessions`
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Members(members): Members,
) -> Result<Json<Granted>, ApiError> {
    let wish = read(&members)?;
    workspaces::own(&app, &caller, wish.workspace).await?;
    let now = app.clock.now();
    let session = Session {
        id: SessionId::new(now, app.random()),
        organisation: caller.organisation(),
        workspace: wish.workspace,
        kind: wish.kind,
        role: wish.role,
        external_user_id: wish.external_user_id,
        resource: wish.resource,
        scopes: wish.scopes,
        allowed_origins: wish.allowed_origins,
        ttl_seconds: wish.ttl_seconds,
        token: Uuid::from_bytes(app.random()),
        created_by: caller.name.clone(),
        created_at: now,
        expires_at: now.plus(Duration::from_secs(wish.ttl_seconds.into())),
        revoked_at: None,
    };
    within(&caller, &session)?;
    let launch_token = URL_SAFE_NO_PAD.encode(app.random::<32>());
    let launch = Launch {
        digest: digest(&launch_token),
        page: wish.page,
        expires_at: now.plus(wish.launch_ttl),
    };
    let begin = Begin {
        launch_url: launch_url(&app, &headers, wish.page, &launch_token),
        launch_expires_at: launch.expires_at.to_string(),
        launch_token,
    };
    app.store.create_session(session.clone(), launch).await?;
    granted(&app, &session, now, Some(begin))
}

/// `GET /sessions`
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    parameters: Parameters,
) -> Result<Json<List<SessionView>>, ApiError> {
    let workspace = match parameters.get("workspace_id").map(str::parse) {
        Some(Ok(workspace)) => workspace,
        Some(Err(_)) => return Err(ApiError::invalid("workspace_id", "must be a UUID")),
        None => return Err(ApiError::invalid("workspace_id", "is required")),
    };
    let revoked = match parameters.get("status") {
        None => None,
        Some("active") => Some(false),
        Some("revoked") => Some(true),
        Some(_) => return Err(ApiError::invalid("status", "must be active or revoked")),
    };
    let page = events::page(&parameters)?;
    workspaces::own(&app, &caller, workspace).await?;
    let filter = SessionFilter {
        workspace,
        revoked,
        resource: parameters.owned("resource"),
        resource_id: parameters.owned("resource_id"),
    };
    let (limit, now) = (page.limit, app.clock.now());
    let found = app.store.list_sessions(caller.reach(), filter, page).await?;
    let records = found.records.iter().map(|session| SessionView::new(session, now));
    Ok(Json(List::page(records.collect(), limit, found.next_cursor)))
}

/// `POST /sessions/{session}/refresh`: another access token; the one before is good no more.
pub async fn refresh(
    State(app): State<App>,
    caller: Caller,
    Ids(session): Ids<String>,
) -> Result<Json<Granted>, ApiError> {
    const REVOKED: fn() -> ApiError = || ApiError::Conflict {
        code: "session_revoked",
        message: "The session was revoked; make another one.".into(),
    };
    let known = own(&app, &caller, &session).await?;
    within(&caller, &known)?;
    let now = app.clock.now();
    let token = Uuid::from_bytes(app.random());
    let refreshed = app.store.refresh_session(known.id, token, now).await?;
    granted(&app, &refreshed.ok_or_else(REVOKED)?, now, None)
}

/// `DELETE /sessions/{session}`: `false` when it was revoked before.
pub async fn revoke(
    State(app): State<App>,
    caller: Caller,
    Ids(session): Ids<String>,
) -> Result<Json<Revoked>, ApiError> {
    let known = own(&app, &caller, &session).await?;
    let revoked = app.store.revoke_session(known.id, app.clock.now()).await?;
    Ok(Json(Revoked { revoked }))
}

/// The session, if it is within the caller's reach.
async fn own(app: &App, caller: &Caller, id: &str) -> Result<Session, ApiError> {
    let session = match read_id(id) {
        Some(id) => app.store.session(id).await?,
        None => None,
    };
    let reach = caller.reach();
    session
        .filter(|session| session.organisation == reach.organisation && reach.covers(session.workspace))
        .ok_or(NO_SESSION)
}

/// Refuses to open to a session what the caller may not do itself.
fn within(caller: &Caller, session: &Session) -> Result<(), ApiError> {
    let wanted = session_access::permissions(session.kind, session.role, &session.scopes);
    match wanted.iter().find(|permission| !caller.may(*permission)) {
        None => Ok(()),
        Some(lacking) => Err(ApiError::NotPermitted(lacking)),
    }
}

fn read(members: &Map<String, Value>) -> Result<Wish, ApiError> {
    let mut form = Form::new(members);
    let workspace = form.need("workspace_id", id::<WorkspaceId>);
    let role = form.take("role", |value| word(value, Role::parse, "member, admin or owner"));
    let kind = form.take("session_type", |value| {
        word(value, SessionType::parse, "workspace, resource or dashboard")
    });
    let kind = kind.unwrap_or(SessionType::Workspace);
    let external_user_id = form.take(
        "external_user_id",
        text_where(
            |text| text.chars().count() <= 255,
            "must have at most 255 characters",
        ),
    );
    let ttl_seconds = form.take("ttl_seconds", |value| between(value, 300, 3600));
    let launch_ttl = form.take("launch_ttl_seconds", |value| between(value, 15, 60));
    let page_member = if form.has("launch_page") {
        "launch_page"
    } else {
        "launch_path"
    };
    let page = form.take(page_member, |value| {
        let pages = LaunchPage::ALL.iter().filter(|page| kind.shows(**page));
        let words: Vec<&str> = pages.map(|page| page.as_str()).collect();
        let page = |word: &str| LaunchPage::parse(word.trim_start_matches('/'));
        match page(text(value)?) {
            Some(page) if kind.shows(page) => Ok(page),
            _ => Err(format!(
                "must be one of {} for this session_type",
                words.join(", ")
            )),
        }
    });
    let (resource, resource_id) = if kind == SessionType::Resource {
        (
            form.need("resource", text_where(is_label, LABEL_RULE)),
            form.need("resource_id", text_where(is_label, LABEL_RULE)),
        )
    } else {
        for member in ["resource", "resource_id"] {
            form.take::<()>(member, |_| Err("is for session_type resource only".into()));
        }
        (None, None)
    };
    let allowed_origins = form.take("allowed_origins", origins::read);
    let scopes = form.take("scopes", read_scopes);
    form.check()?;
    Ok(Wish {
        workspace: workspace.ok_or_else(|| form.refuse())?,
        kind,
        role: role.unwrap_or(Role::Member),
        external_user_id,
        resource: resource.zip(resource_id).map(|(resource, resource_id)| {
            Arc::new(ResourceKey {
                resource,
                resource_id,
            })
        }),
        scopes: scopes.unwrap_or_default(),
        allowed_origins: allowed_origins.unwrap_or_default(),
        ttl_seconds: ttl_seconds.unwrap_or(1800),
        launch_ttl: Duration::from_secs(launch_ttl.unwrap_or(30).into()),
        page: page.unwrap_or(LaunchPage::Dashboard),
    })
}

fn word<T>(value: &Value, parse: fn(&str) -> Option<T>, words: &str) -> Result<T, String> {
    parse(text(value)?).ok_or_else(|| format!("must be {words}"))
}

fn between(value: &Value, least: u32, most: u32) -> Result<u32, String> {
    let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
    number
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("must be a whole number from {least} to {most}"))
}

fn read_scopes(value: &Value) -> Result<Vec<String>, String> {
    let wrong = || format!("must be an array of at most {MAX_SCOPES} scopes; there is {PAYLOAD_SCOPE}");
    let words = value
        .as_array()
        .filter(|words| words.len() <= MAX_SCOPES)
        .ok_or_else(wrong)?;
    if words.iter().any(|word| word.as_str() != Some(PAYLOAD_SCOPE)) {
        return Err(wrong());
    }
    Ok(words
        .first()
        .map(|_| PAYLOAD_SCOPE.to_owned())
        .into_iter()
        .collect())
}

fn digest(launch_token: &str) -> [u8; 32] {
    Sha256::digest(launch_token.as_bytes()).into()
}

/// Where the iframe begins: at the configured address, else at the one that this request was sent to.
fn launch_url(app: &App, headers: &HeaderMap, page: LaunchPage, launch_token: &str) -> String {
    let host = || {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        host.and_then(|host| origins::origin(&format!("http://{host}")))
    };
    let base = app.public_url.clone().or_else(host).unwrap_or_default();
    format!("{base}/embed/{}?launch_token={launch_token}", page.as_str())
}

impl WebState {
    /// Uses up a launch token, for the first request of an embedded page: the session that it begins
    /// and the page to show. Once, and only before it expires; `None` otherwise.
    pub async fn redeem_launch_token(
        &self,
        token: &str,
    ) -> Result<Option<(Session, LaunchPage)>, StoreError> {
        self.store.redeem_launch(digest(token), self.clock.now()).await
    }
}
