import { element, firstSentence, line } from "./text.js";

// fieldsOf lists the inputs of an operation: members of the body, headers, credentials.
export function fieldsOf(api, operation) {
  const body = api.resolve(operation.requestBody.content["application/json"].schema);
  const members = Object.entries(body.properties).map(([name, schema]) => ({
    kind: "body", name, schema: api.resolve(schema), required: (body.required ?? []).includes(name),
  })).sort((a, b) => b.required - a.required);
  const headers = (operation.parameters ?? []).map((p) => api.resolve(p)).filter((p) => p.in === "header")
    .map((p) => ({ kind: "header", name: p.name, schema: { description: p.description, ...api.resolve(p.schema) } }));
  const secret = { type: "string", format: "password" };
  const credentials = Object.values(api.document.components.securitySchemes ?? {}).map((scheme) => ({
    kind: "header",
    credential: true,
    name: scheme.type === "apiKey" ? scheme.name : "Authorization",
    prefix: scheme.type === "http" ? "Bearer " : "",
    schema: { ...secret, description: scheme.description },
  }));
  return [...members, ...headers, ...credentials];
}

// control creates the input element of a field and stores it as field.input.
export function control(field) {
  const { schema } = field;
  // Keep tokens out of password managers and the form history.
  const plain = { name: field.name, autocomplete: "off", spellcheck: "false", "data-1p-ignore": true, "data-lpignore": "true" };
  if (schema.enum) {
    const unset = schema.default ? `not set (default: ${schema.default})` : "not set";
    field.input = element("select", plain, element("option", { value: "" }, unset), schema.enum.map((v) => element("option", {}, v)));
  } else if (schema.type === "boolean") {
    field.input = element("input", { ...plain, type: "checkbox" });
  } else {
    field.input = element("input", {
      ...plain,
      type: schema.format === "password" ? "password" : "text",
      inputmode: schema.type === "integer" ? "numeric" : undefined,
      placeholder: hint(schema),
    });
  }
  const name = element("span", {}, element("span", { class: "name" }, field.name),
    field.required ? element("span", { class: "must" }, "required") : null);
  const about = element("span", { class: "about" }, line(firstSentence(schema.description)));
  return field.input.type === "checkbox"
    ? element("label", { class: "field check" }, field.input, name, about)
    : element("label", { class: "field" }, name, field.input, about);
}

function hint(schema) {
  if (schema.default !== undefined) return `default: ${schema.default}`;
  return schema.examples ? `example: ${schema.examples[0]}` : undefined;
}

// requestOf builds the request from the fields. Empty fields are not sent: quash's own error
// says what is missing.
export function requestOf(path, fields) {
  const body = {};
  const headers = { "Content-Type": "application/json" };
  for (const { kind, name, prefix = "", input } of fields) {
    const value = input.type === "checkbox" ? input.checked : input.value.trim();
    if (value === "" || value === false) continue;
    if (kind === "body") body[name] = value;
    else headers[name] = prefix + value;
  }
  return { url: new URL(path, new URL("openapi.json", document.baseURI)), headers, body: JSON.stringify(body) };
}
