//! Everything but emitting. Each method is named as its operation in the OpenAPI document.

use futures::Stream;
use futures::stream::try_unfold;
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::credential::Credential;
use crate::error::Error;
use crate::shapes::*;
use crate::transport::{Options, Outgoing, Transport};

/// Manages workspaces, connections and rules, and reads what became of events. Clones share its connections.
///
/// What reads or replaces (`GET`, `PUT`) is retried like an emit; anything else only when the server has said that
/// nothing was done.
///
/// Bodies of updates are whatever is written as a JSON object: what is absent stays, and `null` removes.
#[derive(Clone, Debug)]
pub struct ManagementClient {
    transport: Transport,
}

/// What stands alone in an object, under a name that depends on the operation.
macro_rules! inside {
    ($($name:ident { $member:ident: $kind:ty })+) => {$(
        #[derive(Deserialize)]
        struct $name {
            $member: $kind,
        }
    )+};
}

inside! {
    CreatedWorkspace { workspace: Workspace }
    CreatedPublishableKey { publishable_key: PublishableKey }
    CreatedEventType { event_type: Entry }
    CreatedResource { resource: Entry }
    CreatedConnection { connection: Connection }
    CreatedRule { rule: Rule }
    CreatedReplay { replay: Replay }
}

#[derive(Serialize)]
struct Described<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
}

/// No filter.
const ALL: &() = &();
/// No body.
const NOTHING: Option<&()> = None;

impl ManagementClient {
    /// A client with a machine key, or with the access token of a session.
    pub fn new(credential: Credential, options: Options) -> Result<Self, Error> {
        if matches!(credential, Credential::PublishableKey(_)) {
            return Err(Error::new(
                "invalid_setting",
                "a publishable key emits and does nothing else",
            ));
        }
        Ok(Self {
            transport: Transport::new(credential, options)?,
        })
    }

    /// The workspaces.
    pub async fn list_workspaces(&self) -> Result<List<Workspace>, Error> {
        self.get(&["workspaces"], ALL).await
    }

    /// Makes a workspace, with its first publishable key.
    pub async fn create_workspace(&self, name: &str, description: Option<&str>) -> Result<Workspace, Error> {
        let body = Described { name, description };
        let made: CreatedWorkspace = self.post(&["workspaces"], Some(&body)).await?;
        Ok(made.workspace)
    }

    /// With its publishable key.
    pub async fn get_workspace(&self, workspace: &str) -> Result<Workspace, Error> {
        self.get(&["workspaces", workspace], ALL).await
    }

    /// Changes its name or description.
    pub async fn update_workspace(&self, workspace: &str, body: &impl Serialize) -> Result<Workspace, Error> {
        self.put(&["workspaces", workspace], body).await
    }

    /// Deletes a workspace for good, with all that it has; `confirm` is its name.
    pub async fn delete_workspace(&self, workspace: &str, confirm: &str) -> Result<DeletedWorkspace, Error> {
        let body = serde_json::json!({"confirm": confirm});
        self.delete(&["workspaces", workspace], Some(&body)).await
    }

    /// The connections of a workspace.
    pub async fn list_workspace_connections(&self, workspace: &str) -> Result<List<Connection>, Error> {
        self.get(&["workspaces", workspace, "connections"], ALL).await
    }

    /// The rules of a workspace.
    pub async fn list_workspace_rules(
        &self,
        workspace: &str,
        filter: &RuleFilter,
    ) -> Result<List<Rule>, Error> {
        self.get(&["workspaces", workspace, "rules"], filter).await
    }

    /// One page of a workspace's events, the newest first.
    pub async fn list_workspace_events(
        &self,
        workspace: &str,
        filter: &EventFilter,
    ) -> Result<List<Event>, Error> {
        self.get(&["workspaces", workspace, "events"], filter).await
    }

    /// A workspace's events, the newest first, page by page.
    pub fn all_workspace_events(
        &self,
        workspace: &str,
        filter: &EventFilter,
    ) -> impl Stream<Item = Result<Event, Error>> + Send + use<> {
        self.all(&["workspaces", workspace, "events"], json(filter))
    }

    /// The publishable keys of a workspace, the oldest first.
    pub async fn list_publishable_keys(&self, workspace: &str) -> Result<List<PublishableKey>, Error> {
        self.get(&["workspaces", workspace, "publishable-keys"], ALL)
            .await
    }

