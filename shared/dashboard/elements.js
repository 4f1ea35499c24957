"use strict";
// Makes elements. Whatever comes out of a status becomes a text node or a number in an attribute, and nothing else.
const Elements = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const runbook = document.querySelector("meta[name=runbook]").content;

  function build(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes))
      if (value !== null && value !== false) element.setAttribute(name, value);
    element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
    return element;
  }
  const make = (tag, attributes = {}, ...children) => build(document.createElement(tag), attributes, children);
  const draw = (tag, attributes = {}, ...children) => build(document.createElementNS(SVG, tag), attributes, children);

  const local = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  // UTC to read, the reader's own time as its tooltip.
  function time(ms, now) {
    if (ms === null) return make("span", { class: "unknown" }, "unknown");
    return make(
      "time",
      { datetime: new Date(ms).toISOString(), title: `${local.format(ms)} on your clock` },
      Words.time(ms, now),
    );
  }

  const figure = (value, shown = Words.amount(value)) =>
    make("span", value === null ? { class: "unknown" } : {}, shown);

  // A link where the repository has an address, else the path as text: the deployed app holds no docs.
  function runbookLink(path) {
    if (!runbook.startsWith("https://")) return make("span", { class: "runbook" }, path);
    const href = `${runbook.replace(/\/+$/, "")}/${path}`;
    return make("a", { class: "runbook", href, rel: "noreferrer noopener", target: "_blank" }, path);
  }

  const row = (...cells) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, cells[0]),
      cells.slice(1).map((cell) => make("td", {}, cell)),
    );
  function table(caption, headings, rows) {
    const head = make(
      "thead",
      {},
      make(
        "tr",
        {},
        headings.map((heading) => make("th", { scope: "col" }, heading)),
      ),
    );
    return make("table", {}, make("caption", { class: "aside" }, caption), head, make("tbody", {}, rows));
  }

  const at = (id) => document.getElementById(id);
  const fill = (id, ...children) =>
    at(id).replaceChildren(...children.flat(Infinity).filter((child) => child !== null));
  const silence = (what) => make("p", { class: "unknown" }, `The status says nothing about ${what}.`);
  // A list that is there and empty is another thing than no list.
  const nothing = (given, what) =>
    given ? make("p", { class: "unknown" }, "Nothing is recorded yet.") : silence(what);
  const pairs = (rows) =>
    make(
      "dl",
      {},
      rows.map(([name, ...value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))),
    );

  return { make, draw, time, figure, runbookLink, row, table, at, fill, silence, nothing, pairs };
})();
