// main.js against a quash, whose SlashID does what the test wants.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { test } from "node:test";
import { startDev } from "../../dev.mjs";

const main = fileURLToPath(new URL("../main.js", import.meta.url));
const id = "[0-9a-f-]{36}";
const envelope = JSON.stringify({ errors: [{ httpcode: 408, message: "later" }] });

// run runs main.js, and finds nothing of the token in what it says.
async function run(token, ...args) {
  const child = spawn(process.execPath, [main, ...args], { stdio: "pipe" });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (said += text));
  child.stdin.end(token);
  const [exit] = await once(child, "close");
  assert.ok(token === "" || !token.split(".").some((part) => said.includes(part)), "it says the token");
  return { exit, said };
}

// revoke has main.js revoke a new token while SlashID does that.
async function revoke(t, faults, ...args) {
  const dev = await startDev(t);
  await dev.script(...faults);
  const token = await dev.mint();
  const again = (...more) => run(token, "--plaintext", "--addr", dev.grpc, ...args, ...more);
  return { dev, again, ...(await again()) };
}

test("success, and what SlashID says the second time", async (t) => {
  const { dev, again, exit, said } = await revoke(t, []);
  assert.match(said, new RegExp(`^dead\\? +yes \\(OUTCOME_REVOKED\\)\ncorrelation id +${id}\n$`));
  assert.equal(exit, 0);
  assert.equal(await dev.revoked(), 1);

  const rejected = await again();
  assert.match(
    rejected.said,
    new RegExp(
      "^dead\\? +this call did nothing to it \\(NOT_APPLIED\\)\n" +
        "reason +TOKEN_REJECTED: SlashID rejected the token.*\n" +
        "repeat +after the cause is fixed\n" +
        `correlation id +${id}\n$`,
    ),
  );
  assert.equal(rejected.exit, 1);

  const accepted = await again("--allow-invalid");
  assert.match(accepted.said, /^dead\? +yes \(OUTCOME_ALREADY_INVALID\)/);
  assert.equal(accepted.exit, 0);
});

test("in progress", async (t) => {
  const { dev, exit, said } = await revoke(t, [{ status: 408, apply: true, body: envelope }], "--all-regions");
  assert.match(said, /^dead\? +soon, everywhere.*\(IN_PROGRESS\)\nreason +CONSISTENCY_TIMEOUT: .*\nrepeat +never/);
  assert.equal(exit, 1);
  assert.equal(await dev.revoked(), 1);
});

test("unavailable, and then not any more", async (t) => {
  const { dev, exit, said } = await revoke(t, [{ status: 503, count: 3 }]);
  assert.match(said, /^dead\? +yes \(OUTCOME_REVOKED\)/);
  assert.equal(exit, 0);
  assert.equal(await dev.revoked(), 1);
});

test("revoked by an attempt whose answer was lost", async (t) => {
  const { dev, exit, said } = await revoke(t, [{ status: 503, apply: true }, { status: 503, count: 2 }]);
  assert.match(said, /^dead\? +yes \(OUTCOME_ALREADY_INVALID\)/);
  assert.equal(exit, 0);
  assert.equal(await dev.revoked(), 1);
});

test("what an earlier attempt may have done stays unknown", async (t) => {
  const tooMany = { status: 429, headers: { "Retry-After": "600" } };
  const { exit, said } = await revoke(t, [{ status: 503, count: 3 }, tooMany]);
  assert.match(said, /^dead\? +nobody can say \(UNKNOWN\)\nreason +UPSTREAM_RATE_LIMITED: .*\nrepeat +in 600 s with --allow-invalid/);
  assert.equal(exit, 1);
});

test("unknown", async (t) => {
  const { dev, exit, said } = await revoke(t, [{ status: 302 }]);
  assert.match(
    said,
    /^dead\? +nobody can say \(UNKNOWN\)\nreason +UPSTREAM_UNEXPECTED_RESPONSE: .*\nrepeat +now with --allow-invalid/,
  );
  assert.equal(exit, 1);
  assert.equal(await dev.revoked(), 0);
});

test("a delay that is longer than the call may take is left to the caller", async (t) => {
  const { exit, said } = await revoke(t, [{ status: 429, headers: { "Retry-After": "600" } }]);
  assert.match(said, /^dead\? +this call did nothing to it \(NOT_APPLIED\)\nreason +UPSTREAM_RATE_LIMITED: .*\nrepeat +in 600 s\n/);
  assert.equal(exit, 1);
});

test("a request that breaks rules", async (t) => {
  const { exit, said } = await revoke(t, [], "--timeout", "121");
  assert.match(said, /reason +INVALID_REQUEST: .*\nviolation +timeout must be .* 120s\n/);
  assert.match(said, /correlation id +none\n$/);
  assert.equal(exit, 1);
});

test("a token is no argument", async () => {
  const { exit, said } = await run("", "--plaintext", "eyJhbGciOiJub25lIn0.eyJqdGkiOiJhIn0.c2ln");
  assert.equal(said, "the command line is wrong; main.js says what it may be\n");
  assert.equal(exit, 2);
});
