/** The API's operations, by the kind of thing that they are about. What they take and give is in the OpenAPI document. */

import { type Api, type Body, type Filter, type Query, path } from "./api.js";
import type { RequestOptions } from "./transport.js";

abstract class Resource {
  protected declare readonly api: Api;

  constructor(api: Api) {
    // Not enumerable: a client that is printed does not show its insides.
    Object.defineProperty(this, "api", { value: api });
  }
}

/** The tenant boundary: one for each of a product's customers. */
export class Workspaces extends Resource {
  list(options?: RequestOptions) {
    return this.api.get<"listWorkspaces">("/workspaces", options);
  }

  create(body: Body<"createWorkspace">, options?: RequestOptions) {
    return this.api.post<"createWorkspace">("/workspaces", body, options);
  }

  /** With its publishable key. */
  get(workspace: string, options?: RequestOptions) {
    return this.api.get<"getWorkspace">(path`/workspaces/${workspace}`, options);
  }

  update(workspace: string, body: Body<"updateWorkspace">, options?: RequestOptions) {
    return this.api.put<"updateWorkspace">(path`/workspaces/${workspace}`, body, options);
  }

  /** For good, with all that it has; `confirm` is its name. */
  delete(workspace: string, body: Body<"deleteWorkspace">, options?: RequestOptions) {
    return this.api.delete<"deleteWorkspace">(path`/workspaces/${workspace}`, options, body);
  }

  connections(workspace: string, options?: RequestOptions) {
    return this.api.get<"listWorkspaceConnections">(path`/workspaces/${workspace}/connections`, options);
  }

  rules(workspace: string, query?: Query<"listWorkspaceRules">, options?: RequestOptions) {
    return this.api.get<"listWorkspaceRules">(path`/workspaces/${workspace}/rules`, options, query);
  }

  /** One page of its events, the newest first. */
  events(workspace: string, query?: Query<"listWorkspaceEvents">, options?: RequestOptions) {
    return this.api.get<"listWorkspaceEvents">(path`/workspaces/${workspace}/events`, options, query);
  }

  /** Its events, the newest first, page by page. */
  allEvents(workspace: string, filter?: Filter<"listWorkspaceEvents">, options?: RequestOptions) {
    return this.api.all<"listWorkspaceEvents">(path`/workspaces/${workspace}/events`, filter, options);
  }
}

/** What pages emit with. */
export class PublishableKeys extends Resource {
  list(workspace: string, options?: RequestOptions) {
    return this.api.get<"listPublishableKeys">(path`/workspaces/${workspace}/publishable-keys`, options);
  }

  /** The others stay good, for as long as `overlap_seconds` says. */
  create(workspace: string, body?: Body<"createPublishableKey">, options?: RequestOptions) {
    return this.api.post<"createPublishableKey">(path`/workspaces/${workspace}/publishable-keys`, body, options);
  }

  delete(workspace: string, publishableKey: string, options?: RequestOptions) {
    return this.api.delete<"deletePublishableKey">(
      path`/workspaces/${workspace}/publishable-keys/${publishableKey}`,
      options,
    );
  }
}

/** Counters, and what a workspace may do. */
export class Usage extends Resource {
  /** Of the organization, or of one workspace, by day. */
  get(query?: Query<"getUsage">, options?: RequestOptions) {
    return this.api.get<"getUsage">("/usage", options, query);
  }

  ofWorkspace(workspace: string, query?: Query<"getWorkspaceUsage">, options?: RequestOptions) {
    return this.api.get<"getWorkspaceUsage">(path`/workspaces/${workspace}/usage`, options, query);
  }

  limits(workspace: string, options?: RequestOptions) {
    return this.api.get<"getWorkspaceLimits">(path`/workspaces/${workspace}/limits`, options);
  }

  setLimits(workspace: string, body: Body<"putWorkspaceLimits">, options?: RequestOptions) {
    return this.api.put<"putWorkspaceLimits">(path`/workspaces/${workspace}/limits`, body, options);
  }
}

/** The catalog of a workspace's event names. It describes and does not restrict. */
export class EventTypes extends Resource {
  list(workspace: string, options?: RequestOptions) {
    return this.api.get<"listEventTypes">(path`/workspaces/${workspace}/event-types`, options);
  }

  create(workspace: string, body: Body<"createEventType">, options?: RequestOptions) {
    return this.api.post<"createEventType">(path`/workspaces/${workspace}/event-types`, body, options);
  }

  update(workspace: string, eventType: string, body: Body<"updateEventType">, options?: RequestOptions) {
    return this.api.put<"updateEventType">(path`/workspaces/${workspace}/event-types/${eventType}`, body, options);
  }

  delete(workspace: string, eventType: string, options?: RequestOptions) {
    return this.api.delete<"deleteEventType">(path`/workspaces/${workspace}/event-types/${eventType}`, options);
  }
}

