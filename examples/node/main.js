// Revokes a token, which it reads from standard input or from a file, and prints the outcome:
//
//   node main.js [--addr HOST:PORT] [--token-file FILE] [--all-regions] [--timeout SECONDS]
//                [--allow-invalid] [--plaintext | --ca-file FILE [--cert-file FILE --key-file FILE]]
//
// The exit status is 0 if the token is dead, 1 if it is not or if that is unknown, and 2 if
// the command line is invalid. A token is never an argument, because every user of the
// machine can read those.
import { createReadStream, readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { credentials } from "@grpc/grpc-js";
import { connect } from "./quash.js";
import { RevokeError, revoke } from "./revoke.js";

const flags = {
  addr: { type: "string", default: "127.0.0.1:9090" },
  "token-file": { type: "string" },
  "all-regions": { type: "boolean", default: false },
  timeout: { type: "string", default: "30" },
  "allow-invalid": { type: "boolean", default: false },
  plaintext: { type: "boolean", default: false },
  "ca-file": { type: "string" },
  "cert-file": { type: "string" },
  "key-file": { type: "string" },
};

function readFlags() {
  try {
    const { timeout, ...given } = parseArgs({ options: flags }).values;
    if (!/^\d+$/.test(timeout)) throw new Error("not a number of seconds");
    return { ...given, timeout: Number(timeout) };
  } catch {
    // Do not print Node's message: it quotes the argument, which may be a token.
    console.error("the command line is invalid; see the comment at the top of main.js");
    process.exit(2);
  }
}

function credentialsOf(given) {
  if (given.plaintext) return credentials.createInsecure();
  const read = (name) => (given[name] === undefined ? null : readFileSync(given[name]));
  return credentials.createSsl(read("ca-file"), read("key-file"), read("cert-file"));
}

async function readToken(file) {
  return (await text(file === undefined ? process.stdin : createReadStream(file))).trim();
}

// The answers to "is the token dead?".
const states = {
  NOT_APPLIED: "not by this call",
  IN_PROGRESS: "soon: SlashID accepted the revocation",
  UNKNOWN: "unknown",
};

function whenToRetry({ state, retryable, retryDelayMs }) {
  if (state === "IN_PROGRESS") return "not needed: SlashID continues";
  const how = state === "UNKNOWN" ? " with --allow-invalid, which succeeds either way" : "";
  if (retryable) return `in ${retryDelayMs / 1e3} s${how}`;
  return state === "UNKNOWN" ? `now${how}` : "after the cause is fixed";
}

function report({ code, message, reason, state, correlationId, violations, ...when }) {
  const lines = [
    ["dead?", `${states[state]} (${state})`],
    ["reason", `${reason || code}: ${message}`],
    ...violations.map(({ field, description }) => ["violation", `${field} ${description}`]),
    ["retry", whenToRetry({ state, ...when })],
    ["correlation id", correlationId || "none"],
  ];
  for (const [name, value] of lines) console.error(name.padEnd(16) + value);
}

const given = readFlags();
const client = connect(given.addr, credentialsOf(given));
try {
  const response = await revoke(client, {
    token: await readToken(given["token-file"]),
    consistency: given["all-regions"] ? "CONSISTENCY_ALL_REGIONS" : "CONSISTENCY_LOCAL_REGION",
    timeout: { seconds: given.timeout },
    allow_invalid: given["allow-invalid"],
  });
  console.log("dead?".padEnd(16) + `yes (${response.outcome})`);
  console.log("correlation id".padEnd(16) + response.correlation_id);
} catch (error) {
  if (!(error instanceof RevokeError)) throw error;
  report(error.failure);
  process.exitCode = 1;
} finally {
  client.close();
}
