// Uses only the client that is generated from openapi.json. It reads two tokens from standard
// input, revokes each twice, one at each route, and prints the answers.
import { readFileSync } from "node:fs";
import { client } from "./generated/client.gen";
import { revoke, revokeBySlashIdContract } from "./generated/sdk.gen";
import type { ErrorInfo, RevokeFailure, Status } from "./generated/types.gen";

client.setConfig({ baseUrl: process.env.QUASH_URL });
const [first, second] = readFileSync(0, "utf8").trim().split("\n");

// why returns the reason and the state from the details of an error.
function why(status: Status): [ErrorInfo["reason"] | undefined, RevokeFailure["state"] | undefined] {
  let reason: ErrorInfo["reason"] | undefined;
  let state: RevokeFailure["state"] | undefined;
  for (const detail of status.details ?? []) {
    if (detail["@type"] === "type.googleapis.com/google.rpc.ErrorInfo") reason = detail.reason;
    if (detail["@type"] === "type.googleapis.com/quash.v1.RevokeFailure") state = detail.state;
  }
  return [reason, state];
}

// say prints the words that are set.
function say(...words: unknown[]) {
  console.log(words.filter((word) => word !== undefined && word !== null).join(" "));
}

async function main() {
  for (let i = 0; i < 2; i++) {
    const { data, error, response } = await revoke({
      body: { token: first, consistency: "CONSISTENCY_ALL_REGIONS", timeout: "30s", allowInvalid: false },
    });
    say("native", response?.status, data?.outcome, ...(typeof error === "object" ? why(error) : []));
  }
  for (let i = 0; i < 2; i++) {
    const { error, response } = await revokeBySlashIdContract({
      body: { token: second },
      headers: { "SlashID-Required-Consistency": "local_region", "SlashID-Required-Consistency-Timeout": 10, "SlashID-SdkVersion": "1.4.1" },
    });
    say("drop-in", response?.status, response?.headers.get("quash-error-reason"), (typeof error === "object" && error.errors?.length) || undefined);
  }
}

main();
