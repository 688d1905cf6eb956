/* One matrix, and everything that is known of one of its cells. */

/** Menus that choose an objective, sender and receiver; `suffix` tells the right of two pairs from the left. */
function pairMenus(suffix = "") {
  const [objective, sender, receiver] = ["objective", "sender", "receiver"].map((key) => `${key}${suffix}`);
  const now = { objective: state[objective], sender: state[sender], receiver: state[receiver] };
  const of = (key, fixed) => [...new Set(study.pairs.filter((pair) => fixed.every((one) => pair[one] === now[one])).map((pair) => pair[key]))];
  const change = (key) => (value) => {
    const wanted = { ...now, [key]: value };
    const pair = pairOf.get(keyOf(wanted))
      ?? study.pairs.find((one) => one[key] === value && one.objective === wanted.objective && (one.sender === wanted.sender || one.receiver === wanted.receiver))
      ?? study.pairs.find((one) => one[key] === value);
    go({ [objective]: pair.objective, [sender]: pair.sender, [receiver]: pair.receiver });
  };
  return [
    select(objective, "Objective", of("objective", []).map((one) => [one, sentence(one)]), now.objective, change("objective")),
    select(sender, "Sender", of("sender", []).map((id) => [id, labelOf(id)]), now.sender, change("sender")),
    select(receiver, "Receiver", of("receiver", []).map((id) => [id, labelOf(id)]), now.receiver, change("receiver")),
  ];
}

const measureMenu = () => select("measure", "Measure", numbers().map((one) => [one, sentence(one)]), state.measure, (value) => go({ measure: value }));

/** Row and column of the chosen cell in a pair, if it has one. */
function chosenCell(pair) {
  const [row, column] = [pair.rows.indexOf(Number(state.i)), pair.columns.indexOf(Number(state.j))];
  return state.i === "" || state.j === "" || row < 0 || column < 0 ? null : [row, column];
}

const cellName = (pair, row, column) => `sender layer ${layerName(pair.sender, pair.rows[row])}, receiver layer ${layerName(pair.receiver, pair.columns[column])}`;

