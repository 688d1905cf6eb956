/* Elements of the page. All text goes in as text nodes, so that no name of a class or layer is read as markup. */

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const link = (text, changes, attributes = {}) => make("a", { href: address(changes), ...attributes }, text);

function select(id, words, options, value, choose) {
  const menu = make("select", { id, onchange: () => choose(menu.value) });
  for (const [key, text] of options) menu.append(make("option", { value: key, selected: String(key) === String(value) }, text));
  return make("label", {}, words, menu);
}

/** Any of some values, none meaning all. */
function choice(id, words, key, values) {
  const chosen = new Set(listed(key));
  const box = (value) => make("label", {}, make("input", {
    type: "checkbox", id: `${id}-${value}`, checked: chosen.has(String(value)),
    onchange: (event) => {
      if (event.target.checked) chosen.add(String(value));
      else chosen.delete(String(value));
      go({ [key]: values.map(String).filter((one) => chosen.has(one)).join(",") });
    },
  }), String(value));
  const shown = chosen.size ? [...chosen].join(", ") : "all";
  const menu = make("details", { class: "choice", id, open: opened.has(id), ontoggle: () => remember(id, menu.open) },
    make("summary", { id: `${id}-summary` }, shown), make("div", { class: "menu" }, values.map(box)));
  return make("div", { class: "field" }, words, menu);
}

const opened = new Set(); // what is unfolded stays so when the view is drawn again
function remember(id, open) {
  if (open) opened.add(id);
  else opened.delete(id);
}

function save(name, text, kind) {
  const blob = text instanceof Blob ? text : new Blob([text], { type: kind });
  const anchor = make("a", { href: URL.createObjectURL(blob), download: name });
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(anchor.href), 10000);
}

function csvOf({ columns, rows }) {
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns.map((column) => cell(column.name)), ...rows.map((row) => columns.map((column) => cell(row[column.key])))]
    .map((line) => `${line.join(",")}\n`).join("");
}

const SHOWN = 300;
const sorted = new Map(); // by which column a table is sorted, and whether downwards

/** A table that is sorted by the headings. Columns have key, name, and maybe number, link(row), text(row). */
function table(id, { columns, rows, selected }) {
  const body = make("tbody");
  const heads = columns.map((column) => {
    const head = make("th", { scope: "col", class: column.number ? "number" : null });
    head.append(make("button", { type: "button", id: `${id}-by-${column.key}`, onclick: () => {
      const before = sorted.get(id);
      sorted.set(id, { key: column.key, down: before?.key === column.key ? !before.down : Boolean(column.number) });
      fill();
    } }, column.name));
    return head;
  });
  let all = rows.length <= SHOWN;
  const more = make("button", { type: "button", onclick: () => { all = true; fill(); } }, `Show all ${format(rows.length)} rows`);
  const line = (row) => make("tr", { class: selected?.(row) ? "selected" : null }, columns.map((column) => {
    const value = row[column.key];
    const text = column.text ? column.text(row) : format(value);
    return make("td", { class: column.number ? "number" : text.length > 60 ? "long" : null },
      column.link ? link(text, column.link(row)) : text);
  }));
  function fill() {
    const by = sorted.get(id);
    let ordered = rows;
    if (by) {
      const empty = (value) => value === null || value === undefined || value === "";
      ordered = [...rows].sort((one, other) => {
        const [a, b] = [one[by.key], other[by.key]];
        if (empty(a) || empty(b)) return empty(a) - empty(b);
        const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
        return by.down ? -order : order;
      });
    }
    columns.forEach((column, place) => {
      const direction = by?.key !== column.key ? "none" : by.down ? "descending" : "ascending";
      heads[place].setAttribute("aria-sort", direction);
      heads[place].firstChild.textContent = column.name + { none: "", ascending: " ▲", descending: " ▼" }[direction];
    });
    body.replaceChildren(...(all ? ordered : ordered.slice(0, SHOWN)).map(line));
    more.hidden = all;
  }
  fill();
  return make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table" }, make("table", { id }, make("thead", {}, make("tr", {}, heads)), body), more);
}

/** A table that is made when it is unfolded. */
function folded(id, words, data) {
  const place = make("div");
  const box = make("details", { class: "data", id: `${id}-data`, open: opened.has(id), ontoggle: () => {
    remember(id, box.open);
    if (box.open && !place.firstChild) place.append(table(`${id}-table`, data()));
  } }, make("summary", { id: `${id}-fold` }, words), place);
  if (opened.has(id)) place.append(table(`${id}-table`, data()));
  return box;
}

const columnsOf = (names, rows) => names.map((name) => ({
  key: name, name: sentence(name), number: rows.some((row) => typeof row[name] === "number"),
}));