    /// Makes a publishable key; the others stay good for as long as the overlap says.
    pub async fn create_publishable_key(
        &self,
        workspace: &str,
        body: &CreatePublishableKey,
    ) -> Result<PublishableKey, Error> {
        let made: CreatedPublishableKey = self
            .post(&["workspaces", workspace, "publishable-keys"], Some(body))
            .await?;
        Ok(made.publishable_key)
    }

    /// From now on it is not known.
    pub async fn delete_publishable_key(
        &self,
        workspace: &str,
        key: &str,
    ) -> Result<DeletedPublishableKey, Error> {
        self.delete(&["workspaces", workspace, "publishable-keys", key], NOTHING)
            .await
    }

    /// The catalog of a workspace's event names.
    pub async fn list_event_types(&self, workspace: &str) -> Result<Vec<Entry>, Error> {
        self.get(&["workspaces", workspace, "event-types"], ALL).await
    }

    /// Puts a name into the catalog.
    pub async fn create_event_type(&self, workspace: &str, body: &CreateEntry) -> Result<Entry, Error> {
        let made: CreatedEventType = self
            .post(&["workspaces", workspace, "event-types"], Some(body))
            .await?;
        Ok(made.event_type)
    }

    /// Changes what the catalog says of it.
    pub async fn update_event_type(
        &self,
        workspace: &str,
        id: &str,
        body: &impl Serialize,
    ) -> Result<Entry, Error> {
        self.put(&["workspaces", workspace, "event-types", id], body)
            .await
    }

    /// Takes it out of the catalog.
    pub async fn delete_event_type(&self, workspace: &str, id: &str) -> Result<DeletedEntry, Error> {
        self.delete(&["workspaces", workspace, "event-types", id], NOTHING)
            .await
    }

    /// The catalog of what a workspace's events are about.
    pub async fn list_resources(&self, workspace: &str) -> Result<Vec<Entry>, Error> {
        self.get(&["workspaces", workspace, "resources"], ALL).await
    }

    /// Puts a resource into the catalog.
    pub async fn create_resource(&self, workspace: &str, body: &CreateEntry) -> Result<Entry, Error> {
        let made: CreatedResource = self
            .post(&["workspaces", workspace, "resources"], Some(body))
            .await?;
        Ok(made.resource)
    }

    /// Changes what the catalog says of it.
    pub async fn update_resource(
        &self,
        workspace: &str,
        id: &str,
        body: &impl Serialize,
    ) -> Result<Entry, Error> {
        self.put(&["workspaces", workspace, "resources", id], body).await
    }

    /// Takes it out of the catalog.
    pub async fn delete_resource(&self, workspace: &str, id: &str) -> Result<DeletedEntry, Error> {
        self.delete(&["workspaces", workspace, "resources", id], NOTHING)
            .await
    }

    /// The counters of the organization, or of one workspace of it.
    pub async fn get_usage(&self, filter: &UsageFilter) -> Result<Usage, Error> {
        self.get(&["usage"], filter).await
    }

    /// The counters of a workspace, and how much of the month's quota is used.
    pub async fn get_workspace_usage(
        &self,
        workspace: &str,
        filter: &UsageFilter,
    ) -> Result<WorkspaceUsage, Error> {
        self.get(&["workspaces", workspace, "usage"], filter).await
    }

    /// What a workspace may do.
    pub async fn get_workspace_limits(&self, workspace: &str) -> Result<Limits, Error> {
        self.get(&["workspaces", workspace, "limits"], ALL).await
    }

    /// Sets limits of a workspace.
    pub async fn put_workspace_limits(
        &self,
        workspace: &str,
        body: &impl Serialize,
    ) -> Result<Limits, Error> {
        self.put(&["workspaces", workspace, "limits"], body).await
    }

    /// What can be connected.
    pub async fn list_integrations(&self) -> Result<List<Integration>, Error> {
        self.get(&["integrations"], ALL).await
    }

    /// The connections of all workspaces.
    pub async fn list_connections(&self) -> Result<List<Connection>, Error> {
        self.get(&["connections"], ALL).await
    }

