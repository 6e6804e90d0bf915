// Starts the real server once, in a temporary folder, and runs all tests against it.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, openSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const repository = fileURLToPath(new URL("../../../../", import.meta.url));
const binary = process.env.HEDDLE_BINARY ?? join(repository, "target/debug/heddle");
if (!existsSync(binary)) {
  console.error(`${binary} is not there: run \`cargo build --bin heddle\` first, or set HEDDLE_BINARY`);
  process.exit(1);
}

const folder = mkdtempSync(join(tmpdir(), "heddle-client-"));
const environment = {
  HEDDLE_DATA_DIR: join(folder, "data"),
  HEDDLE_LISTEN: "127.0.0.1:0",
  HEDDLE_EGRESS_ALLOW_HTTP: "true",
  HEDDLE_EGRESS_ALLOW_NETWORKS: "127.0.0.0/8",
};

function address(server: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once("exit", () => reject(new Error("heddle serve ended before it listened")));
    createInterface({ input: server.stdout! }).on("line", (line) => {
      const found = /listening on (\S+)/.exec(line);
      if (found) resolve(found[1]!);
    });
  });
}

const log = join(folder, "heddle.log");
const server = spawn(binary, ["serve"], { env: environment, stdio: ["ignore", "pipe", openSync(log, "a")] });
let status = 1;
try {
  const base = await address(server);
  const made = spawnSync(binary, ["keys", "create", "--name", "tests"], { env: environment, encoding: "utf8" });
  const own = fileURLToPath(new URL(".", import.meta.url));
  const files = readdirSync(own).filter((name) => /\.test\.c?js$/.test(name));
  const chosen = files.filter((name) => process.argv.length < 3 || process.argv.slice(2).some((word) => name.includes(word)));
  const tests = spawn(process.execPath, ["--test", ...chosen.map((name) => join(own, name))], {
    env: { ...process.env, HEDDLE_BASE: base, HEDDLE_KEYS: made.stdout.trim(), HEDDLE_BINARY: binary },
    stdio: "inherit",
  });
  status = await new Promise((resolve) => tests.once("exit", (code) => resolve(code ?? 1)));
} finally {
  server.kill("SIGTERM");
  if (status !== 0) console.error(readFileSync(log, "utf8").slice(-8_000));
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = status;
