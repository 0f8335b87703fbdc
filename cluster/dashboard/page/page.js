// The page: a run's state comes over a stream and is shown; what is chosen is in the address.
"use strict";

const $ = (id) => document.getElementById(id);
const page = { run: "", metric: "", chosen: [], tab: "happened", only: "" };
let style = null, starts = false, state = null, curves = {}, told = [], source = null, fetching = false, drawn = 0, lost = false;

function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

async function ask(address, options = {}) {
  const response = await fetch(address, options);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

function say(sentence) {
  $("notice").hidden = !sentence;
  $("notice").textContent = sentence;
}

// ---- the address

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  page.run = given.get("run") || page.run;
  page.metric = given.get("metric") || "";
  page.chosen = (given.get("trials") || "").split(",").filter(Boolean);
  page.tab = given.get("tab") || "happened";
}

function writeAddress() {
  const parts = { run: page.run, metric: page.metric, trials: page.chosen.join(","), tab: page.tab };
  const kept = Object.entries(parts).filter(([, value]) => value);
  history.replaceState(null, "", "#" + new URLSearchParams(kept));
}

// ---- what comes in

async function start() {
  readAddress();
  const answer = await ask("runs");
  style = answer.style;
  starts = answer.starts;
  listWaiting(answer.waiting);
  if (!answer.runs.length) {
    $("about").textContent = "No run here yet. This page looks again every few seconds.";
    setTimeout(start, 3000);
    return;
  }
  listRuns(answer.runs);
  if (!answer.runs.some((run) => run.name === page.run)) page.run = answer.runs[0].name;
  $("runs").value = page.run;
  listen();
  showTab();
  setInterval(async () => {
    const now = await ask("runs");
    listRuns(now.runs);
    listWaiting(now.waiting);
  }, 5000);
}

function listWaiting(waiting) {
  $("waiting").hidden = !waiting.length;
  $("waiting").textContent = waiting.map((run) => `${run.name} ${run.message}`).join("; ");
}

function listRuns(runs) {
  const options = runs.map((run) => el("option", { value: run.name }, `${run.name} · ${run.state}`));
  $("runs").replaceChildren(...options);
  $("runs").value = page.run;
}

function listen() {
  if (source) source.close();
  curves = {};
  const asked = new URLSearchParams({ run: page.run, metric: page.metric });
  source = new EventSource(`stream?${asked}`);
  source.addEventListener("state", (event) => {
    state = JSON.parse(event.data);
    if (lost) say("");
    lost = false;
    showState();
  });
  source.addEventListener("curves", (event) => {
    const said = JSON.parse(event.data);
    if (said.metric !== page.metric) return;
    said.gone.forEach((trial) => delete curves[trial]);
    Object.assign(curves, said.changed);
    showCurves();
  });
  source.onerror = () => {
    lost = true;
    const closed = source.readyState === EventSource.CLOSED;
    say(closed ? "The server refuses to go on: open the address that it printed."
      : "The connection is lost; this page tries again.");
  };
}

// ---- what is shown

function showState() {
  if (!state.job) {
    $("about").textContent = "Nothing has been written yet.";
    return;
  }
  document.title = `${state.job.name} · Rungwise`;
  $("name").textContent = state.job.name;
  const reading = state.read_fraction < 1 ? ` · ${Math.floor(100 * state.read_fraction)} % of its log read` : "";
  $("about").textContent = state.job.about + reading;
  $("cards").replaceChildren(...state.cards.map((card) =>
    el("div", {}, el("span", {}, card.name), el("strong", {}, card.value), el("small", {}, card.note))));
  showMetrics();
  showTrials();
  showWishes();
  if (page.tab === "happened") showHappened();
}

function showMetrics() {
  const names = ["", ...state.metrics];
  if ($("metric").length !== names.length) {
    $("metric").replaceChildren(...names.map((name) =>
      el("option", { value: name }, name ? name.replaceAll("_", " ") : `${state.job.metric} (the score)`)));
  }
  $("metric").value = page.metric;
}

function ranked() {
  const sign = state.job.mode === "max" ? -1 : 1;
  const place = (trial) => (trial.score === null ? Infinity : sign * trial.score);
  return [...state.trials].sort((a, b) => place(a) - place(b) || a.id.localeCompare(b.id));
}

