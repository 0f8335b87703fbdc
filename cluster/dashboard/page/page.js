// The page: a stream delivers the state of a run; the selection is kept in the address.
"use strict";

const $ = (id) => document.getElementById(id);
const page = { run: "", metric: "", selected: [], tab: "events", only: "" };
let style = null, starts = false, state = null, curves = {}, events = [], source = null, loading = false, drawn = 0, lost = false;

function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  // Strings become text nodes: names and messages of a run are never parsed as HTML.
  element.append(...children);
  return element;
}

async function request(address, options = {}) {
  const response = await fetch(address, options);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

function showNotice(sentence) {
  $("notice").hidden = !sentence;
  $("notice").textContent = sentence;
}

// ---- the address

function readAddress() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  page.run = parameters.get("run") || page.run;
  page.metric = parameters.get("metric") || "";
  page.selected = (parameters.get("trials") || "").split(",").filter(Boolean);
  page.tab = parameters.get("tab") || "events";
}

function writeAddress() {
  const parts = { run: page.run, metric: page.metric, trials: page.selected.join(","), tab: page.tab };
  const filled = Object.entries(parts).filter(([, value]) => value);
  // Replaced, not assigned: that fires no hashchange, which would open the stream again.
  history.replaceState(null, "", "#" + new URLSearchParams(filled));
}

// ---- data from the server

