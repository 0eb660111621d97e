// For the tests of the examples: quash in front of a sandbox of SlashID.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

// python is a Python 3 interpreter with the package grpc, or undefined: tests of the Python example
// are then skipped. `make examples` sets $PYTHON.
export const python = process.env.PYTHON || undefined;

// startDev runs `quash dev` until the test ends. $QUASH is the path of the binary; `make
// examples` sets it.
export async function startDev(t) {
  if (!process.env.QUASH) throw new Error("QUASH is not set: run make examples, or set it to the path of a quash binary");
  const anyPort = ["grpc", "http", "admin", "sandbox"].flatMap((name) => [`--${name}-addr`, "127.0.0.1:0"]);
  const quash = spawn(process.env.QUASH, ["dev", ...anyPort], { stdio: ["ignore", "pipe", "ignore"] });
  const exited = new Promise((resolve) => quash.once("exit", resolve));
  t.after(() => {
    quash.kill();
    return exited;
  });
  const addresses = {};
  for await (const line of createInterface(quash.stdout)) {
    const [, name, address] = /^ {2}(gRPC|REST|admin|sandbox) +(\S+)$/.exec(line) ?? [];
    if (name) addresses[name] = address;
    if (name === "sandbox") return new Dev(addresses);
  }
  throw new Error("quash dev exited before it was ready");
}

class Dev {
  constructor({ gRPC, REST, sandbox }) {
    this.grpc = gRPC;
    this.rest = REST;
    this.sandbox = sandbox;
  }

  // mint returns a token that can be revoked.
  async mint() {
    const answer = await this.#control("POST", "tokens");
    return (await answer.text()).trim();
  }

  // script sets the sandbox's answers to the next calls.
  script(...faults) {
    return this.#control("POST", "faults", faults);
  }

  // revoked returns the number of revoked tokens.
  async revoked() {
    const answer = await this.#control("GET", "revocations");
    return (await answer.json()).length;
  }

  async #control(method, path, body) {
    const answer = await fetch(`${this.sandbox}/_sandbox/${path}`, { method, body: body && JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer;
  }
}