function showTrials() {
  const searched = state.job.searched;
  const heads = ["trial", state.job.metric, "", "iteration", "state", ...searched];
  const words = ["trial", "", "state"];
  $("undrawn").hidden = state.trials.length > 0;
  $("columns").replaceChildren(el("tr", {}, ...heads.map((name) =>
    el("th", { scope: "col", ...(words.includes(name) ? { class: "text" } : {}) }, name))));
  const focused = document.activeElement?.dataset?.trial;
  $("trials").replaceChildren(...ranked().map((trial) => row(trial, searched)));
  if (focused) $("trials").querySelector(`[data-trial="${CSS.escape(focused)}"]`)?.focus();
}

function row(trial, searched) {
  const strong = (text) => (trial.best ? el("b", {}, text) : text);
  const small = el("td", { class: "text spark-cell" });
  if (!page.metric && curves[trial.id]) small.append(spark(curves[trial.id]));
  const made = el("tr", { tabindex: 0, "data-trial": trial.id, "aria-selected": page.chosen.includes(trial.id) },
    el("td", { class: "text" }, strong(trial.id)), el("td", {}, strong(trial.measured)), small,
    el("td", {}, `${trial.iterations}/${trial.budget}`), el("td", { class: "text sentence" }, trial.state),
    ...searched.map((name) => el("td", {}, trial.settings[name])));
  made.style.setProperty("--mark", colourOf(trial, page.chosen, style));
  return made;
}

// What can be stopped or resumed now: the job, and the trials that are chosen.
function showWishes() {
  const wishes = [];
  if (!state.job.ended) wishes.push(["Stop this job", `${page.run}/stop`]);
  else if (starts) wishes.push(["Resume this job", `${page.run}/resume`]);
  for (const trial of state.trials.filter((one) => page.chosen.includes(one.id))) {
    const path = `${page.run}/trials/${trial.id}`;
    if (!trial.ended && !state.job.ended) wishes.push([`Stop trial ${trial.id}`, `${path}/stop`]);
    if (trial.ended === "stopped" && starts) wishes.push([`Resume trial ${trial.id}`, `${path}/resume`]);
  }
  const shown = [...$("wishes").children].map((button) => button.dataset.path).join();
  if (shown === wishes.map(([, path]) => path).join()) return; // a focused button stays
  $("wishes").replaceChildren(...wishes.map(([said, path]) => {
    const button = el("button", { "data-path": path }, said);
    button.addEventListener("click", () => wish(said, path));
    return button;
  }));
}

async function wish(said, path) {
  try {
    await ask(`api/jobs/${path}`, { method: "POST" });
    say(`${said}: asked for. It happens after the next result, or at once where a trial waits.`);
  } catch (error) {
    say(error.message);
  }
}

function showCurves() {
  if (!state || !state.job) return;
  if (!page.metric) {
    for (const made of $("trials").rows) {
      const line = curves[made.dataset.trial];
      if (line) made.querySelector(".spark-cell").replaceChildren(spark(line));
    }
  }
  drawCurves($("plot"), state, curves, page.metric, page.chosen, style);
}

function choose(trial) {
  page.chosen = page.chosen.includes(trial)
    ? page.chosen.filter((id) => id !== trial) : [...page.chosen, trial];
  chosenAnew();
}

function chosenAnew() {
  writeAddress();
  showTrials();
  showWishes();
  showCurves();
  if (page.tab === "happened") listHappened(true);
}

// ---- the tabs

function showTab() {
  for (const button of $("tabs").children) {
    const on = button.id === `tab-${page.tab}`;
    button.setAttribute("aria-selected", on);
    button.tabIndex = on ? 0 : -1;
  }
  $("panel").setAttribute("aria-labelledby", `tab-${page.tab}`);
  if (page.tab === "happened") {
    const filters = [["", "everything"], ["finding", "findings"], ["decision", "decisions"], ["end", "ends"]];
    const buttons = filters.map(([kind, name]) => {
      const input = el("input", { type: "radio", name: "only", value: kind });
      input.checked = page.only === kind;
      input.addEventListener("change", () => { page.only = kind; listHappened(true); });
      return el("label", {}, input, ` ${name}`);
    });
    $("panel").replaceChildren(el("div", { class: "filters" }, ...buttons),
      el("p", { class: "missing", id: "whose" }), el("ol", { class: "happened", id: "happened" }));
    listHappened(true);
    if (state && state.job) showHappened();
  } else showParts();
}

