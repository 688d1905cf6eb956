/* The study's tables as they are, but those with a row per cell, whose columns are measures of the cells. */

function tablesView() {
  const names = Object.keys(study.tables);
  const name = names.includes(state.table) ? state.table : names[0];
  const { columns, rows, length } = study.tables[name];
  const objects = rowsOf(name);
  const data = { columns: columnsOf(columns, objects), rows: objects };
  return [
    make("h2", {}, "Tables"),
    make("p", {}, "What each column means: docs/results.md and docs/measures.md. Tables with a row per cell are not here: their columns are the measures of the other views."),
    make("div", { class: "controls" },
      select("table-of", "Table", names.map((one) => [one, `${sentence(one)} (${format(study.tables[one].length)} rows)`]), name, (value) => go({ table: value })),
      rows ? make("button", { type: "button", id: "table-csv", onclick: () => save(`${study.study}-${name}.csv`, csvOf({ columns: columns.map((key) => ({ key, name: key })), rows: objects }), "text/csv") }, "Save as CSV") : null),
    rows ? (length ? table(`table-${name}`, data) : make("p", { class: "soft" }, "This table has no rows.")) : make("p", {}, `${format(length)} rows are too many for this page: read tables/${name}.csv.`),
  ];
}
