/* All pairs at a glance: one matrix of matrices, or one square per pair, and the list of pairs. */

const [LINE, TURN] = [14, 50]; // pixels between the middles of two lines of text; degrees by which the upper labels are turned
const SORTS = { depth: "depth and name", accuracy: "mean of the measure", cluster: "cluster of networks" };

function filters({ objective = true, measure = true } = {}) {
  const unique = (key) => [...new Set(study.networks.map((network) => network[key]))].sort((a, b) => String(a).localeCompare(String(b), "en", { numeric: true }));
  const seeds = unique("seed");
  const all = objective === "all" ? [["all", "all"]] : [];
  const counts = new Map([["all", 0]]);
  for (const pair of study.pairs) {
    if (state.objective !== "all" && pair.objective !== state.objective) continue;
    counts.set(recipesOf(pair), (counts.get(recipesOf(pair)) ?? 0) + 1);
    counts.set("all", counts.get("all") + 1);
  }
  if (!counts.has(state.recipes)) counts.set(state.recipes, 0);
  const several = (key) => unique(key).length > 1;
  return [
    select("objective", "Objective", [...all, ...objectives().map((one) => [one, sentence(one)])], state.objective, (value) => go({ objective: value })),
    measure ? select("measure", "Measure", numbers().map((one) => [one, sentence(one)]), state.measure, (value) => go({ measure: value })) : null,
    select("recipes", "Recipes", [...counts].reverse().map(([key, count]) => [key, `${key} (${count})`]), state.recipes, (value) => go({ recipes: value })),
    several("architecture") ? choice("senders", "Sender", "senders", unique("architecture")) : null,
    several("architecture") ? choice("receivers", "Receiver", "receivers", unique("architecture")) : null,
    seeds.length > 1 ? choice("sender-seeds", "Sender's seed", "sender_seeds", seeds) : null,
    seeds.length > 1 ? choice("receiver-seeds", "Receiver's seed", "receiver_seeds", seeds) : null,
    LISTS.some((key) => state[key]) || state.recipes !== defaults.recipes
      ? make("button", { type: "button", id: "no-filters", onclick: () => go({ ...Object.fromEntries(LISTS.map((key) => [key, ""])), recipes: defaults.recipes }) }, "Reset filters") : null,
  ];
}

/** Networks of a role, in the order that is asked for. */
function ordered(pairs, role, means) {
  const ids = [...new Set(pairs.map((pair) => pair[role]))];
  const recipe = (id) => study.networks.findIndex((network) => network.recipe === networkOf.get(id).recipe);
  if (state.sort === "cluster") {
    const order = study.orders[pairs[0].objective][`${role}s`];
    return ids.sort((a, b) => order.indexOf(a) - order.indexOf(b));
  }
  if (state.sort === "accuracy") {
    const mean = new Map(ids.map((id) => [id, meanOf(pairs.filter((pair) => pair[role] === id).map((pair) => means.get(pair))) ?? -Infinity]));
    return ids.sort((a, b) => mean.get(b) - mean.get(a));
  }
  return ids.sort((a, b) => recipe(a) - recipe(b) || networkOf.get(a).layer_count - networkOf.get(b).layer_count || a.localeCompare(b, "en", { numeric: true }));
}

function overview() {
  const pairs = filtered();
  const means = new Map(pairs.map((pair) => [pair, meanOf(matrixOf(pair, state.measure).flat())]));
  const controls = make("div", { class: "controls" },
    ...filters().filter(Boolean),
    select("sort", "Sort networks by", Object.entries(SORTS), state.sort, (value) => go({ sort: value })),
    select("squares", "Show", [["cells", "every cell"], ["pairs", "the mean of each pair"]], state.squares, (value) => go({ squares: value })));
  const heading = [make("h2", {}, "All pairs"), controls];
  if (!pairs.length) return [...heading, make("p", { class: "warn" }, "No pair passes these filters.")];
  const [senders, receivers] = ["sender", "receiver"].map((role) => ordered(pairs, role, means));
  const byNetworks = new Map(pairs.map((pair) => [`${pair.sender} ${pair.receiver}`, pair]));
  const at = (sender, receiver) => byNetworks.get(`${sender} ${receiver}`);
  const chosen = pairs.find((pair) => pair.sender === state.sender && pair.receiver === state.receiver);
  const open = (pair) => go({ view: "pair", ...named(pair), i: "", j: "" });
  const keys = (event) => {
    if (event.key === "Enter" && chosen) { open(chosen); return; }
    const step = ARROWS[event.key];
    if (!step) return;
    event.preventDefault();
    const next = nextPair(pairs, senders, receivers, chosen, step);
    if (!next) return;
    speak(`${pairLabel(next)}, mean ${format(means.get(next))}`);
    go({ sender: next.sender, receiver: next.receiver, i: "", j: "" });
  };
  const whole = state.squares === "pairs" ? pairSquares : cellSquares;
  return [
    ...heading,
    make("p", {}, `Rows are senders, columns receivers${state.squares === "cells" ? "; within each square, rows are the sender's layers and columns the receiver's, the first at the top left" : ""}. Choose a square to open its matrix. ${pairs.length} of ${study.pairs.length} matrices.`),
    figure({
      id: "all-pairs", title: sentence(state.measure), note: `of ${sentence(state.objective)}, ${state.recipes === "all" ? "all recipes" : state.recipes}`,
      words: `${sentence(state.measure)} of ${pairs.length} pairs. Arrow keys move from pair to pair, Enter opens the matrix. The same numbers are in the table below the figure`,
      hint: "Arrow keys move, Enter opens.", keys,
      draw: (colours, width) => whole({ pairs, senders, receivers, at, means, chosen, colours, width }),
      data: () => pairRows(pairs, means),
      click: (point) => { const pair = pairs.find((one) => one.place === pointPair(point)); if (pair) open(pair); },
    }),
    make("h3", {}, "The pairs"),
    table("pairs", pairRows(pairs, means)),
  ];
}

