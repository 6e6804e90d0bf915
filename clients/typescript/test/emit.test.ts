import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";

import { EventsClient, HeddleError, isAccepted } from "@heddle/client";

import { Clock, base, history, keys, network, raw, workspace } from "./engine.js";

const payload = { email: "nina@academyflow.io" };

async function failure(call: Promise<unknown>): Promise<HeddleError> {
  const error = await call.then(
    () => assert.fail("it succeeded"),
    (error: unknown) => error,
  );
  assert.ok(error instanceof HeddleError, String(error));
  return error;
}

test("an event emitted with a publishable key is in the workspace's history", async () => {
  const { id, key } = await workspace();
  const events = new EventsClient(key, { apiBaseUrl: base });
  const { event } = await events.emit({ event: "lesson.completed", payload, resource: "course", resource_id: "c1" });
  assert.equal(event.workspace, id);
  const read = await raw("GET", `/events/${event.id}/payload`);
  assert.deepEqual(
    [read.event, read.resource, read.resource_id, read.payload],
    ["lesson.completed", "course", "c1", payload],
  );
});

test("a machine key emits into the workspace of the client, or of the event", async () => {
  const [first, second] = [await workspace(), await workspace()];
  const events = new EventsClient(keys, { apiBaseUrl: `${base}/api/v1/`, workspace: first.id });
  assert.equal((await events.emit({ event: "a", payload })).event.workspace, first.id);
  assert.equal((await events.emit({ event: "a", payload, workspace: second.id })).event.workspace, second.id);
});

test("an event whose answer was lost is sent again and accepted once", async () => {
  const { id, key } = await workspace();
  await using between = await network((place) => (place < 2 ? "lose the answer" : "pass"));
  const clock = new Clock();
  const events = new EventsClient(key, { apiBaseUrl: between.base, timing: clock });
  const { event } = await events.emit({ event: "order.paid", payload });
  assert.deepEqual((await history(id)).map((known) => known.id), [event.id]);
  const names = between.seen.map(({ headers }) => headers["idempotency-key"]);
  assert.equal(names.length, 3);
  assert.equal(new Set(names).size, 1);
  assert.deepEqual(clock.waits, [100, 200]);
});

test("two events of the same content are two", async () => {
  const { id, key } = await workspace();
  const events = new EventsClient(key, { apiBaseUrl: base });
  await events.emit({ event: "page.viewed", payload });
  await events.emit({ event: "page.viewed", payload });
  assert.equal((await history(id)).length, 2);
});

test("a key of one's own makes repetitions safe, and is refused for another event", async () => {
  const { id, key } = await workspace();
  const events = new EventsClient(key, { apiBaseUrl: base });
  const first = await events.emit({ event: "order.paid", payload }, { idempotencyKey: "order-7" });
  const again = await events.emit({ event: "order.paid", payload }, { headers: { "Idempotency-Key": "order-7" } });
  assert.equal(again.event.id, first.event.id);
  const named = await events.emit({ event: "order.paid", payload, id: "order-7" }, { idempotencyKey: "other" });
  assert.equal(named.event.id, first.event.id);
  const error = await failure(events.emit({ event: "order.lost", payload }, { idempotencyKey: "order-7" }));
  assert.deepEqual([error.status, error.code, error.attempts], [422, "idempotency_key_reused", 1]);
  assert.equal((await history(id)).length, 1);
});

test("a server that asks to wait is obeyed, and one that asks for too long is not asked again", async () => {
  const { key } = await workspace();
  const busy = (seconds: string) => ({ status: 503, headers: { "retry-after": seconds }, body: "{}" });
  await using between = await network((place) => ([busy("7"), "pass", busy("31")] as const)[place] ?? "pass");
  const clock = new Clock();
  const events = new EventsClient(key, { apiBaseUrl: between.base, timing: clock });
  await events.emit({ event: "a", payload });
  assert.deepEqual(clock.waits, [7_000]);
  const error = await failure(events.emit({ event: "a", payload }));
  assert.deepEqual([error.status, error.retryAfter, error.attempts], [503, 31_000, 1]);
});

