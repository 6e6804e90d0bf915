// Starts the real server in a temporary folder and does something with it:
//   node scripts/server.mjs test [word…]   runs the compiled tests, all or those whose files' names contain a word
//   node scripts/server.mjs types          writes src/openapi.ts anew

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { types } from "./types.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const binary = process.env.HEDDLE_BINARY ?? join(root, "../../target/debug/heddle");
if (!existsSync(binary)) {
  console.error(`${binary} is not there: run \`cargo build --bin heddle\` first, or set HEDDLE_BINARY`);
  process.exit(1);
}

const folder = mkdtempSync(join(tmpdir(), "heddle-client-"));
const environment = {
  HEDDLE_DATA_DIR: join(folder, "data"),
  HEDDLE_LISTEN: "127.0.0.1:0",
  // One attempt, so that a delivery fails at once.
  HEDDLE_RETRY_SCHEDULE: "0s",
  HEDDLE_EGRESS_ALLOW_HTTP: "true",
  HEDDLE_EGRESS_ALLOW_NETWORKS: "127.0.0.0/8",
};

function address(server) {
  return new Promise((resolve, reject) => {
    server.once("exit", () => reject(new Error("heddle serve ended before it listened")));
    createInterface({ input: server.stdout }).on("line", (line) => {
      const found = /listening on (\S+)/.exec(line);
      if (found) resolve(found[1]);
    });
  });
}

/** Gives the exit code. */
const tasks = {
  async types(base) {
    const document = await (await fetch(`${base}/openapi.json`)).json();
    writeFileSync(join(root, "src/openapi.ts"), await types(document));
    return 0;
  },

  test(base, words) {
    const made = spawnSync(binary, ["keys", "create", "--name", "tests"], { env: environment, encoding: "utf8" });
    const compiled = join(root, ".build/test");
    const files = readdirSync(compiled).filter((name) => /\.test\.c?js$/.test(name));
    const chosen = files.filter((name) => words.length === 0 || words.some((word) => name.includes(word)));
    const tests = spawn(process.execPath, ["--test", ...chosen.map((name) => join(compiled, name))], {
      env: { ...process.env, HEDDLE_BASE: base, HEDDLE_KEYS: made.stdout.trim() },
      stdio: "inherit",
    });
    return new Promise((resolve) => tests.once("exit", (code) => resolve(code ?? 1)));
  },
};

const [task, ...words] = process.argv.slice(2);
const log = join(folder, "heddle.log");
const server = spawn(binary, ["serve"], { env: environment, stdio: ["ignore", "pipe", openSync(log, "a")] });
let status = 1;
try {
  status = await tasks[task](await address(server), words);
} finally {
  if (status !== 0) console.error(readFileSync(log, "utf8").slice(-8_000));
  const ended = new Promise((resolve) => server.once("exit", resolve));
  if (server.exitCode === null && server.kill("SIGTERM")) await ended;
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = status;
