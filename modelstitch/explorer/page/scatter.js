/* Any measure against any other: points where they can be told apart, counts in squares where they can't. */

const MOST = 3000; // points
const BINS = 40;
const COLOURS = { recipes: "recipes", objective: "objective", sender: "sender's architecture", receiver: "receiver's architecture", depth: "receiver's depth", none: "nothing" };

function groupOf(pair, column) {
  if (state.colour === "recipes") return recipesOf(pair);
  if (state.colour === "objective") return sentence(pair.objective);
  if (state.colour === "sender" || state.colour === "receiver") return networkOf.get(pair[state.colour]).architecture;
  if (state.colour === "depth") {
    const count = networkOf.get(pair.receiver).layer_count;
    const depth = count > 1 ? pair.columns[column] / (count - 1) : 1;
    return depth < 1 / 3 ? "early" : depth < 2 / 3 ? "middle" : "late";
  }
  return "cells";
}

/** All cells that the filters let through and that have both measures. */
function points() {
  const [xs, ys] = [study.measures[state.x].values, study.measures[state.y].values];
  const found = [];
  for (const pair of filtered()) {
    for (let cell = 0; cell < sizeOf(pair); cell += 1) {
      const [x, y] = [xs[pair.start + cell], ys[pair.start + cell]];
      if (x === null || x === undefined || y === null || y === undefined) continue;
      const row = Math.floor(cell / pair.columns.length);
      const column = cell % pair.columns.length;
      found.push({ pair, row, column, x, y, group: groupOf(pair, column) });
    }
  }
  return found;
}

/** Spearman's rank correlation. */
function spearman(found) {
  const ranks = (key) => {
    const order = found.map((point, place) => [point[key], place]).sort((a, b) => a[0] - b[0]);
    const rank = new Array(order.length);
    for (let start = 0; start < order.length;) {
      let end = start;
      while (end < order.length && order[end][0] === order[start][0]) end += 1;
      for (let at = start; at < end; at += 1) rank[order[at][1]] = (start + end - 1) / 2;
      start = end;
    }
    return rank;
  };
  const [a, b] = [ranks("x"), ranks("y")];
  const middle = (found.length - 1) / 2;
  let [ab, aa, bb] = [0, 0, 0];
  for (let place = 0; place < a.length; place += 1) {
    ab += (a[place] - middle) * (b[place] - middle);
    aa += (a[place] - middle) ** 2;
    bb += (b[place] - middle) ** 2;
  }
  return aa && bb ? ab / Math.sqrt(aa * bb) : null;
}

/** The square that one comes to by an arrow key: the next in its row, or the nearest in the next row that has any. */
function nextSquare(squares, from, [down, across]) {
  const rows = new Map();
  for (const [x, y] of squares) rows.set(y, (rows.get(y) ?? new Set()).add(x));
  if (!from) return squares[0];
  const nearest = (values, wanted) => [...values].reduce((best, value) => (Math.abs(value - wanted) < Math.abs(best - wanted) ? value : best));
  const farther = (values, here, by) => [...values].filter((value) => (value - here) * by > 0);
  const row = rows.has(from[1]) ? from[1] : nearest(rows.keys(), from[1]);
  if (across) {
    const ahead = farther(rows.get(row), from[0], across);
    return [nearest(ahead.length ? ahead : rows.get(row), from[0]), row];
  }
  const ahead = farther(rows.keys(), row, -down);
  const next = ahead.length ? nearest(ahead, row) : row;
  return [nearest(rows.get(next), from[0]), next];
}

const cellHover = (point) => `${plain(pairLabel(point.pair))}<br>${plain(layerName(point.pair.sender, point.pair.rows[point.row]))} → ${plain(layerName(point.pair.receiver, point.pair.columns[point.column]))}<br>${plain(sentence(state.x))} ${format(point.x)}<br>${plain(sentence(state.y))} ${format(point.y)}`;

