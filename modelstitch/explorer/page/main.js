/* From chunks to a view, and from view to view. */

const DRAWN = { summary, overview, pair: pairView, compare: compareView, scatter: scatterView, tables: tablesView };

/** Plotly, which takes a second to begin: words and tables stand in the page before it. */
const library = () => chunk("plotly").then((text) => {
  if (window.Plotly) return;
  const script = document.createElement("script");
  script.textContent = text;
  document.head.append(script);
});

async function drawWaiting() {
  const first = !window.Plotly;
  if (first) {
    for (const { reserve } of waiting) reserve();
    await painted().then(library);
  }
  for (const { draw } of waiting.splice(0)) {
    draw();
    if (first) await painted(); // one by one: the first picture is seen before the others are drawn
  }
}

const painted = () => new Promise((resolve) => { requestAnimationFrame(() => setTimeout(resolve)); });

/** Draw the view that the state names, leaving the focus where it is. */
function render() {
  const main = document.getElementById("main");
  const focus = document.activeElement?.id;
  const before = main.dataset.view;
  main.style.minHeight = before === state.view ? `${main.offsetHeight}px` : "";
  for (const plot of main.querySelectorAll(".js-plotly-plot")) Plotly.purge(plot); // before its element goes
  waiting.length = 0;
  document.title = `${study.study}: ${VIEWS[state.view]}: modelstitch`;
  document.getElementById("views").replaceChildren(...Object.entries(VIEWS).map(([view, words]) =>
    link(words, { view }, { id: `view-${view}`, "aria-current": state.view === view ? "page" : null })));
  main.replaceChildren(...DRAWN[state.view]().flat(Infinity).filter(Boolean));
  const drawn = drawWaiting();
  main.style.minHeight = "";
  main.dataset.view = state.view;
  if (before && before !== state.view) scrollTo(0, 0);
  if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
  return drawn;
}

const dark = matchMedia("(prefers-color-scheme: dark)");
function applyTheme() {
  const now = state.theme || (dark.matches ? "dark" : "light");
  document.documentElement.dataset.theme = now;
  document.getElementById("theme").textContent = now === "dark" ? "☀ Light" : "☾ Dark";
}

function footer() {
  const version = Object.values(study.objectives)[0]?.versions?.modelstitch;
  document.getElementById("footer").replaceChildren(
    make("p", {}, "Tab moves between controls, arrow keys within a matrix and between pairs; every figure has its numbers in a table. The address holds what is shown: copy it to show the same to somebody else."),
    make("p", {}, `Made by modelstitch ${version ?? ""} from results/${study.study}. Figures by plotly.js ${study.plotly} (MIT licence, Plotly, Inc.). The page asks no network for anything.`));
}

modelstitch.begin = async () => {
  try {
    readStudy(await chunk("study"));
    beginState();
    applyTheme();
    footer();
    const drawn = render();
    document.getElementById("theme").addEventListener("click", () => {
      const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
      go({ theme: next });
      applyTheme();
      render();
    });
    dark.addEventListener("change", () => { applyTheme(); render(); });
    const follow = () => { readState(); applyTheme(); render(); };
    addEventListener("popstate", follow);
    let width = innerWidth;
    addEventListener("resize", () => {
      if (innerWidth === width) return;
      width = innerWidth;
      clearTimeout(follow.later);
      follow.later = setTimeout(render, 150);
    });
    addEventListener("click", (event) => {
      for (const menu of document.querySelectorAll("details.choice[open]")) if (!menu.contains(event.target)) menu.open = false;
    });
    await drawn;
    document.getElementById("main").setAttribute("aria-busy", "false");
  } catch (error) {
    document.getElementById("main").replaceChildren(make("p", { class: "warn" }, `This page can't be shown: ${error.message}`));
    throw error;
  }
};
