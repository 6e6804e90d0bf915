import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { createContext, runInContext } from "node:vm";

import { EventsClient } from "@heddle/client";

import { base, history, workspace } from "./engine.js";

const dist = new URL("../../dist/", import.meta.url);
const payload = { email: "nina@academyflow.io" };

/** The compiled client in a world that has what a page on plain http has, and nothing of Node. */
function inABrowser(): typeof import("@heddle/client") {
  const { AbortController, TextEncoder, URL, fetch, setTimeout, clearTimeout, btoa, console } = globalThis;
  const crypto = { getRandomValues: (bytes: Uint8Array) => globalThis.crypto.getRandomValues(bytes) };
  const world = createContext({ AbortController, TextEncoder, URL, fetch, setTimeout, clearTimeout, btoa, console, crypto });
  const modules = new Map<string, { exports: object }>();
  const load = (name: string): object => {
    assert.match(name, /^\.\/[a-z]+\.js$/, "the client needs nothing but its own files");
    const known = modules.get(name);
    if (known) return known.exports;
    const module = { exports: {} };
    modules.set(name, module);
    const text = readFileSync(new URL(`cjs/${name}`, dist), "utf8");
    runInContext(`(function (exports, require, module) {${text}\n})`, world)(module.exports, load, module);
    return module.exports;
  };
  return load("./index.js") as typeof import("@heddle/client");
}

test("the client emits where there is nothing of Node", async () => {
  const { id, key } = await workspace();
  const events = new (inABrowser().EventsClient)(key, { apiBaseUrl: base });
  const { event } = await events.emit({ event: "video.watched", payload });
  events.enqueue({ event: "video.liked", payload });
  await events.flush({ keepalive: true });
  assert.equal(event.workspace, id);
  assert.equal((await history(id)).length, 2);
});

test("the server lets pages send every header that the client sends, and read what it reads", async () => {
  const { key } = await workspace();
  const sent = new Set<string>();
  const watching: typeof fetch = (input, init) => {
    for (const name of Object.keys(init!.headers!)) sent.add(name);
    return fetch(input, init);
  };
  const events = new EventsClient(key, { apiBaseUrl: base, fetch: watching });
  await events.emit({ event: "a", payload });
  await events.emitBatch([{ event: "a", payload }]);
  const safe = ["accept"];
  for (const path of ["events", "events/bulk"]) {
    const asked = [...sent].filter((name) => !safe.includes(name)).sort();
    const answer = await fetch(`${base}/api/v1/${path}`, {
      method: "OPTIONS",
      headers: {
        origin: "https://shop.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": asked.join(","),
      },
    });
    assert.ok(answer.ok);
    assert.equal(answer.headers.get("access-control-allow-origin"), "*");
    const allowed = answer.headers.get("access-control-allow-headers")!.split(/, */);
    assert.deepEqual(asked.filter((name) => !allowed.includes(name)), []);
    assert.ok(asked.length >= 3, String(asked));
  }
  const refused = await fetch(`${base}/api/v1/events`, { method: "POST", headers: { origin: "https://shop.example" } });
  assert.equal(refused.headers.get("access-control-allow-origin"), "*");
  const readable = refused.headers.get("access-control-expose-headers")!.split(/, */);
  for (const name of ["retry-after", "x-request-id"]) assert.ok(readable.includes(name), name);
});

test("a page that goes away leaves small requests behind", async () => {
  const { id, key } = await workspace();
  const requests: RequestInit[] = [];
  const watching: typeof fetch = (input, init) => {
    requests.push(init!);
    return fetch(input, init);
  };
  const events = new EventsClient(key, { apiBaseUrl: base, fetch: watching, batch: { interval: 3_600_000 } });
  for (let n = 0; n < 20; n += 1) events.enqueue({ event: "a", payload: { text: "x".repeat(5_000) } });
  await events.flush({ keepalive: true });
  assert.ok(requests.every(({ keepalive, body }) => keepalive && (body as string).length <= 60_000));
  assert.equal((await history(id)).length, 20);
});

test("the compiled files name nothing of Node", () => {
  for (const folder of ["esm/", "cjs/"]) {
    for (const name of readdirSync(new URL(folder, dist)).filter((name) => name.endsWith(".js"))) {
      const text = readFileSync(new URL(folder + name, dist), "utf8");
      assert.doesNotMatch(text, /node:|\bprocess\.|\bBuffer\b|\b__dirname\b/, folder + name);
    }
  }
});
