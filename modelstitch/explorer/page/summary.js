/* The first view: what was run, how accurate the networks are, the triangle, the controls, and what failed. */

const COMPARISONS = {
  corresponding: "the corresponding layer of the sender",
  own_layer: "the receiver's own layer, stitched to itself",
  random_sender: "the same stitch from the untrained sender",
};

function summary() {
  const networks = study.networks;
  const of = (objective) => study.pairs.filter((pair) => pair.objective === objective);
  const cells = study.pairs.reduce((sum, pair) => sum + sizeOf(pair), 0);
  const failures = rowsOf("failures");
  const trained = networks.filter((network) => network.recipe === "trained" || network.recipe === "pretrained");
  const accuracies = trained.map((network) => network.accuracy);
  const whole = rowsOf("triangle").find((row) => row.sender === "all" && row.objective === defaults.objective && `${row.sender_recipe} → ${row.receiver_recipe}` === defaults.recipes);
  const tile = (value, words) => make("div", { class: "tile" }, make("b", {}, value), make("span", {}, words));
  return [
    make("h2", {}, `Study ${study.study}`),
    make("p", {}, `The first layers of one network, the sender, are stitched to the last layers of another, the receiver. Only the stitch between them is trained. A cell is the test accuracy of one stitched network: high where the sender's layer can stand in for the receiver's.`),
    make("div", { class: "tiles" },
      tile(format(networks.length), `networks on ${networks[0]?.dataset ?? "?"}`),
      tile(format(study.pairs.length), "matrices: pairs and objectives"),
      tile(format(cells), "stitches"),
      trained.length ? tile(accuracies.length > 1 ? `${Math.min(...accuracies).toFixed(2)} to ${Math.max(...accuracies).toFixed(2)}` : accuracies[0].toFixed(2), "accuracy of trained networks") : null,
      whole ? tile(whole.difference.toFixed(2), "triangle: below less above") : null,
      tile(format(failures.length), failures.length === 1 ? "finding: see What failed" : "findings: see What failed")),
    make("div", { class: "columns" }, make("section", {}, averageSection()), make("section", {}, triangleSection())),
    controlsSection(),
    networksSection(),
    failuresSection(failures),
    make("h3", {}, "How it was run"),
    make("dl", {}, objectives().flatMap((objective) => {
      const about = study.objectives[objective];
      return [make("dt", {}, objective), make("dd", {}, `${format(of(objective).length)} ${of(objective).length === 1 ? "pair" : "pairs"}; ${format(about.train_images)} training images per stitch; ${inWords(about.settings ?? {})}; numbers of ${about.precision}; seed ${about.seed}`)];
    }), make("dt", {}, "packages"), make("dd", {}, Object.entries(Object.values(study.objectives)[0]?.versions ?? {}).map((item) => item.join(" ")).join(", "))),
  ];
}

/** Settings in words: those within others in brackets. */
function inWords(settings) {
  return Object.entries(settings).map(([key, value]) => `${sentence(key)} ${value && typeof value === "object" && !Array.isArray(value) ? `(${inWords(value)})` : value}`).join(", ");
}

