/* The study: networks, pairs and the measures of their cells, as modelstitch.explorer.study wrote them. */

let study;
const networkOf = new Map(); // by id
const pairOf = new Map(); // by objective, sender and receiver
const triangleOf = new Map(); // its rows, by the same

function readStudy(text) {
  study = JSON.parse(text);
  for (const network of study.networks) networkOf.set(network.network, network);
  study.pairs.forEach((pair, place) => {
    pair.place = place;
    pairOf.set(keyOf(pair), pair);
  });
  for (const row of rowsOf("triangle")) triangleOf.set(keyOf(row), row);
  const recipes = new Set(study.networks.map((network) => network.recipe));
  const seeds = new Set(study.networks.map((network) => network.seed));
  for (const network of study.networks) {
    network.label = [network.architecture, recipes.size > 1 ? network.recipe : "", seeds.size > 1 ? `s${network.seed}` : ""]
      .filter(Boolean).join(" ");
  }
}

const keyOf = ({ objective, sender, receiver }) => `${objective} ${sender} ${receiver}`;
const labelOf = (id) => networkOf.get(id)?.label ?? id;
const pairLabel = (pair) => `${labelOf(pair.sender)} → ${labelOf(pair.receiver)}`;
const objectives = () => Object.keys(study.objectives);
const recipesOf = (pair) => `${networkOf.get(pair.sender).recipe} → ${networkOf.get(pair.receiver).recipe}`;

/** Rows of a table as objects; none where the study lacks it. */
function rowsOf(name) {
  const table = study.tables[name];
  if (!table?.rows) return [];
  return table.rows.map((row) => Object.fromEntries(table.columns.map((column, place) => [column, row[place]])));
}

/** A layer in words: its index and its name. */
function layerName(id, layer) {
  const name = networkOf.get(id)?.layers[layer]?.[0];
  return name && name !== "image" ? `${layer} ${name}` : layer < 0 ? "image" : String(layer);
}

function shortLayer(id, layer) {
  if (layer < 0) return "image";
  const name = networkOf.get(id)?.layers[layer]?.[1];
  return name ? `${layer} ${name}` : String(layer);
}

const sizeOf = (pair) => pair.rows.length * pair.columns.length;
const valueAt = (measure, place) => study.measures[measure]?.values[place] ?? null;

/** A measure's value of a cell in words, text measures included. */
function wordsAt(measure, place) {
  const { words, values } = study.measures[measure];
  if (words) return values[place] < 0 ? "" : words[values[place]];
  return format(values[place]);
}

/** The values of a pair, by row and column. */
function matrixOf(pair, measure) {
  const values = study.measures[measure].values;
  return pair.rows.map((_, row) => pair.columns.map((__, column) => values[pair.start + row * pair.columns.length + column] ?? null));
}

function meanOf(values) {
  const known = values.filter((value) => value !== null);
  return known.length ? known.reduce((sum, value) => sum + value, 0) / known.length : null;
}

const numbers = () => Object.keys(study.measures).filter((name) => !study.measures[name].words);

/** Lowest and highest value of a measure over the study, and whether its colours part at zero. */
const scales = new Map();
function scaleOf(measure) {
  if (!scales.has(measure)) {
    let low = Infinity;
    let high = -Infinity;
    for (const value of study.measures[measure].values) {
      if (value === null) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    if (/excess|difference|cosine|correlation/.test(measure) && low < 0) {
      const most = Math.max(-low, high);
      scales.set(measure, { low: -most, high: most, diverging: true });
    } else if (low >= 0 && high <= 1) scales.set(measure, { low: 0, high: 1 });
    else scales.set(measure, { low: Math.min(low, 0), high });
  }
  return scales.get(measure);
}

/** A number as it stands in hovers and tables. */
function format(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en");
  const size = Math.abs(value);
  const text = size < 0.001 ? value.toExponential(2) : size < 10 ? value.toFixed(4) : size < 1000 ? value.toFixed(2) : Math.round(value).toLocaleString("en");
  return text.replaceAll("-", "\u2212");
}

/** What a measure or a column is called: in the words of the figures, or its name without underscores. */
const sentence = (name) => study.words[name] ?? name.replaceAll("_", " ");
