import { element, prose } from "./text.js";

// interesting lists the response headers that the page shows.
const interesting = ["slashid-correlation-id", "quash-error-reason", "quash-revocation-state", "retry-after", "content-type"];

// show fills panel with a response and its description from openapi.json.
export async function show(panel, api, operation, response, took) {
  const text = await response.text();
  const body = parse(text);
  const said = verdict(response, body);
  const described = api.resolve(operation.responses[response.status] ?? {});
  panel.className = "answer";
  panel.replaceChildren(
    element("div", { class: "verdict" },
      element("span", { class: `status ${mood(response, said.state)}` }, `${response.status} ${response.statusText}`.trim()),
      element("span", { class: "said" }, said.reason ? `${said.reason} · ${said.state}` : said.outcome),
      element("span", { class: "took" }, `after ${took} ms`)),
    element("div", { class: "meaning" }, meaning(api, described, said)),
    element("dl", { class: "headers" }, interesting.filter((name) => response.headers.has(name))
      .map((name) => [element("dt", {}, name), element("dd", {}, response.headers.get(name))]).flat()),
    ...(text ? [element("pre", {}, body ? JSON.stringify(body, null, 2) : text)] : []),
  );
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// verdict returns the reason and the state of an error, or the outcome of a success.
function verdict(response, body) {
  const detail = (type) => body?.details?.find((d) => d["@type"].endsWith(type));
  const reason = response.headers.get("quash-error-reason") ?? detail("google.rpc.ErrorInfo")?.reason;
  const state = response.headers.get("quash-revocation-state") ?? detail("quash.v1.RevokeFailure")?.state;
  return { reason, state: state?.replace("REVOCATION_STATE_", ""), outcome: body?.outcome?.replace("OUTCOME_", "") ?? "" };
}

function mood(response, state) {
  if (response.ok) return "good";
  return ["IN_PROGRESS", "UNKNOWN"].includes(state) ? "wait" : "bad";
}

// meaning describes the response: its reason, state or outcome, or else its status.
function meaning(api, described, { reason, state, outcome }) {
  const about = (schema, value) => api.document.components.schemas[schema].oneOf.find((one) => one.const === value)?.description;
  const texts = [about("Reason", reason), about("RevocationState", `REVOCATION_STATE_${state}`), about("Outcome", `OUTCOME_${outcome}`)];
  return prose(texts.filter(Boolean).join(" ") || described.description || "openapi.json does not describe this response.");
}

// fail shows that there is no response.
export function fail(panel, error) {
  panel.className = "answer";
  panel.replaceChildren(
    element("div", { class: "verdict" }, element("span", { class: "status wait" }, error.name === "AbortError" ? "cancelled" : "no response")),
    element("p", { class: "meaning" }, "The token may be dead or alive: quash completes a revocation that it has sent. Send the request again."),
  );
}