/** The mean matrix of the first recipes, each pair giving a point of relative depth its nearest cell. */
function averageSection() {
  const pairs = study.pairs.filter((pair) => pair.objective === defaults.objective && recipesOf(pair) === defaults.recipes);
  const size = Math.max(...pairs.map((pair) => Math.max(pair.rows.length, pair.columns.length)));
  const points = Array.from({ length: size }, (_, place) => (place + 0.5) / size);
  const at = (layers, id) => {
    const count = networkOf.get(id).layer_count;
    const depths = layers.map((layer) => (count > 1 ? layer / (count - 1) : 1));
    return points.map((point) => depths.reduce((best, depth, place) => (Math.abs(depth - point) < Math.abs(depths[best] - point) ? place : best), 0));
  };
  const grids = pairs.map((pair) => {
    const values = matrixOf(pair, "accuracy");
    const columns = at(pair.columns, pair.receiver);
    return at(pair.rows, pair.sender).map((row) => columns.map((column) => values[row][column]));
  });
  const values = points.map((_, row) => points.map((__, column) => meanOf(grids.map((grid) => grid[row][column]))));
  const labels = points.map((point) => point.toFixed(2));
  return [
    make("h3", {}, "The average pair"),
    make("p", {}, `The mean accuracy over ${pairs.length} ${pairs.length === 1 ? "pair" : "pairs"} of ${defaults.recipes} networks, by the relative depth of the layers: 0 is the first layer, 1 the last.`),
    figure({
      id: "average", title: "Mean test accuracy by relative depth", words: "Mean test accuracy by the relative depth of the sender's and the receiver's layer; the same numbers are in the table below the figure",
      hint: "Click to see all pairs.", click: () => go({ view: "overview", objective: defaults.objective }),
      draw: (colours, width) => heat({ values, rows: labels, columns: labels, colours, width: Math.min(width, 480), scale: { low: 0, high: 1 }, words: "mean accuracy", across: "receiver's depth", down: "sender's depth",
        hover: values.map((line, row) => line.map((value, column) => `sender's depth ${labels[row]}<br>receiver's depth ${labels[column]}<br>mean accuracy ${format(value)}`)) }),
      data: () => ({ columns: [{ key: "depth", name: "sender's depth" }, ...labels.map((label) => ({ key: label, name: label, number: true }))], rows: values.map((line, row) => ({ depth: labels[row], ...Object.fromEntries(line.map((value, column) => [labels[column], value])) })) }),
    }),
  ];
}

function intervalOf(row, name) {
  for (const over of ["seeds", "pairs", "images"]) {
    const [low, high] = [row[`${name}_${over}_low`], row[`${name}_${over}_high`]];
    if (low !== null && low !== undefined) return { low, high, over };
  }
  return null;
}

/** Rows with the study's first objective and recipes before the others. */
function firstThings(rows, recipes) {
  const rank = (row) => (row.objective === defaults.objective ? 0 : 2) + (recipes(row) === defaults.recipes ? 0 : 1);
  return [...rows].sort((one, other) => rank(one) - rank(other));
}

function triangleSection() {
  const rows = firstThings(rowsOf("triangle").filter((row) => row.sender === "all"), (row) => `${row.sender_recipe} → ${row.receiver_recipe}`);
  if (!rows.length) return [make("h3", {}, "The triangle"), make("p", { class: "soft" }, "No pair has results on both sides of the diagonal.")];
  const label = (row) => `${sentence(row.objective)}: ${row.sender_recipe} → ${row.receiver_recipe}`;
  const [first] = rows;
  const interval = intervalOf(first, "difference");
  const words = (one) => (one ? ` (95 % interval over ${one.over}: ${format(one.low)} to ${format(one.high)})` : "");
  return [
    make("h3", {}, "The triangle"),
    make("p", {}, `${label(first)}: the mean accuracy is ${format(first.below)} at or below the diagonal, where the sender's layer is at least as deep as the receiver's, and ${format(first.above)} above it. The difference is ${format(first.difference)}${words(interval)}.`),
    figure({
      id: "triangle", title: "Mean accuracy below and above the diagonal", note: "with 95 % intervals",
      words: "Mean accuracy at or below and above the diagonal, by objective and recipes; the same numbers are in the table below the figure",
      draw: (colours, width) => {
        const narrow = width < 560;
        const trace = (name, side, colour, symbol, shift) => ({
          type: "scatter", mode: "markers", name: side, x: rows.map((row) => row[name]), y: rows.map((_, place) => place + shift),
          marker: { color: colour, symbol, size: 10 },
          error_x: { type: "data", symmetric: false, thickness: 2, width: 0, color: colour,
            array: rows.map((row) => (intervalOf(row, name)?.high ?? row[name]) - row[name]),
            arrayminus: rows.map((row) => row[name] - (intervalOf(row, name)?.low ?? row[name])) },
          customdata: rows.map((row) => { const one = intervalOf(row, name); return `${plain(label(row))}<br>${side}: ${format(row[name])}${one ? `<br>${format(one.low)} to ${format(one.high)} over ${one.over}` : ""}`; }),
          hovertemplate: "%{customdata}<extra></extra>",
        });
        const left = narrow ? 12 : 14 + 6.7 * Math.max(...rows.map((row) => label(row).length));
        return {
          traces: [trace("below", "at or below", GROUPS[0], "circle", -0.12), trace("above", "above", GROUPS[1], "diamond", 0.12)],
          layout: {
            width: Math.min(width, 760), height: 84 + (narrow ? 46 : 30) * rows.length, margin: { l: left, r: 14, t: 34, b: 42 }, showlegend: true,
            legend: { orientation: "h", x: 0, xref: "paper", y: 1, yanchor: "bottom" },
            xaxis: axis(colours, { range: [Math.min(0, ...rows.map((row) => row.above)), 1], title: { text: "test accuracy, or its excess; dotted: chance", standoff: 6 }, automargin: false }),
            yaxis: axis(colours, { tickvals: narrow ? [] : rows.map((_, place) => place), ticktext: rows.map((row) => plain(label(row))), range: [rows.length - 0.4, -0.6], automargin: false, zeroline: false }),
            annotations: narrow ? rows.map((row, place) => ({ text: plain(label(row)), x: 0, xref: "paper", xanchor: "left", y: place - 0.34, showarrow: false, font: { size: 11, color: colours.soft } })) : [],
            shapes: [{ type: "line", x0: study.chance, x1: study.chance, yref: "paper", y0: 0, y1: 1, line: { color: colours.soft, width: 1, dash: "dot" } }],
          },
        };
      },
      data: () => {
        const names = ["objective", "sender_recipe", "receiver_recipe", "pairs", "cells", "below", "above", "difference"];
        const shown = rows.map((row) => {
          const one = intervalOf(row, "difference");
          return { ...row, low: one?.low ?? null, high: one?.high ?? null, over: one?.over ?? "" };
        });
        return { columns: columnsOf([...names, "low", "high", "over"], shown), rows: shown };
      },
    }),
  ];
}

