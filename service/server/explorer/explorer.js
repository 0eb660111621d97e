import { fail, show } from "./answer.js";
import { control, fieldsOf, requestOf } from "./form.js";
import { element, prose } from "./text.js";

// The inputs that hold secrets. Their values stay in this page's memory and are sent only to
// quash.
const secrets = [];

const api = {
  document: await read(),
  // resolve follows a $ref. Members beside the $ref override those of its target.
  resolve(value) {
    if (!value?.$ref) return value;
    const { $ref, ...beside } = value;
    const target = $ref.slice(2).split("/").reduce((at, key) => at[key], this.document);
    return { ...target, ...beside };
  },
};

const { info, paths } = api.document;
document.querySelector("#title").textContent = info.title;
document.querySelector("#summary").textContent = info.summary;
document.querySelector("#introduction").append(...prose(info.description));
for (const [path, { post }] of Object.entries(paths)) {
  document.querySelector("#operations").append(card(path, post));
}
// Clear the secrets: the browser may keep the page in its back/forward cache.
addEventListener("pagehide", () => {
  for (const input of secrets) input.value = "";
});

async function read() {
  try {
    return await (await fetch("openapi.json")).json();
  } catch (error) {
    document.querySelector("#summary").textContent = "openapi.json could not be loaded. Reload this page.";
    throw error;
  }
}

function card(path, operation) {
  const fields = fieldsOf(api, operation);
  const controls = new Map(fields.map((field) => [field, control(field)]));
  secrets.push(...fields.map((field) => field.input).filter((input) => input.type === "password"));
  const some = (choose) => fields.filter(choose).map((field) => controls.get(field));
  const panel = element("div", { class: "answer empty", "aria-live": "polite" }, "The response appears here.");
  const button = element("button", { type: "submit" }, "Send");
  const form = element("form", { autocomplete: "off", novalidate: true },
    element("h3", {}, "Body"), some((f) => f.kind === "body"),
    // Open the headers only if the body has no fields for consistency and timeout.
    group("Headers", fields.filter((f) => f.kind === "body").length === 1, some((f) => f.kind === "header" && !f.credential)),
    group("Credentials for SlashID", false, some((f) => f.credential)),
    element("div", { class: "actions" }, button));
  tryOut(form, button, () => call(path, operation, fields, panel));
  return element("section", { class: "operation", id: operation.operationId },
    element("h2", {}, operation.summary),
    element("p", { class: "route" }, element("span", { class: "method" }, "POST"), element("span", { class: "path" }, path)),
    element("details", {}, element("summary", {}, "Description"), element("div", { class: "prose" }, prose(operation.description))),
    element("div", { class: "columns" }, form, element("div", {}, element("h3", {}, "Response"), panel)),
    element("details", { class: "responses" }, element("summary", {}, "All responses"), answers(operation)));
}

function group(title, open, controls) {
  return element("details", { open }, element("summary", {}, title), element("div", { class: "fields" }, controls));
}

// tryOut sends one request at a time. While a request is in flight, the button cancels it.
function tryOut(form, button, send) {
  let waiting = null;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (waiting) {
      waiting.abort();
      return;
    }
    waiting = new AbortController();
    button.textContent = "Cancel";
    button.classList.add("stop");
    await send()(waiting.signal);
    waiting = null;
    button.textContent = "Send";
    button.classList.remove("stop");
  });
}

function call(path, operation, fields, panel) {
  const { url, ...request } = requestOf(path, fields);
  return async (signal) => {
    panel.className = "answer empty";
    panel.replaceChildren("Waiting …");
    const begun = performance.now();
    try {
      const answered = await fetch(url, { method: "POST", cache: "no-store", redirect: "error", signal, ...request });
      await show(panel, api, operation, answered, Math.round(performance.now() - begun));
    } catch (error) {
      fail(panel, error);
    }
  };
}

function answers(operation) {
  return element("dl", {}, Object.entries(operation.responses).map(([status, described]) => [
    element("dt", { class: "mono" }, status),
    element("dd", {}, prose(api.resolve(described).description)),
  ]).flat());
}