function scatterView() {
  const menu = (key, words) => select(key, words, numbers().map((one) => [one, sentence(one)]), state[key], (value) => go({ [key]: value, behind: "" }));
  const controls = make("div", { class: "controls" }, menu("x", "Across"), menu("y", "Up"),
    make("button", { type: "button", id: "exchange", onclick: () => go({ x: state.y, y: state.x, behind: "" }) }, "Exchange"),
    select("colour", "Colour by", Object.entries(COLOURS), state.colour, (value) => go({ colour: value })),
    ...filters({ objective: "all", measure: false }).filter(Boolean));
  const heading = [make("h2", {}, "One measure against another"), controls];
  const found = points();
  if (!found.length) return [...heading, make("p", { class: "warn" }, "No cell has both measures and passes these filters.")];
  const ends = (key) => found.reduce(([low, high], point) => [Math.min(low, point[key]), Math.max(high, point[key])], [Infinity, -Infinity]);
  const [[x0, x1], [y0, y1]] = [ends("x"), ends("y")];
  const bin = (value, low, high) => Math.min(BINS - 1, Math.floor(((value - low) / (high - low || 1)) * BINS));
  const binned = found.length > MOST;
  const behind = state.behind ? state.behind.split("_").map(Number) : null;
  // What lies behind a point is what a reader can't tell from it: the same square of a grid.
  const here = behind ? found.filter((point) => bin(point.x, x0, x1) === behind[0] && bin(point.y, y0, y1) === behind[1]) : [];
  const rho = spearman(found);
  const label = (key) => plain(sentence(state[key]));
  const rows = (list) => list.map((point) => ({ pair: pairLabel(point.pair), objective: point.pair.objective, sender_layer: layerName(point.pair.sender, point.pair.rows[point.row]), receiver_layer: layerName(point.pair.receiver, point.pair.columns[point.column]), x: point.x, y: point.y, point }));
  const columns = [
    { key: "pair", name: "pair", link: ({ point }) => ({ view: "pair", ...named(point.pair), i: point.pair.rows[point.row], j: point.pair.columns[point.column] }) },
    { key: "objective", name: "objective" }, { key: "sender_layer", name: "sender layer" }, { key: "receiver_layer", name: "receiver layer" },
    { key: "x", name: sentence(state.x), number: true }, { key: "y", name: sentence(state.y), number: true },
  ];
  const squareOf = (point) => [bin(point.x, x0, x1), bin(point.y, y0, y1)];
  const keys = (event) => {
    if (event.key === "Enter" && behind) { document.querySelector("#behind-table tbody a")?.focus(); return; }
    if (event.key === "Escape" && behind) { go({ behind: "" }); return; }
    const move = ARROWS[event.key];
    if (!move || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const next = nextSquare(found.map(squareOf), behind, move);
    const inside = found.filter((point) => String(squareOf(point)) === String(next));
    speak(`${inside.length} ${inside.length === 1 ? "cell" : "cells"}: ${sentence(state.x)} about ${format(inside[0].x)}, ${sentence(state.y)} about ${format(inside[0].y)}`);
    go({ behind: next.join("_") });
  };
  const groups = [...new Set(found.map((point) => point.group))].sort();
  const many = groups.length > GROUPS.length;
  const draw = (colours, width) => {
    const layout = {
      width: Math.min(width, 860), height: Math.min(560, Math.max(360, width * 0.62)), margin: { l: 62, r: 16, t: 16, b: 48 }, hovermode: "closest",
      xaxis: axis(colours, { title: { text: label("x"), standoff: 6 }, automargin: false }), yaxis: axis(colours, { title: { text: label("y"), standoff: 6 }, automargin: false }),
      shapes: behind ? [{ type: "rect", x0: x0 + (behind[0] / BINS) * (x1 - x0), x1: x0 + ((behind[0] + 1) / BINS) * (x1 - x0), y0: y0 + (behind[1] / BINS) * (y1 - y0), y1: y0 + ((behind[1] + 1) / BINS) * (y1 - y0), line: { color: "#d1242f", width: 2 } }] : [],
    };
    if (binned) {
      const tally = Array.from({ length: BINS }, () => new Array(BINS).fill(0));
      for (const point of found) tally[bin(point.y, y0, y1)][bin(point.x, x0, x1)] += 1;
      const middle = (low, high) => Array.from({ length: BINS }, (_, place) => low + ((place + 0.5) / BINS) * (high - low || 1));
      const most = Math.max(...tally.flat());
      const ticks = [1, 10, 100, 1000, 10000].filter((count) => count <= most);
      return {
        traces: [{ type: "heatmap", x: middle(x0, x1), y: middle(y0, y1), z: tally.map((line) => line.map((count) => (count ? Math.log10(count) : null))), customdata: tally, colorscale: scaleColours("scale"), hoverongaps: false,
          hovertemplate: `${label("x")} about %{x:.3f}<br>${label("y")} about %{y:.3f}<br>%{customdata} cells<extra></extra>`, colorbar: { thickness: 10, outlinewidth: 0, tickvals: ticks.map(Math.log10), ticktext: ticks.map(String), title: { text: "cells", side: "right" } } }],
        layout: { ...layout, margin: { ...layout.margin, r: 80 } },
      };
    }
    const traces = (many ? ["cells"] : groups).map((group, place) => {
      const members = many ? found : found.filter((point) => point.group === group);
      return { type: "scatter", mode: "markers", name: plain(group), x: members.map((point) => point.x), y: members.map((point) => point.y), customdata: members.map(cellHover), hovertemplate: "%{customdata}<extra></extra>",
        marker: { color: study.colours.recipes[group] ?? GROUPS[place], symbol: SYMBOLS[place], size: found.length > 600 ? 5 : 7, opacity: found.length > 300 ? 0.65 : 0.85, line: { width: 0 } } };
    });
    const legend = groups.length > 1 && !many;
    return { traces, layout: { ...layout, showlegend: legend, legend: { orientation: "h", x: 0, y: 1, yanchor: "bottom" }, margin: { ...layout.margin, t: legend ? 30 + 22 * Math.ceil((groups.length * 140) / Math.min(width, 860)) : 16 } } };
  };
  return [
    ...heading,
    make("p", {}, `${format(found.length)} cells${binned ? `, more than can be told apart: squares are coloured by how many they hold` : ""}. Spearman's rank correlation is ${rho === null ? "not defined, since one measure is constant" : format(rho)}.`),
    many && !binned ? make("p", { class: "soft" }, `${groups.length} groups are more than can be told by colour: all have one.`) : null,
    figure({
      id: "scatter", title: `${sentence(state.y)} against ${sentence(state.x)}`, hint: "Click, or move by the arrow keys, to list the cells behind a point; Enter goes to the list.", keys,
      words: `${sentence(state.y)} against ${sentence(state.x)} of ${found.length} cells. Arrow keys move from point to point and list the cells behind it, Enter goes to the list. They are in the table below the figure`,
      draw, data: () => ({ columns, rows: rows(found) }),
      click: (point) => go({ behind: `${bin(point.x, x0, x1)}_${bin(point.y, y0, y1)}` }),
    }),
    behind ? make("section", { id: "behind" }, make("h3", {}, here.length === 1 ? "The cell behind the point" : `The ${here.length} cells behind the point`), table("behind-table", { columns, rows: rows(here) })) : null,
  ];
}
