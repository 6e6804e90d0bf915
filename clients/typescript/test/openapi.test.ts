import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, test } from "node:test";

import { ManagementClient } from "@heddle/client";

import { base, keys } from "./engine.js";

// Not compiled: the types' maker is a program of its own.
const maker = new URL("../../scripts/types.mjs", import.meta.url).href;
const file = new URL("../../src/openapi.ts", import.meta.url);
/** What emits is the events client's. */
const emitting = ["emitEvent", "emitEvents"];

let document: any;
before(async () => {
  document = await (await fetch(`${base}/openapi.json`)).json();
});

test("the types are those of the built server's document", async () => {
  const made = (await import(maker)).types(document);
  assert.equal(
    readFileSync(file, "utf8") === (await made),
    true,
    "src/openapi.ts is not what the server's document gives: npm run types",
  );
});

test("every operation has a method, and every method is an operation", async () => {
  const called: string[] = [];
  const watching: typeof fetch = async (input, init) => {
    called.push(`${init!.method} ${new URL(String(input)).pathname}`);
    return new Response('{"records":[],"next_cursor":null}');
  };
  const client = new ManagementClient(keys, { apiBaseUrl: base, fetch: watching });
  const operations = Object.entries<object>(document.paths).flatMap(([path, methods]) =>
    Object.entries<any>(methods).map(([method, { operationId }]) => ({
      id: operationId as string,
      pattern: new RegExp(`^${method.toUpperCase()} ${path.replace(/\{[^}]+\}/g, "(id-\\d)")}$`),
    })),
  );
  const found = new Map<string, string>();
  const ids = ["id-0", "id-1", "id-2", "id-3"];
  for (const [kind, resource] of Object.entries(client)) {
    for (const name of Object.getOwnPropertyNames(Object.getPrototypeOf(resource))) {
      if (name === "constructor") continue;
      called.length = 0;
      const result = (resource as any)[name](...ids);
      if (Symbol.asyncIterator in result) for await (const _ of result);
      else await result;
      assert.equal(called.length, 1, `${kind}.${name}`);
      const operation = operations.find(({ pattern }) => pattern.test(called[0]!));
      assert.ok(operation, `${kind}.${name} calls ${called[0]}, which the document does not know`);
      const places = operation.pattern.exec(called[0]!)!.slice(1);
      assert.deepEqual(places, ids.slice(0, places.length), `${kind}.${name}`);
      found.set(operation.id, `${kind}.${name}`);
    }
  }
  const missing = operations.map(({ id }) => id).filter((id) => !found.has(id) && !emitting.includes(id));
  assert.deepEqual(missing, [], "src/resources.ts has no method for these");
});
