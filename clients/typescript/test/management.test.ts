import assert from "node:assert/strict";
import { type IncomingMessage, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { inspect } from "node:util";

import { EventsClient, HeddleError, ManagementClient, type Schemas } from "@heddle/client";

import { Clock, base, keys, network, workspace } from "./engine.js";

const payload = { email: "nina@academyflow.io" };
const heddle = new ManagementClient(keys, { apiBaseUrl: base });

/** A destination that answers with this status. */
async function destination(status: () => number) {
  const received: unknown[] = [];
  const server = createServer(async (request: IncomingMessage, response) => {
    let body = "";
    for await (const part of request) body += part;
    received.push(JSON.parse(body));
    response.writeHead(status()).end("said the destination");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    received,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** Reads an event until it has this status. */
async function eventually(id: string, status: Schemas["Status"]): Promise<Schemas["Event"]> {
  for (const deadline = Date.now() + 20_000; ; ) {
    const event = await heddle.events.get(id);
    if (event.status === status) return event;
    assert.ok(Date.now() < deadline, `event ${id} is ${event.status}, and not ${status}`);
  }
}

async function all<T>(records: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const record of records) found.push(record);
  return found;
}

test("from a workspace to a delivery that failed, was looked at and tried again", async () => {
  let status = 400;
  await using endpoint = await destination(() => status);
  const made = await heddle.workspaces.create({ name: `Whole ${process.pid}` });
  const { id, publishable_key } = await heddle.workspaces.get(made.workspace.id);
  const { connection } = await heddle.connections.create({
    workspace: id,
    type: "webhook",
    name: "Course platform",
    metadata: { url: endpoint.url, skip_url_test: true },
  });
  const { rule } = await heddle.rules.create({
    workspace: id,
    connection: connection.id,
    event: "lesson.*",
    metadata: { action: "send_webhook" },
    condition: "payload.lesson == 'Hooks'",
  });
  assert.deepEqual((await heddle.workspaces.rules(id)).records.map((known) => known.id), [rule.id]);

  const events = new EventsClient(publishable_key!.public_key, { apiBaseUrl: base });
  const { event } = await events.emit({ event: "lesson.completed", payload: { ...payload, lesson: "Hooks" } });
  const failed = await eventually(event.id, "failed");
  assert.equal(failed.rule_events![0]!.rule, rule.id);
  const [attempt, ...more] = await all(heddle.attempts.all(event.id, rule.id));
  assert.deepEqual([attempt!.outcome_code, attempt!.status_code, more], ["rejected_client_error", 400, []]);
  assert.equal((await heddle.attempts.get(event.id, rule.id, attempt!.id)).id, attempt!.id);
  const details = await heddle.attempts.responseDetails(event.id, rule.id, attempt!.id);
  assert.equal(details.body, "said the destination");
  const [explained] = await all(heddle.events.explainAll(event.id, { matched: true }));
  assert.ok(explained);

  status = 204;
  await heddle.events.retryRule(event.id, rule.id);
  await eventually(event.id, "completed");
  assert.equal(endpoint.received.length, 2);
  assert.equal((await heddle.events.payload(event.id)).payload?.lesson, "Hooks");

  const refused = await heddle.connections.delete(connection.id).catch((error: HeddleError) => error);
  assert.ok(refused instanceof HeddleError && refused.code === "has_active_rules");
  assert.deepEqual(await heddle.connections.delete(connection.id, { force_delete: true }), {
    id: connection.id,
    type: "webhook",
  });
  assert.equal((await heddle.workspaces.delete(id, { confirm: made.workspace.name })).id, id);
  const gone = await heddle.workspaces.get(id).catch((error: HeddleError) => error);
  assert.ok(gone instanceof HeddleError && gone.code === "not_found");
});

test("lists are read page by page, to the end or until nobody reads on", async () => {
  const { id, key } = await workspace();
  await using between = await network(() => "pass");
  const events = new EventsClient(key, { apiBaseUrl: base });
  await events.emitBatch(Array.from({ length: 7 }, (_, n) => ({ event: `event.${n}`, payload })));
  const watched = new ManagementClient(keys, { apiBaseUrl: between.base });
  const names = (await all(watched.workspaces.allEvents(id, { limit: 3 }))).map(({ event }) => event);
  assert.deepEqual(names.sort(), [0, 1, 2, 3, 4, 5, 6].map((n) => `event.${n}`));
  assert.equal(between.seen.length, 3);
  for await (const { event } of watched.events.all({ limit: 2, event: "event.3" })) {
    assert.equal(event, "event.3");
    break;
  }
  assert.equal(between.seen.length, 4);
  const first = await heddle.workspaces.events(id, { limit: 5, status: "completed" });
  const second = await heddle.workspaces.events(id, { limit: 5, cursor: first.next_cursor! });
  assert.deepEqual([first.count, second.count, second.next_cursor], [5, 2, null]);
});

test("a replay is made, watched and called off", async () => {
  const { id } = await workspace();
  assert.deepEqual(await heddle.replays.preview({ workspace: id }), { count: 0, exact: true });
  const { replay } = await heddle.replays.create({ workspace: id, paused: true });
  assert.equal((await heddle.replays.get(replay.id)).status, "paused");
  assert.equal((await heddle.replays.cancel(replay.id)).status, "canceled");
  assert.deepEqual((await all(heddle.replays.all({ workspace: id }))).map((known) => known.id), [replay.id]);
});

test("the access token of a session opens what the session may, until it is replaced", async () => {
  const { id } = await workspace();
  const { session_id, access_token } = await heddle.sessions.create({ workspace_id: id, role: "admin" });
  const session = new ManagementClient({ accessToken: access_token }, { apiBaseUrl: base });
  assert.equal((await session.workspaces.events(id)).count, 0);
  const other = await workspace();
  const outside = await session.workspaces.get(other.id).catch((error: HeddleError) => error);
  assert.ok(outside instanceof HeddleError, "the other workspace was shown");
  await heddle.sessions.refresh(session_id);
  const old = await session.workspaces.events(id).catch((error: HeddleError) => error);
  assert.ok(old instanceof HeddleError && old.code === "token_replaced");
  assert.deepEqual(await heddle.sessions.revoke(session_id), { revoked: true });
  assert.deepEqual((await all(heddle.sessions.all({ workspace_id: id }))).map(({ status }) => status), ["revoked"]);
});

test("a machine key that was made works until it is revoked", async () => {
  const { id } = await workspace();
  const made = await heddle.keys.create({ name: "reader", permissions: ["events:read"], workspaces: [id] });
  const { organizationId } = keys;
  const key = { organizationId, accessKey: made.key.access_key, secretKey: made.secret_key };
  const reader = new ManagementClient(key, { apiBaseUrl: base });
  assert.equal((await reader.events.list()).count, 0);
  await heddle.keys.revoke(key.accessKey);
  const refused = await reader.events.list().catch((error: HeddleError) => error);
  assert.ok(refused instanceof HeddleError && refused.status === 401);
});

test("a publishable key is exchanged", async () => {
  const { id, key } = await workspace();
  const { publishable_key } = await heddle.publishableKeys.create(id, { name: "second", overlap_seconds: 0 });
  const emit = (key: string) => new EventsClient(key, { apiBaseUrl: base }).emit({ event: "a", payload });
  await emit(publishable_key.public_key!);
  const old = await emit(key).catch((error: HeddleError) => error);
  assert.ok(old instanceof HeddleError && old.status === 401);
  await heddle.publishableKeys.delete(id, publishable_key.id);
  assert.deepEqual((await heddle.publishableKeys.list(id)).records.map(({ status }) => status), ["expired"]);
});

test("usage is counted, and limits are set", async () => {
  const { id, key } = await workspace();
  await new EventsClient(key, { apiBaseUrl: base }).emit({ event: "a", payload });
  assert.equal((await heddle.usage.ofWorkspace(id)).total.events, 1);
  assert.equal((await heddle.usage.get({ workspace: id })).total.events, 1);
  await heddle.usage.setLimits(id, { events_per_month: 1 });
  assert.equal((await heddle.usage.limits(id)).limits.events_per_month, 1);
  const clock = new Clock();
  const more = new EventsClient(key, { apiBaseUrl: base, timing: clock }).emit({ event: "a", payload });
  const error = await more.catch((error: HeddleError) => error);
  assert.ok(error instanceof HeddleError);
  // The quota begins anew next month, for which no client waits.
  assert.deepEqual([error.status, error.code, error.attempts], [429, "quota_exceeded", 1]);
});

test("the catalog of a workspace can be written", async () => {
  const { id } = await workspace();
  const { event_type } = await heddle.eventTypes.create(id, { key: "order.paid" });
  await heddle.eventTypes.update(id, event_type.id, { label: "Order paid" });
  const labels = (await heddle.eventTypes.list(id)).map(({ label }) => label);
  assert.ok(labels.includes("Order paid"), String(labels));
  await heddle.eventTypes.delete(id, event_type.id);
  assert.ok(!(await heddle.eventTypes.list(id)).some(({ key }) => key === "order.paid"));
});

test("what reads is repeated after a lost answer, and what acts is not", async () => {
  await using between = await network((place) => (place % 2 === 0 ? "lose the answer" : "pass"));
  const watched = new ManagementClient(keys, { apiBaseUrl: between.base, timing: new Clock() });
  await watched.workspaces.list();
  assert.equal(between.seen.length, 2);
  const error = await watched.workspaces.create({ name: `Once ${process.pid}` }).catch((error: HeddleError) => error);
  assert.ok(error instanceof HeddleError);
  assert.deepEqual([error.code, error.attempts, between.seen.length], ["network_error", 1, 3]);
});

test("what acts is repeated when the server says that nothing was done", async () => {
  const answers = [
    { status: 503, headers: { "retry-after": "1" }, body: '{"code":"unavailable"}' },
    { status: 429, headers: { "retry-after": "2" }, body: '{"code":"rate_limited"}' },
  ];
  await using between = await network((place) => answers[place] ?? "pass");
  const clock = new Clock();
  const watched = new ManagementClient(keys, { apiBaseUrl: between.base, timing: clock });
  await watched.workspaces.create({ name: `Twice ${process.pid}` });
  assert.deepEqual(clock.waits, [1_000, 2_000]);
});

test("each request has a token of its own that lives for 30 seconds", async () => {
  await using between = await network(() => "pass");
  let now = Date.now();
  const clock = Object.assign(new Clock(), { now: () => now });
  const watched = new ManagementClient(keys, { apiBaseUrl: between.base, timing: clock });
  await watched.workspaces.list();
  now += 2_000;
  await watched.workspaces.list();
  const claims = between.seen.map(({ headers }) => {
    const [, part] = headers.authorization!.split(".");
    return JSON.parse(Buffer.from(part!, "base64url").toString());
  });
  assert.deepEqual(claims.map(({ iat, exp }) => exp - iat), [30, 30]);
  assert.equal(claims[1].iat - claims[0].iat, 2);
});

test("ids cannot lead to other paths", async () => {
  const seen: string[] = [];
  const watching: typeof fetch = async (input) => {
    seen.push(String(input));
    return new Response("{}");
  };
  const watched = new ManagementClient(keys, { apiBaseUrl: base, fetch: watching });
  await watched.rules.get("../keys?a=b#c");
  assert.deepEqual(seen, [`${base}/api/v1/rules/..%2Fkeys%3Fa%3Db%23c`]);
  for (const wrong of ["", ".", "..", undefined]) {
    assert.throws(() => watched.rules.delete(wrong as string), TypeError);
  }
});

test("any path can be asked for, for what the client does not know yet", async () => {
  const { id } = await workspace();
  const list = await heddle.request<Schemas["EventList"]>("GET", "/events", { query: { limit: 1, event: undefined } });
  assert.equal(list.limit, 1);
  const renamed = await heddle.request<{ name: string }>("PUT", `/workspaces/${id}`, { body: { name: "Renamed" } });
  assert.equal(renamed.name, "Renamed");
});

test("a printed client shows no secret", () => {
  assert.ok(!inspect(heddle, { depth: 9, showHidden: true }).includes(keys.secretKey));
});