async function start() {
  readAddress();
  const answer = await request("runs");
  style = answer.style;
  starts = answer.starts;
  listWaiting(answer.waiting);
  if (!answer.runs.length) {
    $("about").textContent = "No run yet. This page checks again every few seconds.";
    setTimeout(start, 3000);
    return;
  }
  listRuns(answer.runs);
  if (!answer.runs.some((run) => run.name === page.run)) page.run = answer.runs[0].name;
  $("runs").value = page.run;
  listen();
  showTab();
  setInterval(async () => {
    const now = await request("runs");
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
  const query = new URLSearchParams({ run: page.run, metric: page.metric });
  source = new EventSource(`stream?${query}`);
  source.addEventListener("state", (event) => {
    state = JSON.parse(event.data);
    if (lost) showNotice("");
    lost = false;
    showState();
  });
  source.addEventListener("curves", (event) => {
    const update = JSON.parse(event.data);
    // An event of the previous stream may still have been in the queue.
    if (update.metric !== page.metric) return;
    update.gone.forEach((trial) => delete curves[trial]);
    Object.assign(curves, update.changed);
    showCurves();
  });
  source.onerror = () => {
    lost = true;
    // An EventSource reconnects by itself, except after an HTTP error such as 401 or 404.
    const closed = source.readyState === EventSource.CLOSED;
    showNotice(closed ? "The server has closed the connection: open the address that it printed."
      : "The connection is lost; this page tries to reconnect.");
  };
}

// ---- rendering

function showState() {
  if (!state.job) {
    $("about").textContent = "The event log is empty so far.";
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
  showActions();
  if (page.tab === "events") loadEvents();
}

function showMetrics() {
  const names = ["", ...state.metrics];
  if ($("metric").length !== names.length) {
    $("metric").replaceChildren(...names.map((name) =>
      el("option", { value: name }, name ? name.replaceAll("_", " ") : `${state.job.metric} (the score)`)));
  }
  $("metric").value = page.metric;
}

function rankTrials() {
  const sign = state.job.mode === "max" ? -1 : 1;
  const rank = (trial) => (trial.score === null ? Infinity : sign * trial.score);
  return [...state.trials].sort((a, b) => rank(a) - rank(b) || a.id.localeCompare(b.id));
}

function showTrials() {
  const searched = state.job.searched;
  const heads = ["trial", state.job.metric, "", "iteration", "state", ...searched];
  const words = ["trial", "", "state"];
  $("no-trials").hidden = state.trials.length > 0;
  $("columns").replaceChildren(el("tr", {}, ...heads.map((name) =>
    el("th", { scope: "col", ...(words.includes(name) ? { class: "text" } : {}) }, name))));
  // Each state replaces the rows; whoever moves through them with the keyboard keeps their position.
  const focused = document.activeElement?.dataset?.trial;
  $("trials").replaceChildren(...rankTrials().map((trial) => row(trial, searched)));
  if (focused) $("trials").querySelector(`[data-trial="${CSS.escape(focused)}"]`)?.focus();
}

function row(trial, searched) {
  const strong = (text) => (trial.best ? el("b", {}, text) : text);
  const small = el("td", { class: "text spark-cell" });
  if (!page.metric && curves[trial.id]) small.append(spark(curves[trial.id]));
  const element = el("tr", { tabindex: 0, "data-trial": trial.id, "aria-selected": page.selected.includes(trial.id) },
    el("td", { class: "text" }, strong(trial.id)), el("td", {}, strong(trial.measured)), small,
    el("td", {}, `${trial.iterations}${trial.budget ? `/${trial.budget}` : ""}`), el("td", { class: "text sentence" }, trial.state),
    ...searched.map((name) => el("td", {}, trial.settings[name])));
  element.style.setProperty("--mark", colourOf(trial, page.selected, style));
  return element;
}

// What can be stopped or resumed now: the job, and the selected trials.
function showActions() {
  const actions = [];
  if (!state.job.ended) actions.push(["Stop this job", `${page.run}/stop`]);
  else if (starts) actions.push(["Resume this job", `${page.run}/resume`]);
  for (const trial of state.trials.filter((one) => page.selected.includes(one.id))) {
    const path = `${page.run}/trials/${trial.id}`;
    if (!trial.end_reason && !state.job.ended) actions.push([`Stop trial ${trial.id}`, `${path}/stop`]);
    if (trial.end_reason === "stopped" && starts) actions.push([`Resume trial ${trial.id}`, `${path}/resume`]);
  }
  const shown = [...$("actions").children].map((button) => button.dataset.path).join();
  if (shown === actions.map(([, path]) => path).join()) return; // a focused button stays
  $("actions").replaceChildren(...actions.map(([label, path]) => {
    const button = el("button", { "data-path": path }, label);
    button.addEventListener("click", () => post(label, path));
    return button;
  }));
}

async function post(label, path) {
  try {
    await request(`api/jobs/${path}`, { method: "POST" });
    showNotice(`${label}: requested. It takes effect after the next result, or at once if the trial waits.`);
  } catch (error) {
    showNotice(error.message);
  }
}

function showCurves() {
  if (!state || !state.job) return;
  if (!page.metric) {
    for (const element of $("trials").rows) {
      const line = curves[element.dataset.trial];
      if (line) element.querySelector(".spark-cell").replaceChildren(spark(line));
    }
  }
  drawCurves($("plot"), state, curves, page.metric, page.selected, style);
}

function select(trial) {
  page.selected = page.selected.includes(trial)
    ? page.selected.filter((id) => id !== trial) : [...page.selected, trial];
  updateSelection();
}

function updateSelection() {
  writeAddress();
  showTrials();
  showActions();
  showCurves();
  if (page.tab === "events") listEvents(true);
}

// ---- the tabs

function showTab() {
  for (const button of $("tabs").children) {
    const on = button.id === `tab-${page.tab}`;
    button.setAttribute("aria-selected", on);
    button.tabIndex = on ? 0 : -1;
  }
  $("panel").setAttribute("aria-labelledby", `tab-${page.tab}`);
  if (page.tab === "events") {
    const filters = [["", "everything"], ["finding", "findings"], ["decision", "decisions"], ["end", "ends"]];
    const buttons = filters.map(([kind, name]) => {
      const input = el("input", { type: "radio", name: "only", value: kind });
      input.checked = page.only === kind;
      input.addEventListener("change", () => { page.only = kind; listEvents(true); });
      return el("label", {}, input, ` ${name}`);
    });
    $("panel").replaceChildren(el("div", { class: "filters" }, ...buttons),
      el("p", { class: "missing", id: "filter-note" }), el("ol", { class: "events", id: "events" }));
    listEvents(true);
    if (state && state.job) loadEvents();
  } else showParts();
}

async function showParts() {
  const [run, name] = [page.run, page.tab];
  $("panel").replaceChildren(el("p", { class: "missing" }, "Loading"));
  let parts;
  try {
    parts = await request(`tab?${new URLSearchParams({ run, name })}`);
  } catch (error) {
    parts = [{ html: "" }];
    showNotice(error.message);
  }
  // Another run or tab was opened while this one was loading.
  if (run !== page.run || name !== page.tab) return;
  const update = el("button", {}, "Update");
  update.addEventListener("click", showParts);
  $("panel").replaceChildren(...(state?.job?.ended ? [] : [update]));
  for (const part of parts) {
    const container = el("div");
    if (part.html) container.innerHTML = part.html; // rendered and escaped by the server
    $("panel").append(el("figure", part.wide ? { class: "wide" } : {},
      ...(part.caption ? [el("h3", {}, part.caption)] : []), container));
    if (part.figure) drawFigure(container, part.figure);
  }
}

async function loadEvents() {
  if (state.num_events < events.length) events = []; // another run was copied over this one
  if (loading || state.num_events === events.length) return;
  loading = true;
  const run = page.run;
  try {
    const rows = await request(`events?${new URLSearchParams({ run, after: events.length })}`);
    if (run === page.run) {
      events.push(...rows);
      listEvents(false);
    }
  } finally {
    loading = false;
  }
}

// Newest first; listed events stay in place, so that a reader keeps their position.
function listEvents(redraw) {
  const list = $("events");
  if (!list) return;
  if (redraw) {
    list.replaceChildren();
    drawn = 0;
  }
  const shown = events.slice(drawn).filter((row) => (!page.only || row.kind === page.only)
    && (!page.selected.length || !row.trial || page.selected.includes(row.trial)));
  drawn = events.length;
  list.prepend(...shown.reverse().map(item));
  const note = page.selected.length ? `Events of the job and of trial ${page.selected.join(", ")}; Escape shows all.` : "";
  $("filter-note").textContent = list.children.length ? note : `No events of this kind yet. ${note}`;
}

function item(row) {
  const at = new Date(1000 * row.time);
  const element = el("li", {}, el("time", { datetime: at.toISOString() }, at.toLocaleTimeString()));
  if (row.severity) element.append(el("b", { class: row.severity }, row.severity), " ");
  element.append(row.trial ? `Trial ${row.trial}: ` : "", row.title, row.text ? `. ${row.text}` : "");
  if (row.remedy) element.append(el("small", {}, row.remedy));
  return element;
}

// ---- user input

$("runs").addEventListener("change", () => {
  page.run = $("runs").value;
  page.selected = [];
  [state, events] = [null, []];
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
  const target = event.target.closest("tr");
  if (target) select(target.dataset.trial);
});
$("trials").addEventListener("keydown", (event) => {
  const target = event.target.closest("tr");
  const next = { ArrowDown: target.nextElementSibling, ArrowUp: target.previousElementSibling }[event.key];
  if (next) next.focus();
  else if (event.key === "Enter" || event.key === " ") select(target.dataset.trial);
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
  if (event.key !== "Escape" || !page.selected.length) return;
  page.selected = [];
  updateSelection();
});
addEventListener("hashchange", () => {
  const run = page.run;
  readAddress();
  if (run !== page.run) [state, events] = [null, []];
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

start().catch((error) => showNotice(error.message));
