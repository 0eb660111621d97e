// The stub of quash.v1.TokenService, on a connection with the defaults that revocations
// want.
import { readFileSync } from "node:fs";
import { credentials, loadPackageDefinition } from "@grpc/grpc-js";
import { loadFileDescriptorSetFromObject } from "@grpc/proto-loader";

// definitions are quash's service and messages, and the details of its errors, by their
// full names. quash.json is made from the protos: copy it along with this file.
const definitions = loadFileDescriptorSetFromObject(
  JSON.parse(readFileSync(new URL("quash.json", import.meta.url), "utf8")),
  { enums: String, longs: Number, defaults: true },
);
const { quash } = loadPackageDefinition(definitions);

// connect returns a client of the quash at target, host:port or dns:///host:port for all
// addresses of a host. Keep it: it has one connection to each. It speaks TLS, with the
// authorities that Node trusts, unless it is given other credentials.
export function connect(target, creds = credentials.createSsl()) {
  return new quash.v1.TokenService(target, creds, {
    "grpc.service_config": JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
    "grpc.service_config_disable_resolution": 1,
    // What gRPC repeats by itself it does not tell of, and then nobody can say any more
    // what became of the token. revoke.js repeats.
    "grpc.enable_retries": 0,
    // A connection that is silent is asked for a sign of life. quash lets clients ask
    // every 10 s.
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc.keepalive_permit_without_calls": 1,
    // gRPC's own is two minutes: so long a quash that is back would not be noticed.
    "grpc.max_reconnect_backoff_ms": 5_000,
  });
}

// decode returns the message with that full name, or undefined where quash.json does not
// know it.
export function decode(name, bytes) {
  return definitions[name]?.deserialize(bytes);
}
