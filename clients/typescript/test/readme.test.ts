import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { base, history, keys, workspace } from "./engine.js";

const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
const examples = [...readme.matchAll(/```js\n([\s\S]*?)```/g)].map(([, text]) => text!);

for (const [place, example] of examples.entries()) {
  test(`example ${place + 1} of the README runs as it stands`, async () => {
    const { id, key } = await workspace();
    // Inside of the package, where it finds the client by its name.
    const file = fileURLToPath(new URL(`../example-${place}.mjs`, import.meta.url));
    writeFileSync(file, example);
    const { organizationId, accessKey, secretKey } = keys;
    const { stdout } = await promisify(execFile)(process.execPath, [file], {
      env: {
        HEDDLE_URL: base,
        HEDDLE_PUBLISHABLE_KEY: key,
        HEDDLE_ORGANIZATION_ID: organizationId,
        HEDDLE_ACCESS_KEY: accessKey,
        HEDDLE_SECRET_KEY: secretKey,
      },
    });
    assert.notEqual(stdout, "");
    if (example.includes("EventsClient")) assert.ok((await history(id)).length > 0);
  });
}

test("the README has examples", () => assert.ok(examples.length >= 2));
