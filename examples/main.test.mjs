// Runs the example programs against quash with scripted answers from SlashID. All of them have the
// same flags, output and exit status.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { describe, test } from "node:test";
import { python, startDev } from "./dev.mjs";

const file = (name) => fileURLToPath(new URL(name, import.meta.url));
const programs = [
  { name: "main.js", command: [process.execPath, file("node/main.js")] },
  { name: "main.py", command: [python, file("python/main.py")], skip: !python && "PYTHON is not set" },
];
const id = "[0-9a-f-]{36}";
const envelope = JSON.stringify({ errors: [{ httpcode: 408, message: "later" }] });

for (const { name, command, skip } of programs) describe(name, { skip }, () => scenarios(name, command));

function scenarios(name, [executable, main]) {
  // run runs the program and checks that its output contains no part of the token.
  async function run(token, ...args) {
    const child = spawn(executable, [main, ...args], { stdio: "pipe" });
    let output = "";
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => (output += text));
    child.stdin.end(token);
    const [exit] = await once(child, "close");
    assert.ok(token === "" || !token.split(".").some((part) => output.includes(part)), "the output contains the token");
    return { exit, output };
  }

  // revoke runs the program with a new token, while SlashID answers with faults.
  async function revoke(t, faults, ...args) {
    const dev = await startDev(t);
    await dev.script(...faults);
    const token = await dev.mint();
    const again = (...more) => run(token, "--plaintext", "--addr", dev.grpc, ...args, ...more);
    return { dev, again, ...(await again()) };
  }

  test("success, and a second revocation of the same token", async (t) => {
    const { dev, again, exit, output } = await revoke(t, []);
    assert.match(output, new RegExp(`^dead\\? +yes \\(OUTCOME_REVOKED\\)\ncorrelation id +${id}\n$`));
    assert.equal(exit, 0);
    assert.equal(await dev.revoked(), 1);

    const rejected = await again();
    assert.match(
      rejected.output,
      new RegExp(
        "^dead\\? +not by this call \\(NOT_APPLIED\\)\n" +
          "reason +TOKEN_REJECTED: SlashID rejected the token.*\n" +
          "retry +after the cause is fixed\n" +
          `correlation id +${id}\n$`,
      ),
    );
    assert.equal(rejected.exit, 1);

    const accepted = await again("--allow-invalid");
    assert.match(accepted.output, /^dead\? +yes \(OUTCOME_ALREADY_INVALID\)/);
    assert.equal(accepted.exit, 0);
  });

  test("in progress", async (t) => {
    const { dev, exit, output } = await revoke(t, [{ status: 408, apply: true, body: envelope }], "--all-regions");
    assert.match(output, /^dead\? +soon: .*\(IN_PROGRESS\)\nreason +CONSISTENCY_TIMEOUT: .*\nretry +not needed/);
    assert.equal(exit, 1);
    assert.equal(await dev.revoked(), 1);
  });

  test("unavailable for a short time", async (t) => {
    const { dev, exit, output } = await revoke(t, [{ status: 503, count: 3 }]);
    assert.match(output, /^dead\? +yes \(OUTCOME_REVOKED\)/);
    assert.equal(exit, 0);
    assert.equal(await dev.revoked(), 1);
  });

  test("revoked by an attempt whose answer was lost", async (t) => {
    const { dev, exit, output } = await revoke(t, [{ status: 503, apply: true }, { status: 503, count: 2 }]);
    assert.match(output, /^dead\? +yes \(OUTCOME_ALREADY_INVALID\)/);
    assert.equal(exit, 0);
    assert.equal(await dev.revoked(), 1);
  });

  test("the state stays unknown if an earlier attempt may have been applied", async (t) => {
    const tooMany = { status: 429, headers: { "Retry-After": "600" } };
    const { exit, output } = await revoke(t, [{ status: 503, count: 3 }, tooMany]);
    assert.match(output, /^dead\? +unknown \(UNKNOWN\)\nreason +UPSTREAM_RATE_LIMITED: .*\nretry +in 600 s with --allow-invalid/);
    assert.equal(exit, 1);
  });

  test("unknown", async (t) => {
    const { dev, exit, output } = await revoke(t, [{ status: 302 }]);
    assert.match(
      output,
      /^dead\? +unknown \(UNKNOWN\)\nreason +UPSTREAM_UNEXPECTED_RESPONSE: .*\nretry +now with --allow-invalid/,
    );
    assert.equal(exit, 1);
    assert.equal(await dev.revoked(), 0);
  });

  test("a retry after the deadline is left to the caller", async (t) => {
    const { exit, output } = await revoke(t, [{ status: 429, headers: { "Retry-After": "600" } }]);
    assert.match(output, /^dead\? +not by this call \(NOT_APPLIED\)\nreason +UPSTREAM_RATE_LIMITED: .*\nretry +in 600 s\n/);
    assert.equal(exit, 1);
  });

  test("an invalid request", async (t) => {
    const { exit, output } = await revoke(t, [], "--timeout", "121");
    assert.match(output, /reason +INVALID_REQUEST: .*\nviolation +timeout must be .* 120s, such as "30s"\n/);
    assert.match(output, /correlation id +none\n$/);
    assert.equal(exit, 1);
  });

  test("a token as an argument is rejected", async () => {
    const { exit, output } = await run("", "--plaintext", "eyJhbGciOiJub25lIn0.eyJqdGkiOiJhIn0.c2ln");
    assert.equal(output, `the command line is invalid; see the comment at the top of ${name}\n`);
    assert.equal(exit, 2);
  });
}
