// The commands in docs/callers.md print the output that the page shows.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { python, startDev } from "./dev.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const page = readFileSync(`${root}/docs/callers.md`, "utf8");

// session splits a block into its commands and their output. A line that ends in | or \
// continues on the next line.
function session(block) {
  const commands = [];
  const output = [];
  let open = false;
  for (const line of block.split("\n")) {
    const begins = line.startsWith("$ ");
    if (begins || open) commands.push(begins ? line.slice(2) : line);
    else output.push(line);
    open = (begins || open) && /[|\\]$/.test(line);
  }
  return { commands: commands.join("\n"), output: output.join("\n") };
}

// steady removes or replaces what differs between runs.
function steady(text) {
  return text
    .replaceAll("\r", "")
    .replace(/^Date: .*\n/gm, "")
    .replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "ID")
    .replace(/"elapsed": ?"[0-9.]+s"/g, '"elapsed":"…"')
    .replace(/([,:]) (?=["{[0-9])/g, "$1") // protojson varies its white space
    .trim();
}

const blocks = [...page.matchAll(/^```\n(\$ [^]*?)\n```$/gm)].map(([, block]) => session(block));

test("the page has commands", () => assert.ok(blocks.length >= 5));

for (const [i, { commands, output }] of blocks.entries()) {
  const skip = commands.includes("python3 ") && !python && "PYTHON is not set";
  test(`block ${i + 1}`, { skip }, async (t) => {
    const dev = await startDev(t);
    const script = commands
      .replaceAll("http://127.0.0.1:8080", dev.rest)
      .replaceAll("http://127.0.0.1:8081", dev.sandbox)
      .replaceAll("python3 ", `${python} `)
      .replace(/main\.(js|py)/g, `$& --addr ${dev.grpc}`);
    const { stdout } = spawnSync("bash", ["-c", `exec 2>&1; ${script}`], { cwd: root, encoding: "utf8" });
    assert.equal(steady(stdout), steady(output));
  });
}

test("the page lists every reason", () => {
  const { file: files } = JSON.parse(readFileSync(new URL("node/quash.json", import.meta.url), "utf8"));
  const reasons = files.flatMap(({ enumType = [] }) => enumType).find(({ name }) => name === "ErrorReason").value;
  const missing = reasons
    .filter(({ number }) => number !== 0)
    .map(({ name }) => name.slice("ERROR_REASON_".length))
    .filter((reason) => !page.includes(`\`${reason}\``));
  assert.deepEqual(missing, []);
});
