import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

test("the package needs no other at run time", () => {
  const manifest = JSON.parse(read("package.json"));
  for (const kind of ["dependencies", "peerDependencies", "optionalDependencies", "bundledDependencies"]) {
    assert.equal(manifest[kind], undefined, kind);
  }
});

test("the package can be imported as an ES module", () => {
  assert.match(fileURLToPath(import.meta.resolve("@heddle/client")), /dist.esm.index\.js$/);
});

test("the lock file names no registry", () => {
  assert.doesNotMatch(read("package-lock.json"), /"resolved"/);
});
