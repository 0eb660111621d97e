import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { credentials, Metadata, status } from "@grpc/grpc-js";
import { startDev } from "../../dev.mjs";
import { failure } from "../failure.js";
import { connect } from "../quash.js";
import { revoke } from "../revoke.js";

test("a deadline that is too short", async (t) => {
  const dev = await startDev(t);
  const client = connect(dev.grpc, credentials.createInsecure());
  t.after(() => client.close());
  await revoke(client, { token: await dev.mint() }); // connects first, so that the next call reaches quash before its deadline
  await assert.rejects(revoke(client, { token: await dev.mint() }, Date.now() + 15), ({ failure: details }) => {
    assert.equal(details.code, "DEADLINE_EXCEEDED");
    return true;
  });
  assert.equal(await dev.revoked(), 1);
});

test("no server", async () => {
  const listener = createServer().listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address();
  await new Promise((resolve) => listener.close(resolve));
  const client = connect(`127.0.0.1:${port}`, credentials.createInsecure());
  await assert.rejects(revoke(client, { token: "a.b.c" }, Date.now() + 50), ({ failure: details }) => {
    assert.equal(details.code, "DEADLINE_EXCEEDED");
    assert.equal(details.reason, "");
    assert.equal(details.state, "UNKNOWN");
    assert.equal(details.correlationId, "");
    return true;
  });
  client.close();
});

test("an error without details from quash", () => {
  const error = Object.assign(new Error("lost"), { code: status.UNAVAILABLE, details: "lost", metadata: new Metadata() });
  assert.deepEqual(failure(error), {
    code: "UNAVAILABLE",
    message: "lost",
    reason: "",
    state: "UNKNOWN",
    retryable: true,
    retryDelayMs: 0,
    correlationId: "",
    violations: [],
  });
});
