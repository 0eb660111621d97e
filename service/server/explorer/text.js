// All content becomes text nodes, so that neither openapi.json nor a response can inject
// markup.

// element creates an element with attributes and children.
export function element(name, attributes = {}, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) e.setAttribute(key, value === true ? "" : value);
  }
  e.append(...children.flat().filter((child) => child !== undefined && child !== null));
  return e;
}

// line turns `code` into elements. The document has no other inline markup.
export function line(text) {
  return text.split("`").map((part, i) => (i % 2 ? element("code", {}, part) : part));
}

// prose turns paragraphs and lists into elements.
export function prose(text = "") {
  return text.split("\n\n").map((block) => {
    if (!block.startsWith("- ")) return element("p", {}, line(block));
    return element("ul", {}, block.split(/\n(?=- )/).map((item) => element("li", {}, line(item.slice(2)))));
  });
}

// firstSentence returns the first sentence of a description, for the text beside a field.
export function firstSentence(text = "") {
  return text.split("\n\n")[0].replace(/\s+/g, " ").match(/^.*?\.(?= |$)/)?.[0] ?? text;
}