/** Counts of the verdicts of each comparison, over the pairs of the first recipes. */
function comparedRows() {
  const groups = new Map();
  for (const row of rowsOf("comparison_summary")) {
    const [sender, receiver] = [networkOf.get(row.sender), networkOf.get(row.receiver)];
    if (row.objective !== defaults.objective || `${sender.recipe} → ${receiver.recipe}` !== defaults.recipes) continue;
    const key = row.comparison;
    const sum = groups.get(key) ?? { compared: COMPARISONS[row.comparison] ?? `the same stitch on ${row.comparison} labels`, cells: 0, total: 0, higher: 0, undecided: 0, lower: 0 };
    sum.cells += row.cells;
    sum.total += row.difference * row.cells;
    for (const verdict of ["higher", "undecided", "lower"]) sum[verdict] += row[verdict];
    groups.set(key, sum);
  }
  return [...groups.values()].map((row) => ({ ...row, difference: row.total / row.cells }));
}

function controlsSection() {
  const rows = comparedRows();
  const means = new Map();
  for (const pair of study.pairs) {
    const key = `${pair.objective}: ${recipesOf(pair)}`;
    if (!means.has(key)) means.set(key, { objective: pair.objective, recipes: recipesOf(pair), pairs: 0, values: [] });
    const one = means.get(key);
    one.pairs += 1;
    for (let place = 0; place < sizeOf(pair); place += 1) one.values.push(valueAt("accuracy", pair.start + place));
  }
  const controls = firstThings([...means.values()], (row) => row.recipes).map((one) => ({ ...one, cells: one.values.filter((value) => value !== null).length, mean: meanOf(one.values) }));
  const open = (row) => ({ view: "overview", objective: row.objective, recipes: row.recipes });
  const verdicts = rowsOf("verdicts").filter((row) => row.depth === "all");
  return [
    make("h3", {}, "Controls and verdicts"),
    make("p", {}, "An accuracy is evidence of similarity only where its controls are lower: an untrained sender, an untrained receiver, the same stitch on labels whose classes are exchanged (remapped)."),
    make("div", { class: "beside" },
      make("div", {}, make("p", { class: "soft" }, "Mean accuracies by objective and recipes."), table("controls", {
        columns: [{ key: "objective", name: "objective" }, { key: "recipes", name: "sender → receiver", link: open }, { key: "pairs", name: "pairs", number: true }, { key: "cells", name: "cells", number: true }, { key: "mean", name: "mean accuracy", number: true }],
        rows: controls,
      })),
      rows.length ? make("div", {}, make("p", { class: "soft" }, `Cells of ${defaults.objective}, ${defaults.recipes}, compared image by image: higher or lower where p ≤ 0.05 by Holm.`), table("compared", {
        columns: [{ key: "compared", name: "compared with" }, { key: "cells", name: "cells", number: true }, { key: "difference", name: "difference", number: true },
          ...["higher", "undecided", "lower"].map((key) => ({ key, name: key, number: true, text: (row) => `${Math.round((100 * row[key]) / row.cells)} %` }))],
        rows,
      })) : null),
    verdicts.length ? [
      make("h3", {}, "Which measure distinguishes each control from trained networks"),
      make("p", { class: "soft" }, "The area under the ROC curve over cells of the same layers, with its 95 % interval: 1 rates every real cell above its control, 0.5 tells nothing."),
      table("verdicts-summary", { columns: [{ key: "measure", name: "measure", text: (row) => sentence(row.measure) }, ...columnsOf(["control", "real", "control_mean"], verdicts),
        ...[["matched_auc", "area"], ["matched_auc_low", "from"], ["matched_auc_high", "to"]].map(([key, name]) => ({ key, name, number: true })), ...columnsOf(["verdict", "expected"], verdicts)], rows: verdicts }),
    ] : null,
  ].flat().filter(Boolean);
}

