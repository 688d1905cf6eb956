/* What one looks at, kept in the address after #: a copied address shows the same to somebody else. */

const VIEWS = { summary: "Summary", overview: "All pairs", pair: "Matrix", compare: "Compare", scatter: "Scatter", tables: "Tables" };
const LISTS = ["senders", "receivers", "sender_seeds", "receiver_seeds"];
let defaults = {};
let state = {};

function beginState() {
  const first = study.pairs.find((pair) => pair.objective === "task") ?? study.pairs[0] ?? {};
  const recipes = first.sender ? recipesOf(first) : "all";
  defaults = {
    view: "summary", objective: first.objective ?? "", measure: "accuracy", recipes, sort: "depth", squares: "cells",
    senders: "", receivers: "", sender_seeds: "", receiver_seeds: "",
    sender: "", receiver: "", i: "", j: "",
    objective2: "", sender2: "", receiver2: "",
    x: "depth_difference", y: "accuracy", colour: "recipes", behind: "", table: "", theme: "",
  };
  readState();
}

function readState() {
  state = { ...defaults };
  for (const [key, value] of new URLSearchParams(location.hash.slice(1))) if (key in defaults) state[key] = value;
  if (!(state.view in VIEWS)) state.view = "summary";
  if (!pairOf.has(keyOf(state))) {
    const pair = study.pairs.find((one) => one.sender === state.sender && one.receiver === state.receiver)
      ?? study.pairs.find((one) => one.objective === state.objective) ?? study.pairs[0];
    if (pair && state.view !== "overview" && state.view !== "scatter") state = { ...state, ...named(pair) };
  }
  for (const key of ["measure", "x", "y"]) if (!(state[key] in study.measures) || study.measures[state[key]].words) state[key] = defaults[key];
}

const named = (pair) => ({ objective: pair.objective, sender: pair.sender, receiver: pair.receiver });

/** The address of a state: what differs from a fresh page. */
function address(changes) {
  const next = { ...state, ...changes };
  const kept = Object.entries(next).filter(([key, value]) => String(value) !== String(defaults[key]));
  return `#${new URLSearchParams(kept)}`;
}

/** Show another state; one can go back to what was another view or pair. */
function go(changes) {
  const before = `${state.view} ${keyOf(state)}`;
  const hash = address(changes);
  const next = new URLSearchParams(hash.slice(1));
  const after = `${next.get("view") ?? defaults.view} ${keyOf({ ...defaults, ...Object.fromEntries(next) })}`;
  history[before === after ? "replaceState" : "pushState"](null, "", hash);
  readState();
  render();
}

const listed = (key) => (state[key] ? state[key].split(",") : []);

/** Pairs of an objective that the filters let through. */
function filtered(objective = state.objective) {
  const lists = Object.fromEntries(LISTS.map((key) => [key, new Set(listed(key))]));
  const passes = (list, value) => !list.size || list.has(String(value));
  return study.pairs.filter((pair) => {
    const sender = networkOf.get(pair.sender);
    const receiver = networkOf.get(pair.receiver);
    return (objective === "all" || pair.objective === objective)
      && (state.recipes === "all" || recipesOf(pair) === state.recipes)
      && passes(lists.senders, sender.architecture) && passes(lists.sender_seeds, sender.seed)
      && passes(lists.receivers, receiver.architecture) && passes(lists.receiver_seeds, receiver.seed);
  });
}
