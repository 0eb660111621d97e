import { element, line, prose } from "./text.js";

// interesting are the headers of an answer that say something about the call.
const interesting = ["slashid-correlation-id", "quash-error-reason", "quash-revocation-state", "retry-after", "content-type"];

// show fills panel with an answer, and with what the document says of it.
export async function show(panel, api, operation, response, took) {
  const text = await response.text();
  const body = parse(text);
  const said = verdict(response, body);
  const described = api.resolve(operation.responses[response.status] ?? {});
  const example = described.content?.["application/json"]?.examples?.[said];
  panel.className = "answer";
  panel.replaceChildren(
    element("div", { class: "verdict" },
      element("span", { class: `status ${mood(response, said)}` }, `${response.status} ${response.statusText}`.trim()),
      element("span", { class: "said" }, said.replace("-", " · ")),
      element("span", { class: "took" }, `after ${took} ms`)),
    element("div", { class: "meaning" }, meaning(described, example)),
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

// verdict is by what name the document's examples have the answer: the reason and the
// state, or the outcome.
function verdict(response, body) {
  const detail = (type) => body?.details?.find((d) => d["@type"].endsWith(type));
  const reason = response.headers.get("quash-error-reason") ?? detail("google.rpc.ErrorInfo")?.reason;
  const state = response.headers.get("quash-revocation-state") ?? detail("quash.v1.RevokeFailure")?.state;
  if (reason) return `${reason}-${state?.replace("REVOCATION_STATE_", "") ?? ""}`;
  return body?.outcome?.replace("OUTCOME_", "") ?? "";
}

function mood(response, said) {
  if (response.ok) return "good";
  return said.endsWith("-IN_PROGRESS") || said.endsWith("-UNKNOWN") ? "wait" : "bad";
}

function meaning(described, example) {
  if (example) return element("p", {}, line(`${capital(example.summary)}. ${example.description}`));
  return prose(described.description ?? "openapi.json does not describe this answer.");
}

function capital(text) {
  return text[0].toUpperCase() + text.slice(1);
}

// fail says that there is no answer.
export function fail(panel, error) {
  panel.className = "answer";
  panel.replaceChildren(
    element("div", { class: "verdict" }, element("span", { class: "status wait" }, error.name === "AbortError" ? "cancelled" : "no answer")),
    element("p", { class: "meaning" }, "What became of the token is not known: quash finishes what it has sent. Repeat the call."),
  );
}
