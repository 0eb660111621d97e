// The stub of quash.v1.TokenService, with channel options for revocations.
import { readFileSync } from "node:fs";
import { credentials, loadPackageDefinition } from "@grpc/grpc-js";
import { loadFileDescriptorSetFromObject } from "@grpc/proto-loader";

// definitions maps full names to quash's service, its messages and the details of its errors.
// quash.json is generated from the protos: copy it together with this file.
const definitions = loadFileDescriptorSetFromObject(
  JSON.parse(readFileSync(new URL("quash.json", import.meta.url), "utf8")),
  { enums: String, longs: Number, defaults: true },
);
const { quash } = loadPackageDefinition(definitions);

// connect returns a client for target: host:port, or dns:///host:port for all addresses of a
// host. Create it once and reuse it: it keeps one connection to each address. It uses TLS with
// the CAs that Node trusts, unless you pass other credentials.
export function connect(target, creds = credentials.createSsl()) {
  return new quash.v1.TokenService(target, creds, {
    "grpc.service_config": JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
    "grpc.service_config_disable_resolution": 1,
    // gRPC does not report its own retries, and after an unreported attempt the
    // state of the token is unknown. revoke.js retries instead.
    "grpc.enable_retries": 0,
    // Pings detect dead connections. quash allows one every 10 s.
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 10_000,
    "grpc.keepalive_permit_without_calls": 1,
    // gRPC's default is two minutes: the client would not notice for that long that quash is
    // available again.
    "grpc.max_reconnect_backoff_ms": 5_000,
  });
}

// decode decodes a message by its full name. It returns undefined if quash.json does not
// contain the name.
export function decode(name, bytes) {
  return definitions[name]?.deserialize(bytes);
}