/** What a matrix answers to keys: arrows choose a cell, which `told` says, and Enter opens the chosen one. */
function arrowKeys(pair, chosen, told, choose, open) {
  return (event) => {
    if (event.key === "Enter" && chosen && open) { open(chosen); return; }
    const move = ARROWS[event.key];
    if (!move || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const [row, column] = chosen ?? [-move[0], -move[1]];
    const next = [Math.max(0, Math.min(pair.rows.length - 1, row + move[0])), Math.max(0, Math.min(pair.columns.length - 1, column + move[1]))];
    speak(told(...next));
    choose(next);
  };
}

function matrixFigure(id, pair, measure, { title, selected, click, keys, hint, values = matrixOf(pair, measure), scale = scaleOf(measure), words = sentence(measure) }) {
  const rows = pair.rows.map((layer) => shortLayer(pair.sender, layer));
  const columns = pair.columns.map((layer) => shortLayer(pair.receiver, layer));
  const hover = pair.rows.map((i, row) => pair.columns.map((j, column) => {
    const value = values[row][column];
    const reason = value === null && study.measures.reason ? wordsAt("reason", pair.start + row * pair.columns.length + column) : "";
    return `sender ${plain(layerName(pair.sender, i))}<br>receiver ${plain(layerName(pair.receiver, j))}<br>${plain(words)} ${format(value)}${reason ? `<br>${plain(reason)}` : ""}`;
  }));
  return figure({
    id, title, keys, click, hint, note: `of ${sentence(pair.objective)}, ${pairLabel(pair)}`, file: `${pair.objective}-${pair.sender}-${pair.receiver}`,
    words: `${words} of ${pairLabel(pair)}, ${pair.rows.length} sender layers by ${pair.columns.length} receiver layers. The same numbers are in the table below the figure`,
    draw: (colours, width) => heat({ values, rows, columns, hover, scale, words, colours, width, selected, failed: true, across: "receiver's layer", down: "sender's layer" }),
    data: () => ({
      columns: [{ key: "layer", name: "sender layer" }, ...pair.columns.map((j) => ({ key: String(j), name: layerName(pair.receiver, j), number: true }))],
      rows: pair.rows.map((i, row) => ({ layer: layerName(pair.sender, i), ...Object.fromEntries(pair.columns.map((j, column) => [String(j), values[row][column]])) })),
    }),
  });
}

function pairView() {
  const pair = pairOf.get(keyOf(state));
  if (!pair) return [make("h2", {}, "Matrix"), make("p", { class: "warn" }, "The study has no pairs.")];
  const list = filtered().includes(pair) ? filtered() : study.pairs.filter((one) => one.objective === pair.objective);
  const place = list.indexOf(pair);
  const step = (by, words, id) => {
    const other = list[place + by];
    return make("button", { type: "button", id, disabled: !other, title: other ? pairLabel(other) : null, onclick: () => go({ ...named(other), i: "", j: "" }) }, words);
  };
  const back = pairOf.get(keyOf({ objective: pair.objective, sender: pair.receiver, receiver: pair.sender }));
  const chosen = chosenCell(pair);
  const choose = (row, column) => go({ i: pair.rows[row], j: pair.columns[column] });
  const told = (row, column) => `${cellName(pair, row, column)}: ${sentence(state.measure)} ${format(matrixOf(pair, state.measure)[row][column])}`;
  const keys = arrowKeys(pair, chosen, told, (cell) => choose(...cell));
  const [sender, receiver] = [networkOf.get(pair.sender), networkOf.get(pair.receiver)];
  const triangle = triangleOf.get(keyOf(pair));
  const known = matrixOf(pair, state.measure).flat().some((value) => value !== null);
  return [
    make("h2", {}, pairLabel(pair)),
    make("div", { class: "controls" }, ...pairMenus(), measureMenu(), step(-1, "Previous", "previous"), step(1, "Next", "next"),
      back && back !== pair ? make("button", { type: "button", id: "reverse", onclick: () => go({ ...named(back), i: state.j, j: state.i }) }, "Other direction") : null,
      make("button", { type: "button", id: "to-compare", onclick: () => go({ view: "compare", ...beside(pair) }) }, "Compare")),
    make("p", {}, `The sender alone has a test accuracy of ${format(sender.accuracy)}, the receiver of ${format(receiver.accuracy)}; chance is ${format(study.chance)}.`
      + (triangle && pair.objective !== "all" ? ` The mean accuracy of this pair is ${format(triangle.below)} at or below the diagonal and ${format(triangle.above)} above it.` : "")),
    known ? null : make("p", { class: "warn" }, `${sentence(state.measure)}: not measured of the objective ${pair.objective} in this pair.`),
    make("div", { class: "pair" },
      matrixFigure("matrix", pair, state.measure, { title: sentence(state.measure), selected: chosen, keys, hint: "Click a cell, or move by the arrow keys.", click: (point) => choose(point.y, point.x) }),
      make("section", { id: "cell", "aria-label": "The chosen cell" }, chosen ? cellPanel(pair, chosen) : make("p", { class: "soft" }, "Choose a cell to see its training, its confusions and all its measures."))),
  ];
}

/** Intervals, and what else belongs beside the accuracy. */
const HEAD = ["accuracy", "relative_accuracy", "train_accuracy", "remapped_accuracy", "excess_over_remapped", "agreement", "test_loss", "train_loss", "reason"];

function cellPanel(pair, [row, column]) {
  const place = pair.start + row * pair.columns.length + column;
  const [i, j] = [pair.rows[row], pair.columns[column]];
  const interval = (name) => valueAt(`uncertainty.${name}`, place);
  const values = Object.keys(study.measures).map((name) => ({ measure: name, value: study.measures[name].words ? wordsAt(name, place) : valueAt(name, place) }))
    .filter((one) => one.value !== null && one.value !== "");
  const value = new Map(values.map((one) => [one.measure, one.value]));
  const accuracy = value.has("accuracy") && interval("accuracy_low") !== null
    ? `${format(value.get("accuracy"))} (95 % interval over test images: ${format(interval("accuracy_low"))} to ${format(interval("accuracy_high"))})` : null;
  const names = new Set(["accuracy", ...HEAD]);
  const lines = [...names].filter((name) => value.has(name) || name === "accuracy");
  const details = make("div", { id: "details" }, make("p", { class: "waiting" }, "Reading the record …"));
  chunk(`pair-${pair.place}`).then((text) => {
    const found = JSON.parse(text);
    return ownLayer(pair, j).then((own) => {
      if (!details.isConnected) return;
      details.replaceChildren(curves(found, pair, row, column), confusions(found, pair, row, column, own));
      drawWaiting();
    });
  }).catch((error) => details.replaceChildren(make("p", { class: "warn" }, error.message)));
  return [
    make("h3", { id: "cell-heading" }, `${layerName(pair.sender, i)} → ${layerName(pair.receiver, j)}`),
    make("dl", { id: "cell-values" }, lines.flatMap((name) => [make("dt", {}, sentence(name)), make("dd", { "data-measure": name }, name === "accuracy" && accuracy ? accuracy : format(value.get(name)))]),
      make("dt", {}, "receiver alone"), make("dd", {}, format(networkOf.get(pair.receiver).accuracy)),
      make("dt", {}, "chance"), make("dd", {}, format(study.chance))),
    details,
    folded("all-measures", `All ${values.length} measures of this cell`, () => ({ columns: [{ key: "measure", name: "measure", text: (one) => sentence(one.measure) }, { key: "value", name: "value", number: true }], rows: values })),
  ];
}

/** The confusions of the receiver stitched to itself at its layer j, if the study has them. */
async function ownLayer(pair, j) {
  const self = pairOf.get(keyOf({ objective: "task", sender: pair.receiver, receiver: pair.receiver }));
  if (!self) return null;
  const [row, column] = [self.rows.indexOf(j), self.columns.indexOf(j)];
  if (row < 0 || column < 0) return null;
  const found = JSON.parse(await chunk(`pair-${self.place}`));
  return found.confusion[row * self.columns.length + column];
}

function curves(found, pair, row, column) {
  const cell = row * pair.columns.length + column;
  const series = { accuracy: found.train_accuracy[cell], loss: found.train_loss[cell] };
  const epochs = series.loss.map((_, place) => place + 1);
  const test = valueAt("accuracy", pair.start + cell);
  const own = networkOf.get(pair.receiver).accuracy;
  const rows = epochs.map((epoch, place) => ({ epoch, train_accuracy: series.accuracy[place], train_loss: series.loss[place] }));
  return figure({
    id: "curve", title: "Training", note: epochs.length > 1 ? "" : "one point: trained for one epoch or less",
    words: "Train accuracy and loss by epoch; the same numbers are in the table below the figure",
    draw: (colours, width) => {
      const line = (name, axes) => ({ type: "scatter", mode: epochs.length > 30 ? "lines" : "lines+markers", x: epochs, y: series[name], line: { color: GROUPS[0], width: 2 }, marker: { size: 7 }, ...axes, hovertemplate: `epoch %{x}<br>train ${name} %{y:.4f}<extra></extra>` });
      const level = (value, dash, colour) => ({ type: "line", xref: "x domain", x0: 0, x1: 1, y0: value, y1: value, line: { color: colour, width: 1.5, dash } });
      const levels = [[test, "solid", GROUPS[1], "test"], [own, "dash", colours.soft, "receiver"]].filter((one) => one[0] !== null);
      const ticks = epochs.length <= 8 ? { tickvals: epochs } : {};
      return {
        traces: [line("accuracy", {}), line("loss", { xaxis: "x2", yaxis: "y2" })],
        layout: { width: Math.min(width, 480), height: 210, margin: { l: 40, r: 10, t: 26, b: 40 },
          xaxis: axis(colours, { domain: [0, 0.38], range: [0.7, epochs.length + 0.3], ...ticks, title: { text: "epoch", standoff: 4 }, automargin: false }), yaxis: axis(colours, { range: [0, 1.02], automargin: false }),
          xaxis2: axis(colours, { domain: [0.68, 1], range: [0.7, epochs.length + 0.3], ...ticks, title: { text: "epoch", standoff: 4 }, anchor: "y2", automargin: false }), yaxis2: axis(colours, { anchor: "x2", rangemode: "tozero", automargin: false }),
          shapes: levels.map(([value, dash, colour]) => level(value, dash, colour)),
          annotations: [["train accuracy", 0], ["train loss", 0.68]].map(([text, x]) => ({ text, x, xref: "paper", xanchor: "left", y: 1, yref: "paper", yanchor: "bottom", showarrow: false, font: { color: colours.soft } }))
            .concat(levels.map(([value, , colour, text]) => ({ text, x: 0.385, xref: "paper", xanchor: "left", y: value, yanchor: value >= Math.max(test ?? 0, own) ? "bottom" : "top", showarrow: false, font: { size: 11, color: colour } }))) },
      };
    },
    data: () => ({ columns: columnsOf(["epoch", "train_accuracy", "train_loss"], rows), rows }),
  });
}

const FIRST = 35; // as in modelstitch.explorer.details

/** Counts by class and predicted class, from a text of letters or from [place, count]. */
function counts(kept) {
  const size = study.classes.length;
  const flat = new Array(size * size).fill(0);
  if (typeof kept === "string") for (let place = 0; place < flat.length; place += 1) flat[place] = kept.charCodeAt(place) - FIRST;
  else for (const [place, count] of kept) flat[place] = count;
  return study.classes.map((_, row) => flat.slice(row * size, (row + 1) * size));
}

function confusions(found, pair, row, column, own) {
  const kept = found.confusion[row * pair.columns.length + column];
  if (!kept) return make("p", { class: "soft" }, "No confusions: this cell has no result.");
  const { classes } = study;
  const stitched = counts(kept);
  const receiver = own ? counts(own) : null;
  const shown = receiver && opened.has("confusion-of-receiver") ? "receiver" : receiver && opened.has("confusion-difference") ? "difference" : "stitched";
  const values = { stitched, receiver, difference: receiver && stitched.map((line, a) => line.map((count, b) => count - receiver[a][b])) }[shown];
  const most = Math.max(1, ...values.flat().map(Math.abs));
  const images = stitched.map((line) => line.reduce((sum, count) => sum + count, 0));
  const card = figure({
    id: "confusion", title: { stitched: "Confusions of the stitched network", receiver: "Confusions of the receiver through its own layer", difference: "Stitched less the receiver's own" }[shown],
    note: "test images by class (rows) and predicted class", words: "Confusion matrix; the same numbers are in the table below the figure",
    draw: (colours, width) => {
      const names = classes.map((name) => (name.length > 12 ? `${name.slice(0, 11)}…` : name));
      const drawn = heat({
        values, rows: names, columns: names, words: "images", colours, width: Math.min(width, 480), scale: shown === "difference" ? { low: -most, high: most, diverging: true } : { low: 0, high: most },
        hover: values.map((line, a) => line.map((count, b) => `class ${plain(classes[a])}<br>predicted ${plain(classes[b])}<br>${shown === "difference" && count > 0 ? "+" : ""}${count} of ${images[a]} images`)), down: "", across: "",
      });
      drawn.traces[0].text = values.map((line) => line.map(String));
      return drawn;
    },
    data: () => {
      const rows = classes.flatMap((name, a) => classes.map((other, b) => ({ class: name, predicted: other, stitched: stitched[a][b], receiver: receiver?.[a][b] ?? null, difference: receiver ? stitched[a][b] - receiver[a][b] : null })));
      return { columns: columnsOf(["class", "predicted", "stitched", ...(receiver ? ["receiver", "difference"] : [])], rows), rows: rows.filter((one) => one.stitched || one.receiver) };
    },
  });
  const change = (key) => { opened.delete("confusion-of-receiver"); opened.delete("confusion-difference"); if (key) opened.add(key); render(); };
  const button = (text, key, value) => make("button", { type: "button", id: `show-${value}`, "aria-pressed": String(shown === value), onclick: () => change(key) }, text);
  return make("div", {},
    receiver ? make("div", { class: "controls" }, button("stitched", null, "stitched"), button("receiver's own", "confusion-of-receiver", "receiver"), button("difference", "confusion-difference", "difference")) : null,
    card,
    make("p", { class: "soft" }, receiver
      ? "The receiver's own confusions are those of the receiver stitched to itself at the same layer: a record holds no predictions of a network alone."
      : "The study lacks the receiver stitched to itself, with which these could be compared."),
    typeof kept !== "string" ? make("p", { class: "soft" }, `Of ${classes.length} classes, only what is right and the most frequent mistakes are kept.`) : null);
}