/** The catalog of what a workspace's events are about. */
export class Resources extends Resource {
  list(workspace: string, options?: RequestOptions) {
    return this.api.get<"listResources">(path`/workspaces/${workspace}/resources`, options);
  }

  create(workspace: string, body: Body<"createResource">, options?: RequestOptions) {
    return this.api.post<"createResource">(path`/workspaces/${workspace}/resources`, body, options);
  }

  update(workspace: string, resource: string, body: Body<"updateResource">, options?: RequestOptions) {
    return this.api.put<"updateResource">(path`/workspaces/${workspace}/resources/${resource}`, body, options);
  }

  delete(workspace: string, resource: string, options?: RequestOptions) {
    return this.api.delete<"deleteResource">(path`/workspaces/${workspace}/resources/${resource}`, options);
  }
}

/** What can be connected. */
export class Integrations extends Resource {
  list(options?: RequestOptions) {
    return this.api.get<"listIntegrations">("/integrations", options);
  }
}

/** Configured destinations. */
export class Connections extends Resource {
  list(options?: RequestOptions) {
    return this.api.get<"listConnections">("/connections", options);
  }

  create(body: Body<"createConnection">, options?: RequestOptions) {
    return this.api.post<"createConnection">("/connections", body, options);
  }

  get(connection: string, options?: RequestOptions) {
    return this.api.get<"getConnection">(path`/connections/${connection}`, options);
  }

  /** Secrets that are left out stay. */
  update(connection: string, body: Body<"updateConnection">, options?: RequestOptions) {
    return this.api.put<"updateConnection">(path`/connections/${connection}`, body, options);
  }

  /** 409 while active rules use it, unless `force_delete` deletes them too. */
  delete(connection: string, body?: Body<"deleteConnection">, options?: RequestOptions) {
    return this.api.delete<"deleteConnection">(path`/connections/${connection}`, options, body);
  }

  /** What there is to pick from at the destination: lists, tags, channels. */
  actions(connection: string, query?: Query<"getConnectionActions">, options?: RequestOptions) {
    return this.api.get<"getConnectionActions">(path`/connections/${connection}/actions`, options, query);
  }

  /** The destination's fields. */
  fields(connection: string, query?: Query<"getConnectionFields">, options?: RequestOptions) {
    return this.api.get<"getConnectionFields">(path`/connections/${connection}/fields`, options, query);
  }

  defaultMapping(connection: string, options?: RequestOptions) {
    return this.api.get<"getDefaultMapping">(path`/connections/${connection}/mappings/default`, options);
  }

  setDefaultMapping(connection: string, body: Body<"putDefaultMapping">, options?: RequestOptions) {
    return this.api.put<"putDefaultMapping">(path`/connections/${connection}/mappings/default`, body, options);
  }

  /** Asks the destination whether the connection works. */
  check(connection: string, options?: RequestOptions) {
    return this.api.post<"checkConnection">(path`/connections/${connection}/check`, undefined, options);
  }
}

/** Which events go where. */
export class Rules extends Resource {
  list(query?: Query<"listRules">, options?: RequestOptions) {
    return this.api.get<"listRules">("/rules", options, query);
  }

  create(body: Body<"createRule">, options?: RequestOptions) {
    return this.api.post<"createRule">("/rules", body, options);
  }

  get(rule: string, options?: RequestOptions) {
    return this.api.get<"getRule">(path`/rules/${rule}`, options);
  }

  /** What is left out stays. */
  update(rule: string, body: Body<"updateRule">, options?: RequestOptions) {
    return this.api.put<"updateRule">(path`/rules/${rule}`, body, options);
  }

  delete(rule: string, options?: RequestOptions) {
    return this.api.delete<"deleteRule">(path`/rules/${rule}`, options);
  }

  /** Which of the newest events a rule would take, saved or not. */
  dryRun(body: Body<"dryRunRule">, options?: RequestOptions) {
    return this.api.post<"dryRunRule">("/rules/dry-run", body, options);
  }
}

/** What was emitted, and its deliveries, which are called rule events here. */
export class Events extends Resource {
  /** One page, the newest first. */
  list(query?: Query<"listEvents">, options?: RequestOptions) {
    return this.api.get<"listEvents">("/events", options, query);
  }

  /** The newest first, page by page. */
  all(filter?: Filter<"listEvents">, options?: RequestOptions) {
    return this.api.all<"listEvents">("/events", filter, options);
  }

  /** With its rule events. */
  get(event: string, options?: RequestOptions) {
    return this.api.get<"getEvent">(path`/events/${event}`, options);
  }

  payload(event: string, options?: RequestOptions) {
    return this.api.get<"getEventPayload">(path`/events/${event}/payload`, options);
  }

  /** Why each rule matched it, or did not: one page. */
  explain(event: string, query?: Query<"explainEvent">, options?: RequestOptions) {
    return this.api.get<"explainEvent">(path`/events/${event}/explain`, options, query);
  }

