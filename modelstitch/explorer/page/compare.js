/* Two matrices side by side, and their difference. */

/** Which pair stands at the right when a pair is to be compared: one that the state names, or the nearest control. */
function beside(pair) {
  const candidates = counterparts(pair);
  const other = candidates[0]?.[1] ?? study.pairs.find((one) => one !== pair) ?? pair;
  return { objective2: other.objective, sender2: other.sender, receiver2: other.receiver };
}

/** Pairs that one would compare a pair with, and what they are called. */
function counterparts(pair) {
  const swap = (id, recipe) => study.networks.find((network) => network.architecture === networkOf.get(id).architecture && network.seed === networkOf.get(id).seed && network.recipe === recipe)?.network;
  const candidates = [
    ...objectives().filter((one) => one !== pair.objective).map((one) => [sentence(one), { ...named(pair), objective: one }]),
    ["untrained sender", { ...named(pair), sender: swap(pair.sender, "random") }],
    ["untrained receiver", { ...named(pair), receiver: swap(pair.receiver, "random") }],
    ["receiver with itself", { ...named(pair), sender: pair.receiver }],
    ["other direction", { ...named(pair), sender: pair.receiver, receiver: pair.sender }],
  ];
  return candidates.map(([words, wanted]) => [words, pairOf.get(keyOf(wanted))]).filter(([, other]) => other && other !== pair);
}

/** For each layer of one axis, the nearest of another axis in relative depth; the same index in networks of one depth. */
function nearest(layers, count, others, otherCount) {
  const depth = (layer, of) => (of > 1 ? layer / (of - 1) : 1);
  return layers.map((layer) => others.reduce((best, other, place) => {
    const apart = Math.abs(depth(other, otherCount) - depth(layer, count));
    return apart < best.apart - 1e-9 ? { apart, place } : best;
  }, { apart: Infinity, place: 0 }).place);
}

function compareView() {
  const left = pairOf.get(keyOf(state));
  const second = { objective: state.objective2, sender: state.sender2, receiver: state.receiver2 };
  let right = pairOf.get(keyOf(second));
  if (!right) {
    Object.assign(state, beside(left));
    right = pairOf.get(keyOf({ objective: state.objective2, sender: state.sender2, receiver: state.receiver2 }));
  }
  const { measure } = state;
  const of = (pair) => [networkOf.get(pair.sender).layer_count, networkOf.get(pair.receiver).layer_count];
  const rows = nearest(left.rows, of(left)[0], right.rows, of(right)[0]);
  const columns = nearest(left.columns, of(left)[1], right.columns, of(right)[1]);
  const [one, other] = [left, right].map((pair) => matrixOf(pair, measure));
  const difference = one.map((line, row) => line.map((value, column) => {
    const beside = other[rows[row]][columns[column]];
    return value === null || beside === null ? null : value - beside;
  }));
  const same = String(of(left)) === String(of(right));
  const known = difference.flat().filter((value) => value !== null);
  const most = Math.max(1e-9, ...known.map(Math.abs));
  const open = (pair) => (point) => go({ view: "pair", ...named(pair), i: pair.rows[point.y], j: pair.columns[point.x] });
  const chosen = chosenCell(left);
  const opposite = chosen && [rows[chosen[0]], columns[chosen[1]]];
  const told = (row, column) => `${cellName(left, row, column)}: left ${format(one[row][column])}, right ${format(other[rows[row]][columns[column]])}, difference ${format(difference[row][column])}`;
  // In each of the three, arrow keys move the cell of the left matrix; the others show the cell that is compared with it.
  const keys = (pair) => arrowKeys(left, chosen, told, ([row, column]) => go({ i: left.rows[row], j: left.columns[column] }), (cell) => open(pair)(pair === right ? { y: rows[cell[0]], x: columns[cell[1]] } : { y: cell[0], x: cell[1] }));
  const hint = "Arrow keys move through all three, Enter opens.";
  return [
    make("h2", {}, "Two matrices and their difference"),
    make("div", { class: "controls" }, measureMenu(), make("button", { type: "button", id: "swap", onclick: () => go({ ...named(right), objective2: left.objective, sender2: left.sender, receiver2: left.receiver }) }, "Swap"),
      counterparts(left).map(([words, pair], place) => make("button", { type: "button", id: `beside-${place}`, "aria-pressed": String(pair === right), onclick: () => go({ objective2: pair.objective, sender2: pair.sender, receiver2: pair.receiver }) }, words))),
    make("div", { class: "columns" },
      make("section", {}, make("h3", {}, "Left"), make("div", { class: "controls" }, ...pairMenus()), matrixFigure("left", left, measure, { title: sentence(measure), click: open(left), selected: chosen, keys: keys(left), hint })),
      make("section", {}, make("h3", {}, "Right"), make("div", { class: "controls" }, ...pairMenus("2")), matrixFigure("right", right, measure, { title: sentence(measure), click: open(right), selected: opposite, keys: keys(right), hint })),
      make("section", {}, make("h3", {}, "Left less right"),
        make("p", {}, known.length ? `The mean difference is ${format(meanOf(known))} over ${known.length} cells; the largest is ${format(known.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a)))}.` : "No cell has a value on both sides."),
        chosen ? make("p", { id: "compared-cell" }, `${told(...chosen)}.`) : null,
        same ? null : make("p", { class: "soft" }, "The networks differ in depth: each cell at the left is compared with the nearest in relative depth at the right."),
        matrixFigure("difference", left, measure, { title: "Difference", words: `difference of ${sentence(measure)}`, values: difference, scale: { low: -most, high: most, diverging: true }, click: open(left), selected: chosen, keys: keys(left), hint }))),
  ];
}
