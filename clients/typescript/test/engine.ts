// What the tests know of the server that runs: its address, a machine key, and ways to look at it that are not
// the client's own.

import { createHmac } from "node:crypto";
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";

import type { MachineKey, Timing } from "@heddle/client";

export const base = process.env.HEDDLE_BASE!;
const made = JSON.parse(process.env.HEDDLE_KEYS!) as Record<string, string>;
export const keys: MachineKey = {
  organizationId: made.organization_id!,
  accessKey: made.access_key!,
  secretKey: made.secret_key!,
};

/** A request that the client has no part in. */
export async function raw(method: string, path: string, body?: unknown): Promise<any> {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const claims = { iss: `urn:heddle:m2m:${keys.accessKey}`, aud: "heddle-api", org: keys.organizationId };
  const signed = `${part({ alg: "HS256", typ: "JWT", kid: keys.accessKey })}.${part({ ...claims, iat: now, exp: now + 30 })}`;
  const signature = createHmac("sha256", keys.secretKey).update(signed).digest("base64url");
  const answer = await fetch(`${base}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${signed}.${signature}`, "content-type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

let number = 0;

/** A new workspace and its publishable key. */
export async function workspace(): Promise<{ id: string; key: string }> {
  number += 1;
  const { workspace } = await raw("POST", "/workspaces", { name: `Client ${process.pid} ${number}` });
  const { publishable_key } = await raw("GET", `/workspaces/${workspace.id}`);
  return { id: workspace.id, key: publishable_key.public_key };
}

/** All events of a workspace, the newest first. */
export async function history(id: string): Promise<any[]> {
  const events: any[] = [];
  for (let cursor = ""; ; ) {
    const page = await raw("GET", `/workspaces/${id}/events?limit=200${cursor && `&cursor=${cursor}`}`);
    events.push(...page.records);
    if (page.next_cursor === null) return events;
    cursor = page.next_cursor;
  }
}

/**
 * Time that flies: whatever is waited for comes at once, but for the waits named in `held`, such as the time limit
 * of requests, which come when the test says so.
 */
export class Clock implements Timing {
  /** What was waited for, in milliseconds. */
  readonly waits: number[] = [];
  #held: Map<number, Set<() => void>>;

  constructor(held: number[] = [5_000]) {
    this.#held = new Map(held.map((wait) => [wait, new Set()]));
  }

  now(): number {
    return Date.now();
  }

  random(): number {
    return 0;
  }

  after(milliseconds: number, run: () => void): () => void {
    const held = this.#held.get(milliseconds);
    if (held) {
      held.add(run);
      return () => held.delete(run);
    }
    this.waits.push(milliseconds);
    const soon = setImmediate(run);
    return () => clearImmediate(soon);
  }

  /** How many of these waits are under way. */
  holding(milliseconds: number): number {
    return this.#held.get(milliseconds)!.size;
  }

  /** The time of these waits has come. */
  fire(milliseconds: number): void {
    const held = this.#held.get(milliseconds)!;
    const runs = [...held];
    held.clear();
    for (const run of runs) run();
  }
}

/** What a troubled network does with a request. */
export type Trouble = "pass" | "lose the request" | "lose the answer" | { status: number; headers?: Record<string, string>; body?: string };

export interface Seen {
  path: string;
  headers: IncomingMessage["headers"];
  body: string;
}

/** Stands between client and server and does to each request what `trouble` says. */
export async function network(trouble: (place: number) => Trouble) {
  const seen: Seen[] = [];
  const proxy = createServer(async (request: IncomingMessage, response: ServerResponse) => {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const body = Buffer.concat(parts).toString();
    seen.push({ path: request.url!, headers: request.headers, body });
    const what = trouble(seen.length - 1);
    if (what === "lose the request") return void request.socket.destroy();
    if (typeof what === "object") return void response.writeHead(what.status, what.headers).end(what.body);
    const { host: _, connection: __, "content-length": ___, "transfer-encoding": ____, ...headers } = request.headers;
    const answer = await fetch(`${base}${request.url}`, {
      method: request.method,
      headers: headers as Record<string, string>,
      body: body || undefined,
    });
    const text = await answer.text();
    if (what === "lose the answer") return void request.socket.destroy();
    response.writeHead(answer.status, { "content-type": "application/json" }).end(text);
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const { port } = proxy.address() as AddressInfo;
  return {
    base: `http://127.0.0.1:${port}`,
    seen,
    [Symbol.asyncDispose]: async () => {
      proxy.closeAllConnections();
      proxy.close();
    },
  };
}