function networksSection() {
  const rows = study.networks.map((network) => {
    const own = study.pairs.filter((pair) => pair.objective === defaults.objective && pair.sender === network.network && pair.receiver === network.network)[0];
    return { ...network, pair: own };
  });
  const data = () => {
    const names = ["network", "architecture", "recipe", "seed", "model", "layer_count", "width", "parameters", "accuracy", "train_accuracy", "loss"];
    const open = (row) => (row.pair ? { view: "pair", ...named(row.pair), i: "", j: "" } : { view: "summary" });
    return { columns: columnsOf(names, rows).map((column) => (column.key === "network" ? { ...column, link: open } : column)), rows };
  };
  return [
    make("h3", {}, "Networks"),
    figure({
      id: "networks", title: "Test accuracy of the networks alone",
      words: "Test accuracy of each network; the same numbers are in the table below the figure",
      draw: (colours, width) => {
        const left = Math.min(width * 0.45, 20 + 6.8 * Math.max(...rows.map((row) => row.label.length)));
        return {
          traces: [{ type: "bar", orientation: "h", x: rows.map((row) => row.accuracy), y: rows.map((_, place) => place), marker: { color: rows.map((row) => (row.recipe === "trained" || row.recipe === "pretrained" ? GROUPS[0] : GROUPS[6])) },
            text: rows.map((row) => format(row.accuracy)), textposition: "auto", hovertemplate: rows.map((row) => `${plain(row.network)}<br>test accuracy ${format(row.accuracy)}<br>${format(row.parameters)} parameters, ${row.layer_count} layers<extra></extra>`) }],
          layout: { width: Math.min(width, 760), height: 56 + 24 * rows.length, margin: { l: left, r: 14, t: 6, b: 42 }, bargap: 0.25,
            xaxis: axis(colours, { range: [0, 1], title: { text: "test accuracy; dotted: chance", standoff: 6 }, automargin: false }),
            yaxis: axis(colours, { tickvals: rows.map((_, place) => place), ticktext: rows.map((row) => plain(row.label)), range: [rows.length - 0.5, -0.5], automargin: false }),
            shapes: [{ type: "line", x0: study.chance, x1: study.chance, yref: "paper", y0: 0, y1: 1, line: { color: colours.soft, width: 1, dash: "dot" } }] },
        };
      },
      data,
      click: (point) => { const { pair } = rows[point.y]; if (pair) go({ view: "pair", ...named(pair), i: "", j: "" }); },
    }),
  ];
}

function failuresSection(failures) {
  const pair = (row) => (pairOf.has(keyOf(row)) ? { view: "pair", ...named(row), i: row.sender_layer ?? "", j: row.receiver_layer ?? "" } : { view: "summary" });
  return [
    make("h3", {}, "What failed"),
    failures.length
      ? table("failures", { columns: [{ key: "finding", name: "finding" }, { key: "words", name: "where and how", link: pair }], rows: failures })
      : make("p", {}, "Nothing failed: no stitch diverged, and no network or stitch passed a limit of the diagnostics."),
  ];
}
