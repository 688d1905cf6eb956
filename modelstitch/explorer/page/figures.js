/* Figures: drawn by Plotly, each with its table, and its data and picture to take away. */

const GROUPS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#b3a400"]; // Okabe and Ito's
const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "star", "x", "hexagon"];
const LIGHT = { ink: "#1f2328", soft: "#59636e", grid: "#e4e8ec", page: "#ffffff", surface: "#f6f8fa" };
const waiting = []; // what is drawn once the view stands in the page

/** Text for Plotly, which reads some tags. */
const plain = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

function theme() {
  const style = getComputedStyle(document.documentElement);
  return Object.fromEntries(Object.keys(LIGHT).map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

const scaleColours = (name) => study.colours[name].map((colour, place, all) => [place / (all.length - 1), colour]);

function axis(colours, more = {}) {
  return { color: colours.soft, gridcolor: colours.grid, zerolinecolor: colours.grid, linecolor: colours.soft, automargin: true, fixedrange: true, ...more };
}

/**
 * A figure.
 * draw(colours, width) gives { traces, layout }, the layout with its width and height; rows(), { columns, rows } of its table.
 * click(point) and keys(event) are what it answers to; `file` tells its files from those of another pair.
 */
function figure({ id, title, note, draw, data, click, keys, hint, words, file }) {
  const name = [study.study, id, file].filter(Boolean).join("-");
  const plot = make("div", { class: "plot", id: `${id}-plot`, role: keys ? "application" : "img", tabindex: keys ? 0 : null, "aria-label": words ?? title });
  const light = (width) => {
    const { traces, layout } = draw(LIGHT, width);
    return { data: traces, layout: styled(layout, LIGHT, note ? `${title} ${note}` : title) };
  };
  const picture = async (kind) => {
    const { data: traces, layout } = light(Math.max(plot.clientWidth, 480));
    const address = await Plotly.toImage({ data: traces, layout, config: { staticPlot: true } }, { format: kind, width: layout.width, height: layout.height, scale: kind === "png" ? 3 : 1 });
    const content = kind === "svg" ? decodeURIComponent(address.slice(address.indexOf(",") + 1)) : Uint8Array.from(atob(address.split(",")[1]), (letter) => letter.charCodeAt(0));
    save(`${name}.${kind}`, new Blob([content], { type: kind === "svg" ? "image/svg+xml" : "image/png" }));
  };
  const tool = (text, label, action) => make("button", { type: "button", id: `${id}-${text.toLowerCase()}`, title: label, "aria-label": `${label}: ${title}`, onclick: action }, text);
  const card = make("figure", { id },
    make("figcaption", {}, title, note ? make("span", { class: "soft" }, ` ${note}`) : null),
    plot,
    make("div", { class: "tools" },
      tool("SVG", "Save the figure as SVG", () => picture("svg")),
      tool("PNG", "Save the figure as PNG", () => picture("png")),
      tool("CSV", "Save its data as CSV", () => save(`${name}.csv`, csvOf(data()), "text/csv")),
      hint ? make("span", { class: "hint" }, hint) : null),
    folded(id, "As a table", data));
  if (keys) plot.addEventListener("keydown", keys);
  let drawn = null;
  const ready = () => { drawn ??= draw(theme(), plot.clientWidth || 600); return drawn; };
  waiting.push({
    reserve() { plot.style.minHeight = `${ready().layout.height}px`; },
    draw() {
      if (!plot.isConnected) return;
      const colours = theme();
      const { traces, layout } = ready();
      Plotly.newPlot(plot, traces, styled(layout, colours), { displayModeBar: false, responsive: false, doubleClick: false });
      plot.style.minHeight = "";
      if (click) plot.on("plotly_click", (event) => click(event.points[0]));
    },
  });
  return card;
}

function styled(layout, colours, title) {
  return {
    paper_bgcolor: colours.page, plot_bgcolor: colours.page, showlegend: false, dragmode: false, hoverdistance: 20,
    font: { family: 'system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif', size: 12, color: colours.ink },
    hoverlabel: { bgcolor: colours.surface, bordercolor: colours.soft, font: { color: colours.ink, size: 13 }, align: "left" },
    ...layout,
    ...(title ? { title: { text: plain(title), font: { size: 14 }, x: 0, xref: "paper", xanchor: "left", yref: "container", y: 0.99, yanchor: "top" }, margin: { ...layout.margin, t: (layout.margin?.t ?? 20) + 28 }, height: layout.height + 28 } : {}),
  };
}

/** The scale of the colours, and along its height (in pixels) what they are of, in at most two lines. */
function colourBar(words, height) {
  const most = Math.max(8, Math.floor(height / 6.2));
  const lines = [""];
  for (const word of words.split(" ")) {
    if (lines.at(-1) && `${lines.at(-1)} ${word}`.length > most) lines.push("");
    lines[lines.length - 1] = `${lines.at(-1)} ${word}`.trim();
  }
  if (lines.length > 2) lines.splice(1, Infinity, `${lines[1]} …`);
  return { thickness: 10, outlinewidth: 0, len: 1, tickfont: { size: 11 }, x: 1.01, xpad: 4, title: { text: lines.map(plain).join("<br>"), side: "right", font: { size: 11 } } };
}

/** Traces and layout of a matrix, rows downwards; `rows` and `columns` are labels, `hover` texts by cell, `words` what the colours are. */
function heat({ values, rows, columns, hover, scale, colours, width, across, down, selected, failed, words }) {
  const left = Math.min(150, 30 + 6.6 * Math.max(...rows.map((label) => label.length)));
  const turned = Math.max(...columns.map((label) => label.length)) > 3;
  const top = (turned ? Math.min(140, 26 + 5.6 * Math.max(...columns.map((label) => label.length))) : 26) + (across ? 20 : 0);
  const right = 90;
  const size = Math.max(13, Math.min(72, (width - left - right) / columns.length));
  const shown = size >= 27;
  const marks = [];
  if (failed) values.forEach((row, y) => row.forEach((value, x) => { if (value === null) marks.push([x, y]); }));
  const shapes = selected ? [{ type: "rect", x0: selected[1] - 0.5, x1: selected[1] + 0.5, y0: selected[0] - 0.5, y1: selected[0] + 0.5, line: { color: "#ffffff", width: 4 } },
    { type: "rect", x0: selected[1] - 0.5, x1: selected[1] + 0.5, y0: selected[0] - 0.5, y1: selected[0] + 0.5, line: { color: "#d1242f", width: 2 } }] : [];
  return {
    traces: [
      {
        type: "heatmap", z: values, x: columns.map((_, place) => place), y: rows.map((_, place) => place), xgap: 1, ygap: 1,
        zmin: scale.low, zmax: scale.high, colorscale: scaleColours(scale.diverging ? "difference" : "scale"), hoverongaps: true,
        text: values.map((row) => row.map((value) => (value === null ? "" : short(value)))), texttemplate: shown ? "%{text}" : "",
        textfont: { size: Math.min(13, size / 2.7) }, customdata: hover, hovertemplate: "%{customdata}<extra></extra>",
        colorbar: colourBar(words, size * rows.length),
      },
      { type: "scatter", mode: "markers", x: marks.map((mark) => mark[0]), y: marks.map((mark) => mark[1]), marker: { symbol: "x-thin", size: size / 2.5, line: { color: colours.soft, width: 1 } }, hoverinfo: "skip" },
    ],
    layout: {
      width: left + right + size * columns.length, height: top + 12 + size * rows.length,
      margin: { l: left, r: right, t: top, b: 12 }, shapes,
      annotations: across ? [{ text: plain(across), x: 0, xref: "paper", xanchor: "left", y: 1, yref: "paper", yanchor: "top", yshift: top - 2, showarrow: false, font: { size: 12, color: colours.soft } }] : [],
      plot_bgcolor: colours.grid,
      xaxis: axis(colours, { side: "top", automargin: false, showgrid: false, zeroline: false, tickvals: columns.map((_, place) => place), ticktext: columns.map(plain), tickangle: turned ? -60 : 0, range: [-0.5, columns.length - 0.5], ticklen: 2}),
      yaxis: axis(colours, { automargin: false, showgrid: false, zeroline: false, tickvals: rows.map((_, place) => place), ticktext: rows.map(plain), range: [rows.length - 0.5, -0.5], ticklen: 2, title: down ? { text: plain(down), font: { size: 12 }, standoff: 4 } : undefined }),
    },
  };
}

/** A number within a cell. */
function short(value) {
  const size = Math.abs(value);
  const text = size >= 1000 ? value.toExponential(0) : value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
  return text.replace(/^-(?=[0.]+$)/, "").replace("-", "\u2212");
}

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/** Say to readers of a screen what was reached by key. */
function speak(text) { document.getElementById("spoken").textContent = text; }
