import assert from "node:assert/strict";
import { test } from "node:test";

import { type AcceptedEvent, type BatchOptions, EventsClient, HeddleError, type Rejected } from "@heddle/client";

import { Clock, history, network, workspace, type Trouble } from "./engine.js";

const payload = { email: "nina@academyflow.io" };

/** A client with a queue, and what its callbacks heard. */
async function queued(trouble: (place: number) => Trouble, batch: BatchOptions = {}) {
  const { id, key } = await workspace();
  const between = await network(trouble);
  const clock = new Clock([5_000, 1_000]);
  const accepted: AcceptedEvent[] = [];
  const rejected: Rejected[] = [];
  const events = new EventsClient(key, {
    apiBaseUrl: between.base,
    timing: clock,
    batch: { onAccepted: (some) => accepted.push(...some), onRejected: (some) => rejected.push(...some), ...batch },
  });
  return { id, between, clock, accepted, rejected, events, [Symbol.asyncDispose]: between[Symbol.asyncDispose] };
}

const sizes = (between: { seen: { body: string }[] }) => between.seen.map(({ body }) => JSON.parse(body).length);

test("queued events go together once their time has come", async () => {
  await using made = await queued(() => "pass");
  for (const name of ["a", "b", "c"]) made.events.enqueue({ event: name, payload });
  assert.deepEqual([made.events.queued, made.between.seen.length, made.clock.holding(1_000)], [3, 0, 1]);
  made.clock.fire(1_000);
  await made.events.flush();
  assert.deepEqual(sizes(made.between), [3]);
  assert.deepEqual(made.accepted.map(({ event }) => event), ["a", "b", "c"]);
  assert.equal(made.events.queued, 0);
});

test("a full batch goes at once, and the rest when its time has come", async () => {
  await using made = await queued(() => "pass", { size: 10 });
  for (let n = 0; n < 25; n += 1) made.events.enqueue({ event: "a", payload: { n } });
  await made.events.close();
  assert.equal(sizes(made.between).reduce((sum, size) => sum + size), 25);
  assert.equal((await history(made.id)).length, 25);
  assert.equal(made.clock.holding(1_000), 0);
});

test("what is queued is what it was when it was queued", async () => {
  await using made = await queued(() => "pass");
  const event = { event: "a", payload: { n: 1 } };
  made.events.enqueue(event);
  event.payload.n = 2;
  await made.events.flush();
  assert.equal(JSON.parse(made.between.seen[0]!.body)[0].payload.n, 1);
});

test("queued events whose answers are lost are accepted once", async () => {
  await using made = await queued((place) => (place % 2 === 0 ? "lose the answer" : "pass"), { size: 20 });
  for (let n = 0; n < 60; n += 1) made.events.enqueue({ event: "a", payload: { n } });
  await made.events.close();
  assert.equal(made.accepted.length, 60);
  assert.equal((await history(made.id)).length, 60);
});

test("what could not be sent is handed back, and can be queued again without doubling", async () => {
  let broken: Trouble = "lose the answer";
  await using made = await queued(() => broken);
  made.events.enqueue({ event: "a", payload });
  await made.events.flush();
  assert.deepEqual([made.accepted.length, made.rejected.length], [0, 1]);
  assert.equal(made.rejected[0]!.error.code, "network_error");
  broken = "pass";
  made.events.enqueue(made.rejected[0]!.event);
  await made.events.close();
  assert.equal(made.accepted.length, 1);
  assert.equal((await history(made.id)).length, 1);
});

test("an event that the server refuses is handed back alone", async () => {
  await using made = await queued(() => "pass");
  made.events.enqueue({ event: "good", payload });
  made.events.enqueue({ event: "not*good", payload });
  await made.events.close();
  assert.deepEqual(made.accepted.map(({ event }) => event), ["good"]);
  assert.deepEqual(made.rejected.map(({ event, error }) => [event.event, error.code]), [["not*good", "invalid_request"]]);
});

test("the queue has an end", async () => {
  await using made = await queued(() => "pass", { size: 2, maxQueue: 3 });
  const codes: string[] = [];
  for (let n = 0; n < 5; n += 1) {
    try {
      made.events.enqueue({ event: "a", payload });
    } catch (error) {
      codes.push((error as HeddleError).code);
    }
  }
  await made.events.close();
  assert.deepEqual(codes, ["queue_full", "queue_full"]);
  assert.equal(made.accepted.length, 3);
  assert.throws(() => made.events.enqueue({ event: "a", payload }), { code: "closed" });
  assert.throws(() => made.events.enqueue({ event: "", payload }), { code: "closed" });
});

test("an event that cannot be sent is refused when it is queued", async () => {
  await using made = await queued(() => "pass");
  assert.throws(() => made.events.enqueue({ event: "", payload }), { code: "invalid_event" });
  await made.events.close();
  assert.equal(made.between.seen.length, 0);
});

test("a callback that throws does not stop the queue", async (context) => {
  const complaints = context.mock.method(console, "error", () => {});
  await using made = await queued(() => "pass", {
    onAccepted: () => {
      throw new Error("mine");
    },
  });
  made.events.enqueue({ event: "a", payload });
  await made.events.flush();
  made.events.enqueue({ event: "b", payload });
  await made.events.close();
  assert.equal((await history(made.id)).length, 2);
  assert.equal(complaints.mock.callCount(), 2);
});

test("without a callback a loss is written to the console", async (context) => {
  const complaints = context.mock.method(console, "error", () => {});
  await using made = await queued(() => ({ status: 401, body: "{}" }), { onRejected: undefined });
  made.events.enqueue({ event: "a", payload });
  await made.events.close();
  assert.match(String(complaints.mock.calls[0]!.arguments[0]), /1 queued events were not accepted/);
});