  /** The same, page by page. */
  explainAll(event: string, filter?: Filter<"explainEvent">, options?: RequestOptions) {
    return this.api.all<"explainEvent">(path`/events/${event}/explain`, filter, options);
  }

  /** Calls all of its deliveries off that have not ended. */
  cancel(event: string, options?: RequestOptions) {
    return this.api.post<"cancelEvent">(path`/events/${event}/cancel`, undefined, options);
  }

  /** Tries a delivery now; one that has ended is replayed. 425 when it is about to be tried anyway. */
  retryRule(event: string, rule: string, options?: RequestOptions) {
    return this.api.post<"retryRuleEvent">(path`/events/${event}/rules/${rule}/retry`, undefined, options);
  }

  cancelRule(event: string, rule: string, options?: RequestOptions) {
    return this.api.post<"cancelRuleEvent">(path`/events/${event}/rules/${rule}/cancel`, undefined, options);
  }
}

/** How a delivery was tried. */
export class Attempts extends Resource {
  /** One page, the newest first. */
  list(event: string, rule: string, query?: Query<"listAttempts">, options?: RequestOptions) {
    return this.api.get<"listAttempts">(path`/events/${event}/rules/${rule}/attempts`, options, query);
  }

  /** The newest first, page by page. */
  all(event: string, rule: string, filter?: Filter<"listAttempts">, options?: RequestOptions) {
    return this.api.all<"listAttempts">(path`/events/${event}/rules/${rule}/attempts`, filter, options);
  }

  get(event: string, rule: string, attempt: string, options?: RequestOptions) {
    return this.api.get<"getAttempt">(path`/events/${event}/rules/${rule}/attempts/${attempt}`, options);
  }

  /** What the destination answered; kept of attempts that failed. */
  responseDetails(event: string, rule: string, attempt: string, options?: RequestOptions) {
    return this.api.get<"getResponseDetails">(
      path`/events/${event}/rules/${rule}/attempts/${attempt}/response-details`,
      options,
    );
  }
}

/** Many deliveries tried anew, by a job that outlasts restarts. */
export class Replays extends Resource {
  /** One page, the newest first. */
  list(query?: Query<"listReplays">, options?: RequestOptions) {
    return this.api.get<"listReplays">("/replays", options, query);
  }

  /** The newest first, page by page. */
  all(filter?: Filter<"listReplays">, options?: RequestOptions) {
    return this.api.all<"listReplays">("/replays", filter, options);
  }

  create(body: Body<"createReplay">, options?: RequestOptions) {
    return this.api.post<"createReplay">("/replays", body, options);
  }

  /** How many it would look at. */
  preview(body: Body<"previewReplay">, options?: RequestOptions) {
    return this.api.post<"previewReplay">("/replays/preview", body, options);
  }

  get(replay: string, options?: RequestOptions) {
    return this.api.get<"getReplay">(path`/replays/${replay}`, options);
  }

  pause(replay: string, options?: RequestOptions) {
    return this.api.post<"pauseReplay">(path`/replays/${replay}/pause`, undefined, options);
  }

  resume(replay: string, options?: RequestOptions) {
    return this.api.post<"resumeReplay">(path`/replays/${replay}/resume`, undefined, options);
  }

  cancel(replay: string, options?: RequestOptions) {
    return this.api.post<"cancelReplay">(path`/replays/${replay}/cancel`, undefined, options);
  }
}

/** Pages embedded in a product. */
export class Sessions extends Resource {
  /** One page of a workspace's sessions. */
  list(query: Query<"listSessions">, options?: RequestOptions) {
    return this.api.get<"listSessions">("/sessions", options, query);
  }

  /** A workspace's sessions, page by page. */
  all(filter: Filter<"listSessions">, options?: RequestOptions) {
    return this.api.all<"listSessions">("/sessions", filter, options);
  }

  create(body: Body<"createSession">, options?: RequestOptions) {
    return this.api.post<"createSession">("/sessions", body, options);
  }

  /** A new access token; the one before is refused from then on. */
  refresh(session: string, options?: RequestOptions) {
    return this.api.post<"refreshSession">(path`/sessions/${session}/refresh`, undefined, options);
  }

  revoke(session: string, options?: RequestOptions) {
    return this.api.delete<"revokeSession">(path`/sessions/${session}`, options);
  }
}

/** Machine keys. */
export class Keys extends Resource {
  list(options?: RequestOptions) {
    return this.api.get<"listKeys">("/keys", options);
  }

  /** The answer shows the secret, this once. */
  create(body: Body<"createKey">, options?: RequestOptions) {
    return this.api.post<"createKey">("/keys", body, options);
  }

  revoke(accessKey: string, options?: RequestOptions) {
    return this.api.delete<"revokeKey">(path`/keys/${accessKey}`, options);
  }
}
