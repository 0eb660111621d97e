// Runs the SDK that SlashID publishes against quash.
import assert from "node:assert/strict";
import { test } from "node:test";
import { startDev } from "../../dev.mjs";
import { logout } from "../logout.js";
import { sure } from "../sure.js";

test("the SDK revokes at the drop-in route", async (t) => {
  const dev = await startDev(t);
  const token = await dev.mint();
  await logout(dev.rest, token);
  assert.equal(await dev.revoked(), 1);
  assert.deepEqual(await sure(dev.rest, token), { dead: true, outcome: "OUTCOME_ALREADY_INVALID" });
});

test("the SDK does not report a failure", async (t) => {
  const dev = await startDev(t);
  const token = await dev.mint();
  await dev.script({ status: 302, count: 2 });
  await logout(dev.rest, token);
  assert.equal(await dev.revoked(), 0);
  assert.deepEqual(await sure(dev.rest, token), {
    dead: false,
    reason: "UPSTREAM_UNEXPECTED_RESPONSE",
    state: "REVOCATION_STATE_UNKNOWN",
    retryAfter: NaN,
  });
  assert.deepEqual(await sure(dev.rest, token), { dead: true, outcome: "OUTCOME_REVOKED" });
  assert.equal(await dev.revoked(), 1);
});

test("the delay before a retry", async (t) => {
  const dev = await startDev(t);
  await dev.script({ status: 429, headers: { "Retry-After": "600" } });
  assert.deepEqual(await sure(dev.rest, await dev.mint()), {
    dead: false,
    reason: "UPSTREAM_RATE_LIMITED",
    state: "REVOCATION_STATE_NOT_APPLIED",
    retryAfter: 600,
  });
});