/** The pair that one comes to by an arrow key: the next in the row or column, else the nearest of those farther on. */
function nextPair(pairs, senders, receivers, chosen, [down, across]) {
  const placed = pairs.map((pair) => ({ pair, row: senders.indexOf(pair.sender), column: receivers.indexOf(pair.receiver) }));
  const nearest = (list, rank) => list.sort((one, other) => rank(one) - rank(other))[0]?.pair;
  if (!chosen) return nearest(placed, ({ row, column }) => row * receivers.length + column);
  const [row, column] = [senders.indexOf(chosen.sender), receivers.indexOf(chosen.receiver)];
  const along = (one) => down * (one.row - row) + across * (one.column - column);
  const aside = (one) => Math.abs(down ? one.column - column : one.row - row);
  const farther = placed.filter((one) => along(one) > 0);
  return nearest(farther, (one) => aside(one) * (senders.length + receivers.length) + along(one));
}

const pointPair = (point) => point.data.places[point.y][point.x];

function pairRows(pairs, means) {
  const rows = pairs.map((pair) => {
    const values = matrixOf(pair, state.measure).flat().filter((value) => value !== null);
    const triangle = state.measure === "accuracy" ? triangleOf.get(keyOf(pair)) : null;
    const [sender, receiver] = [networkOf.get(pair.sender), networkOf.get(pair.receiver)];
    return {
      ...named(pair), pair: pairLabel(pair), sender_layers: sender.layer_count, receiver_layers: receiver.layer_count,
      mean: means.get(pair), lowest: values.length ? Math.min(...values) : null, highest: values.length ? Math.max(...values) : null,
      failed: sizeOf(pair) - values.length, below: triangle?.below ?? null, above: triangle?.above ?? null, difference: triangle?.difference ?? null,
    };
  });
  const columns = [
    { key: "pair", name: "pair", link: (row) => ({ view: "pair", ...named(row), i: "", j: "" }) },
    ...[["sender_layers", "sender layers"], ["receiver_layers", "receiver layers"], ["mean", "mean"], ["lowest", "lowest"], ["highest", "highest"]].map(([key, name]) => ({ key, name, number: true })),
    ...(state.measure === "accuracy" ? ["below", "above", "difference"].map((key) => ({ key, name: key, number: true })) : []),
    { key: "failed", name: "no value", number: true },
  ];
  return { columns, rows };
}

function frame(colours, box) {
  return [["#ffffff", 4], ["#d1242f", 2]].map(([color, width]) => ({ type: "rect", x0: box[0], x1: box[1], y0: box[2], y1: box[3], line: { color, width } }));
}

/** Where each network's layers lie along an axis, one place between two networks. */
function blocks(ids, layersOf) {
  let start = 0;
  return ids.map((id) => {
    const layers = layersOf(id);
    const block = { id, layers, start, end: start + layers.length };
    start = block.end + 1;
    return block;
  });
}