async function showParts() {
  const [run, name] = [page.run, page.tab];
  $("panel").replaceChildren(el("p", { class: "missing" }, "Drawing"));
  let parts;
  try {
    parts = await ask(`tab?${new URLSearchParams({ run, name })}`);
  } catch (error) {
    parts = [{ html: "" }];
    say(error.message);
  }
  if (run !== page.run || name !== page.tab) return;
  const again = el("button", {}, "Draw anew");
  again.addEventListener("click", showParts);
  $("panel").replaceChildren(...(state?.job?.ended ? [] : [again]));
  for (const part of parts) {
    const place = el("div");
    if (part.html) place.innerHTML = part.html; // made and escaped by the server
    $("panel").append(el("figure", part.wide ? { class: "wide" } : {},
      ...(part.caption ? [el("h3", {}, part.caption)] : []), place));
    if (part.figure) drawFigure(place, part.figure);
  }
}

async function showHappened() {
  if (state.happened < told.length) told = []; // another run was copied over this one
  if (fetching || state.happened === told.length) return;
  fetching = true;
  const run = page.run;
  try {
    const rows = await ask(`happened?${new URLSearchParams({ run, after: told.length })}`);
    if (run === page.run) {
      told.push(...rows);
      listHappened(false);
    }
  } finally {
    fetching = false;
  }
}

// Newest first; what is there already stays, so that reading is not disturbed.
function listHappened(anew) {
  const list = $("happened");
  if (!list) return;
  if (anew) {
    list.replaceChildren();
    drawn = 0;
  }
  const shown = told.slice(drawn).filter((row) => (!page.only || row.kind === page.only)
    && (!page.chosen.length || !row.trial || page.chosen.includes(row.trial)));
  drawn = told.length;
  list.prepend(...shown.reverse().map(item));
  const whose = page.chosen.length ? `Of trial ${page.chosen.join(", ")} and the job; Escape shows all.` : "";
  $("whose").textContent = list.children.length ? whose : `Nothing of this kind yet. ${whose}`;
}

function item(row) {
  const at = new Date(1000 * row.time);
  const made = el("li", {}, el("time", { datetime: at.toISOString() }, at.toLocaleTimeString()));
  if (row.severity) made.append(el("b", { class: row.severity }, row.severity), " ");
  made.append(row.trial ? `Trial ${row.trial}: ` : "", row.title, row.text ? `. ${row.text}` : "");
  if (row.remedy) made.append(el("small", {}, row.remedy));
  return made;
}

// ---- what a person does

$("runs").addEventListener("change", () => {
  page.run = $("runs").value;
  page.chosen = [];
  [state, told] = [null, []];
  writeAddress();
  listen();
  showTab();
});
$("metric").addEventListener("change", () => {
  page.metric = $("metric").value;
  writeAddress();
  listen();
});
$("trials").addEventListener("click", (event) => {
  const made = event.target.closest("tr");
  if (made) choose(made.dataset.trial);
});
$("trials").addEventListener("keydown", (event) => {
  const made = event.target.closest("tr");
  const next = { ArrowDown: made.nextElementSibling, ArrowUp: made.previousElementSibling }[event.key];
  if (next) next.focus();
  else if (event.key === "Enter" || event.key === " ") choose(made.dataset.trial);
  else return;
  event.preventDefault();
});
$("tabs").addEventListener("click", (event) => openTab(event.target.closest("button")));
$("tabs").addEventListener("keydown", (event) => {
  const near = { ArrowRight: "nextElementSibling", ArrowLeft: "previousElementSibling" }[event.key];
  const next = near && event.target[near];
  if (next) openTab(next);
});
addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !page.chosen.length) return;
  page.chosen = [];
  chosenAnew();
});
addEventListener("hashchange", () => {
  const run = page.run;
  readAddress();
  if (run !== page.run) [state, told] = [null, []];
  $("runs").value = page.run;
  listen();
  showTab();
});

function openTab(button) {
  if (!button) return;
  page.tab = button.id.replace("tab-", "");
  writeAddress();
  showTab();
  button.focus();
}

start().catch((error) => say(error.message));
