// Compiles the sources twice, as ES modules and as CommonJS, each beside its declarations.

import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");

rmSync(`${root}dist`, { recursive: true, force: true });
for (const [folder, type, more] of [
  ["esm", "module", []],
  ["cjs", "commonjs", ["--module", "CommonJS", "--moduleResolution", "Node10"]],
]) {
  const { status } = spawnSync(process.execPath, [tsc, "-p", root, "--outDir", `${root}dist/${folder}`, ...more], {
    stdio: "inherit",
  });
  if (status !== 0) process.exit(status ?? 1);
  mkdirSync(`${root}dist/${folder}`, { recursive: true });
  writeFileSync(`${root}dist/${folder}/package.json`, `${JSON.stringify({ type })}\n`);
}