function cellSquares({ pairs, senders, receivers, at, chosen, colours, width }) {
  const layers = (role, side) => {
    const found = new Map();
    for (const pair of pairs) found.set(pair[role], new Set([...(found.get(pair[role]) ?? []), ...pair[side]]));
    return (id) => [...found.get(id)].sort((a, b) => a - b);
  };
  const rows = blocks(senders, layers("sender", "rows"));
  const columns = blocks(receivers, layers("receiver", "columns"));
  const empty = (value) => Array.from({ length: rows.at(-1).end }, () => new Array(columns.at(-1).end).fill(value));
  const [values, texts, places] = [empty(null), empty(""), empty(-1)];
  const failed = [];
  const all = study.measures[state.measure].values;
  for (const block of [...rows, ...columns]) block.names = block.layers.map((layer) => plain(layerName(block.id, layer)));
  const measure = plain(sentence(state.measure));
  for (const row of rows) {
    for (const column of columns) {
      const pair = at(row.id, column.id);
      if (!pair) continue;
      const heading = `${plain(pairLabel(pair))}<br>`;
      pair.rows.forEach((i, line) => pair.columns.forEach((j, place) => {
        const [down, across] = [row.layers.indexOf(i), column.layers.indexOf(j)];
        const [y, x] = [row.start + down, column.start + across];
        const value = all[pair.start + line * pair.columns.length + place] ?? null;
        values[y][x] = value;
        places[y][x] = pair.place;
        texts[y][x] = `${heading}${row.names[down]} → ${column.names[across]}<br>${measure} ${format(value)}`;
        if (value === null) failed.push([x, y]);
      }));
    }
  }
  return squares({ values, texts, places, rows, columns, chosen, colours, width, failed, gap: 0 });
}

function pairSquares({ senders, receivers, at, means, chosen, colours, width }) {
  const rows = blocks(senders, () => [0]).map((block, place) => ({ ...block, start: place, end: place + 1 }));
  const columns = blocks(receivers, () => [0]).map((block, place) => ({ ...block, start: place, end: place + 1 }));
  const grid = (give) => rows.map((row) => columns.map((column) => { const pair = at(row.id, column.id); return give(pair); }));
  return squares({
    values: grid((pair) => (pair ? means.get(pair) : null)), places: grid((pair) => pair?.place ?? -1),
    texts: grid((pair) => (pair ? `${plain(pairLabel(pair))}<br>mean ${plain(sentence(state.measure))} ${format(means.get(pair))}` : "")),
    rows, columns, chosen, colours, width, failed: [], gap: 1,
  });
}

function squares({ values, texts, places, rows, columns, chosen, colours, width, failed, gap }) {
  const scale = scaleOf(state.measure);
  const longest = Math.max(...[...rows, ...columns].map((block) => labelOf(block.id).length));
  const narrow = width < 560;
  const left = Math.min(narrow ? 104 : 170, 22 + 6.4 * longest);
  const top = Math.min(narrow ? 92 : 130, 18 + 5.2 * longest);
  const right = narrow ? 76 : 84;
  const size = Math.max(0.5, Math.min(gap ? 48 : 22, (width - left - right) / values[0].length, gap ? 48 : Math.max(4, 760 / values.length)));
  const middle = (block) => (block.start + block.end - 1) / 2;
  // Labels of at least so many pixels apart: lines of text in a column, and turned by TURN above it.
  const ticks = (list, apart) => {
    let last = -Infinity;
    const shown = list.filter((block) => {
      const free = (middle(block) - last) * size >= apart;
      if (free) last = middle(block);
      return free;
    });
    const cut = (text) => (narrow && text.length > 14 ? `${text.slice(0, 13)}…` : text);
    return { tickvals: shown.map(middle), ticktext: shown.map((block) => plain(cut(labelOf(block.id)))) };
  };
  const row = rows.find((block) => block.id === chosen?.sender);
  const column = columns.find((block) => block.id === chosen?.receiver);
  const shapes = row && column ? frame(colours, [column.start - 0.5, column.end - 0.5, row.start - 0.5, row.end - 0.5]) : [];
  return {
    traces: [
      { type: "heatmap", z: values, customdata: texts, places, hovertemplate: "%{customdata}<extra></extra>", hoverongaps: false, xgap: gap, ygap: gap,
        zmin: scale.low, zmax: scale.high, colorscale: scaleColours(scale.diverging ? "difference" : "scale"),
        text: gap ? values.map((line) => line.map((value) => (value === null ? "" : short(value)))) : undefined, texttemplate: gap && size >= 27 ? "%{text}" : "",
        colorbar: colourBar(`${gap ? "mean " : ""}${sentence(state.measure)}`, size * values.length) },
      { type: "scatter", mode: "markers", x: failed.map((mark) => mark[0]), y: failed.map((mark) => mark[1]), marker: { symbol: "x-thin", size: Math.max(3, size / 2), line: { color: colours.soft, width: 1 } }, hoverinfo: "skip" },
    ],
    layout: {
      width: left + right + size * values[0].length, height: top + 10 + size * values.length, margin: { l: left, r: right, t: top, b: 10 }, shapes,
      xaxis: axis(colours, { side: "top", automargin: false, showgrid: false, zeroline: false, ...ticks(columns, LINE / Math.sin((TURN * Math.PI) / 180)), tickangle: -TURN, range: [-0.5, values[0].length - 0.5], ticklen: 2 }),
      yaxis: axis(colours, { automargin: false, showgrid: false, zeroline: false, ...ticks(rows, LINE), range: [values.length - 0.5, -0.5], ticklen: 2 }),
    },
  };
}