    /// Connects a destination.
    pub async fn create_connection(&self, body: &CreateConnection) -> Result<Connection, Error> {
        let made: CreatedConnection = self.post(&["connections"], Some(body)).await?;
        Ok(made.connection)
    }

    /// One connection.
    pub async fn get_connection(&self, connection: &str) -> Result<Connection, Error> {
        self.get(&["connections", connection], ALL).await
    }

    /// Changes it. Secrets that are left out stay.
    pub async fn update_connection(
        &self,
        connection: &str,
        body: &impl Serialize,
    ) -> Result<Connection, Error> {
        self.put(&["connections", connection], body).await
    }

    /// 409 while active rules use it, unless `force` deletes them too.
    pub async fn delete_connection(&self, connection: &str, force: bool) -> Result<DeletedConnection, Error> {
        let body = serde_json::json!({"force_delete": force});
        self.delete(&["connections", connection], Some(&body)).await
    }

    /// What there is to pick from at the destination: lists, tags, channels.
    pub async fn get_connection_actions(
        &self,
        connection: &str,
        filter: &ActionFilter,
    ) -> Result<ActionData, Error> {
        self.get(&["connections", connection, "actions"], filter).await
    }

    /// The destination's fields; `refresh` asks the destination anew.
    pub async fn get_connection_fields(
        &self,
        connection: &str,
        refresh: bool,
    ) -> Result<FieldCatalog, Error> {
        let query = serde_json::json!({"refresh": refresh.then_some(true)});
        self.get(&["connections", connection, "fields"], &query).await
    }

    /// How events become the destination's fields.
    pub async fn get_default_mapping(&self, connection: &str) -> Result<DefaultMapping, Error> {
        self.get(&["connections", connection, "mappings", "default"], ALL)
            .await
    }

    /// Writes it. With `expected_version` it is a 409 when somebody else was faster.
    pub async fn put_default_mapping(
        &self,
        connection: &str,
        body: &PutMapping,
    ) -> Result<DefaultMapping, Error> {
        self.put(&["connections", connection, "mappings", "default"], body)
            .await
    }

    /// Asks the destination whether the connection works.
    pub async fn check_connection(&self, connection: &str) -> Result<Connection, Error> {
        self.post(&["connections", connection, "check"], NOTHING).await
    }

    /// The rules of all workspaces.
    pub async fn list_rules(&self, filter: &RuleFilter) -> Result<List<Rule>, Error> {
        self.get(&["rules"], filter).await
    }

    /// Makes a rule; events that are accepted from now on are held against it.
    pub async fn create_rule(&self, body: &CreateRule) -> Result<Rule, Error> {
        let made: CreatedRule = self.post(&["rules"], Some(body)).await?;
        Ok(made.rule)
    }

    /// One rule.
    pub async fn get_rule(&self, rule: &str) -> Result<Rule, Error> {
        self.get(&["rules", rule], ALL).await
    }

    /// Changes it. What is left out stays.
    pub async fn update_rule(&self, rule: &str, body: &impl Serialize) -> Result<Rule, Error> {
        self.put(&["rules", rule], body).await
    }

    /// Deletes it; what waits by it is canceled.
    pub async fn delete_rule(&self, rule: &str) -> Result<DeletedRule, Error> {
        self.delete(&["rules", rule], NOTHING).await
    }

    /// Which of the newest events a rule would take, saved or not.
    pub async fn dry_run_rule(&self, body: &impl Serialize) -> Result<DryRun, Error> {
        self.post(&["rules", "dry-run"], Some(body)).await
    }

    /// One page of events, the newest first.
    pub async fn list_events(&self, filter: &EventFilter) -> Result<List<Event>, Error> {
        self.get(&["events"], filter).await
    }

    /// Events, the newest first, page by page.
    pub fn all_events(
        &self,
        filter: &EventFilter,
    ) -> impl Stream<Item = Result<Event, Error>> + Send + use<> {
        self.all(&["events"], json(filter))
    }

    /// With its rule events.
    pub async fn get_event(&self, event: &str) -> Result<Event, Error> {
        self.get(&["events", event], ALL).await
    }

    /// With its payload.
    pub async fn get_event_payload(&self, event: &str) -> Result<Event, Error> {
        self.get(&["events", event, "payload"], ALL).await
    }

