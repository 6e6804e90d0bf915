/** Everything but emitting. */

import { Api, type Carried } from "./api.js";
import { type MachineKey, accessToken, machineKey } from "./credentials.js";
import {
  Attempts,
  Connections,
  EventTypes,
  Events,
  Integrations,
  Keys,
  PublishableKeys,
  Replays,
  Resources,
  Rules,
  Sessions,
  Usage,
  Workspaces,
} from "./resources.js";
import { realTiming } from "./timing.js";
import { type ClientOptions, type RequestOptions, Transport } from "./transport.js";

/** The access token of an embed session, which opens what the session may. */
export interface AccessToken {
  accessToken: string;
}

/**
 * Manages workspaces, connections and rules, and reads what became of events. For servers: only emitting answers
 * to pages of another origin.
 *
 * What reads or replaces (`GET`, `PUT`) is retried like an `emit`; anything else only when the server has said that
 * nothing was done.
 *
 * ```ts
 * const heddle = new ManagementClient({ organizationId, accessKey, secretKey }, { apiBaseUrl });
 * for await (const event of heddle.events.all({ status: "failed" })) console.log(event.id, event.event);
 * ```
 */
export class ManagementClient {
  readonly attempts: Attempts;
  readonly connections: Connections;
  readonly events: Events;
  readonly eventTypes: EventTypes;
  readonly integrations: Integrations;
  readonly keys: Keys;
  readonly publishableKeys: PublishableKeys;
  readonly replays: Replays;
  readonly resources: Resources;
  readonly rules: Rules;
  readonly sessions: Sessions;
  readonly usage: Usage;
  readonly workspaces: Workspaces;
  readonly #api: Api;

  constructor(credential: MachineKey | AccessToken, options: ClientOptions) {
    const proof =
      "accessToken" in credential
        ? accessToken(credential.accessToken)
        : machineKey(credential, options.timing ?? realTiming);
    const api = new Api(new Transport(proof, options));
    this.#api = api;
    this.attempts = new Attempts(api);
    this.connections = new Connections(api);
    this.events = new Events(api);
    this.eventTypes = new EventTypes(api);
    this.integrations = new Integrations(api);
    this.keys = new Keys(api);
    this.publishableKeys = new PublishableKeys(api);
    this.replays = new Replays(api);
    this.resources = new Resources(api);
    this.rules = new Rules(api);
    this.sessions = new Sessions(api);
    this.usage = new Usage(api);
    this.workspaces = new Workspaces(api);
  }

  /** Any operation, by its path below `/api/v1`: for what a newer server has and this client does not know. */
  async request<T = unknown>(
    method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
    path: string,
    carried: Carried = {},
    options?: RequestOptions,
  ): Promise<T> {
    if (!path.startsWith("/")) throw new TypeError("the path must begin with /");
    return (await this.#api.send(method, path, carried, options)) as T;
  }
}