test("retries back off and come to an end", async () => {
  const { id, key } = await workspace();
  await using between = await network(() => "lose the request");
  const clock = new Clock();
  const events = new EventsClient(key, { apiBaseUrl: between.base, timing: clock });
  const error = await failure(events.emit({ event: "a", payload }));
  assert.deepEqual([error.code, error.status, error.attempts], ["network_error", undefined, 5]);
  assert.deepEqual(clock.waits, [100, 200, 400, 800]);
  assert.deepEqual(await history(id), []);
});

test("an attempt without an answer ends at its time limit", async () => {
  const { key } = await workspace();
  const clock = new Clock([2_000]);
  const silent: typeof fetch = (_, init) =>
    new Promise((_, reject) => {
      init!.signal!.addEventListener("abort", () => reject(new Error("aborted")));
      setImmediate(() => clock.fire(2_000));
    });
  const events = new EventsClient(key, { apiBaseUrl: base, timing: clock, fetch: silent, retries: 1 });
  const error = await failure(events.emit({ event: "a", payload }, { timeout: 2_000 }));
  assert.deepEqual([error.code, error.attempts], ["timeout", 2]);
});

test("a caller can abort, also between attempts", async () => {
  const { key } = await workspace();
  await using between = await network(() => "lose the request");
  const controller = new AbortController();
  const clock = new Clock([5_000, 100]);
  const events = new EventsClient(key, { apiBaseUrl: between.base, timing: clock });
  const call = failure(events.emit({ event: "a", payload }, { signal: controller.signal }));
  while (clock.holding(100) === 0) await new Promise(setImmediate);
  controller.abort();
  assert.equal((await call).code, "aborted");
  assert.equal(between.seen.length, 1);
  assert.equal(clock.holding(100), 0);
});

test("what the server says is in the error", async () => {
  const events = new EventsClient("mesh_pub_live_0_unknown", { apiBaseUrl: base });
  const error = await failure(events.emit({ event: "a", payload }));
  assert.deepEqual([error.status, error.code, error.attempts], [401, "invalid_publishable_key", 1]);
  assert.match(error.requestId!, /^[0-9a-f-]{36}$/);
  assert.equal((error.data as any).message, "Unauthorized");
  assert.equal(JSON.parse(JSON.stringify(error)).code, "invalid_publishable_key");
});

test("an answer that is not Heddle's is an error that says so", async () => {
  const { key } = await workspace();
  const answers = [
    { status: 200, body: "<html>" },
    { status: 302, headers: { location: "http://127.0.0.1:9/" } },
    { status: 404, body: "nothing here" },
  ];
  await using between = await network((place) => answers[place]!);
  const events = new EventsClient(key, { apiBaseUrl: between.base, timing: new Clock() });
  const codes = [];
  for (const _ of answers) codes.push((await failure(events.emit({ event: "a", payload }))).code);
  assert.deepEqual(codes, ["unreadable_answer", "redirected", "http_404"]);
});

test("a batch of more than a hundred goes in several requests, and each record stands at its event's place", async () => {
  const { id, key } = await workspace();
  await using between = await network((place) => (place === 1 ? "lose the answer" : "pass"));
  const events = new EventsClient(key, { apiBaseUrl: between.base, timing: new Clock() });
  const batch = Array.from({ length: 250 }, (_, n) => ({ event: n === 120 ? "no*star" : `event.${n}`, payload: { n } }));
  const result = await events.emitBatch(batch);
  assert.deepEqual([result.count, result.error_count, result.records.length], [250, 1, 250]);
  result.records.forEach((record, n) => {
    if (n === 120) assert.ok(!isAccepted(record) && record.code === "invalid_request", JSON.stringify(record));
    else assert.ok(isAccepted(record) && record.event === `event.${n}`);
  });
  assert.deepEqual(between.seen.map(({ body }) => JSON.parse(body).length), [100, 100, 100, 50]);
  assert.equal((await history(id)).length, 249);
});

test("a batch that was accepted whole has no error count", async () => {
  const { key } = await workspace();
  const result = await new EventsClient(key, { apiBaseUrl: base }).emitBatch([{ event: "a", payload }]);
  assert.deepEqual([result.count, "error_count" in result], [1, false]);
});