    /// Why each rule matched it, or did not: one page.
    pub async fn explain_event(&self, event: &str, filter: &ExplainFilter) -> Result<List<Explained>, Error> {
        self.get(&["events", event, "explain"], filter).await
    }

    /// Calls all of its deliveries off that have not ended.
    pub async fn cancel_event(&self, event: &str) -> Result<Event, Error> {
        self.post(&["events", event, "cancel"], NOTHING).await
    }

    /// Tries a delivery now; one that has ended is replayed.
    pub async fn retry_rule_event(&self, event: &str, rule: &str) -> Result<RuleEvent, Error> {
        self.post(&["events", event, "rules", rule, "retry"], NOTHING)
            .await
    }

    /// Calls a delivery off.
    pub async fn cancel_rule_event(&self, event: &str, rule: &str) -> Result<RuleEvent, Error> {
        self.post(&["events", event, "rules", rule, "cancel"], NOTHING)
            .await
    }

    /// One page of a delivery's attempts, the newest first.
    pub async fn list_attempts(&self, event: &str, rule: &str, page: &Page) -> Result<List<Attempt>, Error> {
        self.get(&["events", event, "rules", rule, "attempts"], page)
            .await
    }

    /// A delivery's attempts, the newest first, page by page.
    pub fn all_attempts(
        &self,
        event: &str,
        rule: &str,
    ) -> impl Stream<Item = Result<Attempt, Error>> + Send + use<> {
        self.all(&["events", event, "rules", rule, "attempts"], json(ALL))
    }

    /// One attempt.
    pub async fn get_attempt(&self, event: &str, rule: &str, attempt: &str) -> Result<Attempt, Error> {
        self.get(&["events", event, "rules", rule, "attempts", attempt], ALL)
            .await
    }

    /// What the destination answered; kept of attempts that failed.
    pub async fn get_response_details(
        &self,
        event: &str,
        rule: &str,
        attempt: &str,
    ) -> Result<ResponseDetails, Error> {
        let path = [
            "events",
            event,
            "rules",
            rule,
            "attempts",
            attempt,
            "response-details",
        ];
        self.get(&path, ALL).await
    }

    /// One page of replays, the newest first.
    pub async fn list_replays(&self, filter: &ReplayListFilter) -> Result<List<Replay>, Error> {
        self.get(&["replays"], filter).await
    }

    /// Replays, the newest first, page by page.
    pub fn all_replays(
        &self,
        filter: &ReplayListFilter,
    ) -> impl Stream<Item = Result<Replay, Error>> + Send + use<> {
        self.all(&["replays"], json(filter))
    }

    /// Starts a job that tries many deliveries anew.
    pub async fn create_replay(&self, body: &ReplayRequest) -> Result<Replay, Error> {
        let made: CreatedReplay = self.post(&["replays"], Some(body)).await?;
        Ok(made.replay)
    }

    /// How many it would look at.
    pub async fn preview_replay(&self, body: &ReplayRequest) -> Result<ReplayPreview, Error> {
        self.post(&["replays", "preview"], Some(body)).await
    }

    /// How far it is.
    pub async fn get_replay(&self, replay: &str) -> Result<Replay, Error> {
        self.get(&["replays", replay], ALL).await
    }

    /// Stops it for a while.
    pub async fn pause_replay(&self, replay: &str) -> Result<Replay, Error> {
        self.post(&["replays", replay, "pause"], NOTHING).await
    }

    /// Lets it go on.
    pub async fn resume_replay(&self, replay: &str) -> Result<Replay, Error> {
        self.post(&["replays", replay, "resume"], NOTHING).await
    }

    /// Ends it. What was replayed stays so.
    pub async fn cancel_replay(&self, replay: &str) -> Result<Replay, Error> {
        self.post(&["replays", replay, "cancel"], NOTHING).await
    }

    /// One page of a workspace's sessions.
    pub async fn list_sessions(&self, filter: &SessionFilter) -> Result<List<Session>, Error> {
        self.get(&["sessions"], filter).await
    }

    /// A workspace's sessions, page by page.
    pub fn all_sessions(
        &self,
        filter: &SessionFilter,
    ) -> impl Stream<Item = Result<Session, Error>> + Send + use<> {
        self.all(&["sessions"], json(filter))
    }

