// Everything becomes nodes of text: nothing of the document, and nothing of an answer,
// is ever read as markup.

// element makes an element with attributes and children.
export function element(name, attributes = {}, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) e.setAttribute(key, value === true ? "" : value);
  }
  e.append(...children.flat().filter((child) => child !== undefined && child !== null));
  return e;
}

// line turns `code` into elements. It is all that the document has within a line.
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

// firstSentence is enough beside a field.
export function firstSentence(text = "") {
  return text.split("\n\n")[0].replace(/\s+/g, " ").match(/^.*?\.(?= |$)/)?.[0] ?? text;
}