test("large events go in requests under the server's limit", async () => {
  const { key } = await workspace();
  await using between = await network(() => "pass");
  const events = new EventsClient(key, { apiBaseUrl: between.base, timeout: 30_000 });
  const text = "\u00e9".repeat(100_000);
  const result = await events.emitBatch(Array.from({ length: 30 }, () => ({ event: "a", payload: { text } })));
  assert.deepEqual([result.count, result.error_count], [30, undefined]);
  assert.deepEqual(between.seen.map(({ body }) => JSON.parse(body).length), [26, 4]);
});

test("a batch that breaks off tells what was answered before", async () => {
  const { id, key } = await workspace();
  await using between = await network((place) => (place === 0 ? "pass" : "lose the request"));
  const events = new EventsClient(key, { apiBaseUrl: between.base, timing: new Clock() });
  const batch = Array.from({ length: 150 }, () => ({ event: "a", payload }));
  const error = await failure(events.emitBatch(batch, { idempotencyKey: "import-1" }));
  assert.equal((error.partial as any).count, 100);
  // The same batch under the same key completes it.
  const again = await new EventsClient(key, { apiBaseUrl: base }).emitBatch(batch, { idempotencyKey: "import-1" });
  assert.equal(again.count, 150);
  assert.equal((await history(id)).length, 150);
});

test("what the server would refuse for certain is not sent", async () => {
  const { key } = await workspace();
  const events = new EventsClient(key, { apiBaseUrl: base, fetch: () => assert.fail("it was sent") });
  const circle: Record<string, unknown> = {};
  circle.circle = circle;
  const wrong = [{}, { event: " ", payload }, { event: "a" }, { event: "a", payload: [] }, { event: "a", payload: circle }, null];
  for (const event of wrong) assert.equal((await failure(events.emit(event as any))).code, "invalid_event");
  assert.match((await failure(events.emitBatch([{ event: "a", payload }, {} as any]))).message, /events\[1\]/);
  assert.equal((await failure(events.emitBatch([]))).code, "invalid_event");
  assert.equal((await failure(events.emit({ event: "a", payload }, { idempotencyKey: "" }))).code, "invalid_event");
  const huge = { event: "a", payload: { text: "x".repeat(6 << 20) } };
  assert.equal((await failure(events.emit(huge))).code, "payload_too_large");
});

test("a client that cannot work is not made", () => {
  const key = "mesh_pub_live_1_secret";
  for (const apiBaseUrl of ["", "heddle.example.com", "ftp://a", "https://user@a", "https://a?b=c"]) {
    assert.throws(() => new EventsClient(key, { apiBaseUrl }), TypeError, apiBaseUrl);
  }
  for (const wrong of ["", "pk_live", "mesh_pub_live_1"]) {
    assert.throws(() => new EventsClient(wrong, { apiBaseUrl: base }), TypeError, wrong);
  }
  const options = [{ timeout: 999 }, { timeout: 30_001 }, { retries: 11 }, { retries: 0.5 }, { batch: { size: 101 } }];
  for (const wrong of options) assert.throws(() => new EventsClient(key, { apiBaseUrl: base, ...wrong }), RangeError);
  for (const name of ["Authorization", "X-Meshes-Publishable-Key", "content-type"]) {
    assert.throws(() => new EventsClient(key, { apiBaseUrl: base, headers: { [name]: "x" } }), TypeError, name);
  }
  for (const part of ["organizationId", "accessKey", "secretKey"]) {
    assert.throws(() => new EventsClient({ ...keys, [part]: "x" }, { apiBaseUrl: base }), TypeError, part);
  }
});

test("neither client nor error shows a secret", async () => {
  const events = new EventsClient(keys, { apiBaseUrl: base });
  const error = await failure(events.emit({ event: "a", payload }));
  assert.equal(error.status, 400);
  for (const shown of [inspect(events, { depth: 9, showHidden: true }), inspect(error, { depth: 9 }), JSON.stringify(error)]) {
    assert.ok(!shown.includes(keys.secretKey));
  }
});