    /// Opens a session.
    pub async fn create_session(&self, body: &CreateSession) -> Result<GrantedSession, Error> {
        self.post(&["sessions"], Some(body)).await
    }

    /// A new access token; the one before is refused from then on.
    pub async fn refresh_session(&self, session: &str) -> Result<GrantedSession, Error> {
        self.post(&["sessions", session, "refresh"], NOTHING).await
    }

    /// Ends a session.
    pub async fn revoke_session(&self, session: &str) -> Result<Revoked, Error> {
        self.delete(&["sessions", session], NOTHING).await
    }

    /// The machine keys.
    pub async fn list_keys(&self) -> Result<List<Key>, Error> {
        self.get(&["keys"], ALL).await
    }

    /// Makes a machine key. The answer shows its secret, this once.
    pub async fn create_key(&self, body: &CreateKey) -> Result<CreatedKey, Error> {
        self.post(&["keys"], Some(body)).await
    }

    /// Ends a machine key.
    pub async fn revoke_key(&self, access_key: &str) -> Result<Revoked, Error> {
        self.delete(&["keys", access_key], NOTHING).await
    }

    /// Any operation, by the parts of its path below `/api/v1`: for what a newer server has and this client does not
    /// know.
    pub async fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &impl Serialize,
        body: Option<&impl Serialize>,
    ) -> Result<T, Error> {
        self.send(method, path, query, body).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &impl Serialize) -> Result<T, Error> {
        self.send(Method::GET, path, query, NOTHING).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: Option<&impl Serialize>,
    ) -> Result<T, Error> {
        self.send(Method::POST, path, ALL, body).await
    }

    async fn put<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, Error> {
        self.send(Method::PUT, path, ALL, Some(body)).await
    }

    async fn delete<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: Option<&impl Serialize>,
    ) -> Result<T, Error> {
        self.send(Method::DELETE, path, ALL, body).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &impl Serialize,
        body: Option<&impl Serialize>,
    ) -> Result<T, Error> {
        let body = body.map(json).transpose()?;
        // A change of one version is not the same when it comes a second time.
        let versioned = body
            .as_ref()
            .is_some_and(|body| body.get("expected_version").is_some());
        let mut url = self.transport.url(path)?;
        ask(&mut url, &json(query)?);
        let outgoing = Outgoing {
            url,
            body: body.map(|body| body.to_string()),
            idempotency_key: None,
            repeatable: method == Method::GET || method == Method::PUT && !versioned,
            method,
        };
        self.transport.send(&outgoing).await
    }

    /// Every record of a list that comes in pages; a page is asked for when the one before has been read.
    fn all<T: DeserializeOwned + Send>(
        &self,
        path: &[&str],
        filter: Result<Value, Error>,
    ) -> impl Stream<Item = Result<T, Error>> + Send + use<T> {
        let path: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
        let first = (self.clone(), path, filter, Vec::new().into_iter(), true);
        try_unfold(first, |(client, path, query, mut records, more)| async move {
            let mut query = query?;
            let mut more = more;
            loop {
                if let Some(record) = records.next() {
                    return Ok(Some((record, (client, path, Ok(query), records, more))));
                }
                if !more {
                    return Ok(None);
                }
                let parts: Vec<&str> = path.iter().map(String::as_str).collect();
                let page: List<T> = client.get(&parts, &query).await?;
                records = page.records.into_iter();
                more = page.next_cursor.is_some();
                if !query.is_object() {
                    query = Value::Object(Object::new());
                }
                query["cursor"] = page.next_cursor.into();
            }
        })
    }
}

fn json(value: &impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(value).map_err(|error| Error::new("invalid_setting", error.to_string()))
}

/// Puts what a filter names behind the `?`.
fn ask(url: &mut reqwest::Url, filter: &Value) {
    let named = filter.as_object().into_iter().flatten();
    let named = named.filter(|(_, value)| !value.is_null() && value.as_str() != Some(""));
    let pairs: Vec<_> = named
        .map(|(name, value)| match value {
            Value::String(text) => (name, text.clone()),
            other => (name, other.to_string()),
        })
        .collect();
    if !pairs.is_empty() {
        url.query_pairs_mut().extend_pairs(pairs);
    }
}
