// The plots, drawn by Plotly. Colours and marks are those of the report (style, from the server).
"use strict";

const QUIET = { displayModeBar: false, responsive: true };
let plotlyLoading = null, newest = 0;

// Plotly takes most of a second to start, during which the browser does nothing else. So it is
// loaded on first use only, after everything drawn before has been painted.
function loadPlotly() {
  plotlyLoading ??= new Promise((resolve) => {
    const script = document.createElement("script");
    script.src = "plotly.js";
    script.addEventListener("load", resolve);
    requestAnimationFrame(() => setTimeout(() => document.head.append(script)));
  });
  return plotlyLoading;
}

function axis(title) {
  return { title: { text: title }, gridcolor: "rgba(128,128,128,0.18)", zeroline: false, ticks: "" };
}

// The best trial is blue, selected ones take the palette in turn, all others are grey.
function colourOf(trial, selected, style) {
  const index = selected.indexOf(trial.id);
  if (index >= 0) return style.palette[(index + (trial.best ? 0 : 1)) % style.palette.length];
  return trial.best ? style.accent : "rgba(128,128,128,0.55)";
}

function traces(state, curves, selected, style) {
  const strong = (trial) => selected.includes(trial.id) || (trial.best && !selected.length);
  // Later traces cover earlier ones.
  const order = [...state.trials].sort((a, b) => strong(a) - strong(b));
  const lines = order.filter((t) => curves[t.id]).map((trial) => ({
    x: curves[trial.id].x, y: curves[trial.id].y, type: "scatter",
    // A held-out score exists only at some of the iterations.
    connectgaps: true, marker: { size: 5 },
    mode: curves[trial.id].y.filter((y) => y !== null).length > 1 ? "lines" : "markers",
    line: { width: strong(trial) ? 3 : 1, color: colourOf(trial, selected, style) },
    name: `trial ${trial.id}${trial.best ? ", the best" : ""}`, showlegend: strong(trial),
    hovertemplate: `trial ${trial.id}, iteration %{x}: %{y:.4g}<extra></extra>`,
  }));
  const reasons = [...new Set(state.trials.map((trial) => trial.end_reason).filter(Boolean))];
  return [...lines, ...reasons.map((reason) => endMarks(reason, state, curves, style))];
}

function endMarks(reason, state, curves, style) {
  const mark = style.ends[reason] || { colour: style.muted, symbol: "triangle-up", message: reason };
  const ended = state.trials.filter((trial) => trial.end_reason === reason && curves[trial.id]);
  const last = ended.map((trial) => {
    const { x, y } = curves[trial.id];
    let i = y.length - 1;
    while (i > 0 && y[i] === null) i -= 1;
    return [x[i], y[i]];
  });
  return {
    x: last.map((point) => point[0]), y: last.map((point) => point[1]), type: "scatter",
    mode: "markers", marker: { size: 9, color: mark.colour, symbol: mark.symbol },
    name: `ended: ${mark.message}`, text: ended.map((t) => foldLabel(`trial ${t.id}, ${t.state}`)),
    hovertemplate: "%{text}<extra></extra>",
  };
}

// Plotly interprets HTML in labels, so the text is escaped.
function foldLabel(text) {
  const safe = text.replace(/[<>&]/g, (c) => ({ "<": "&lt;", ">": "&gt;", "&": "&amp;" })[c]);
  return safe.replace(/(.{1,56})(\s+|$)/g, "$1<br>");
}

async function drawCurves(place, state, curves, metric, selected, style) {
  const log = !metric && state.job.log;
  const rungs = state.job.rungs.map((rung) => ({
    type: "line", x0: rung, x1: rung, yref: "paper", y0: 0, y1: 1,
    line: { color: style.muted, width: 1, dash: "dot" },
  }));
  const name = metric ? metric.replaceAll("_", " ") : state.job.metric;
  const layout = {
    height: window.innerWidth < 900 ? 320 : 430, dragmode: false, hovermode: "closest",
    font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: style.muted },
    margin: { l: 56, r: 12, t: 24, b: 44 }, shapes: rungs,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    xaxis: { ...axis("iteration"), range: state.job.iterations ? [0, state.job.iterations * 1.02] : undefined },
    yaxis: { ...axis(log ? `${name} (log scale)` : name), type: log ? "log" : "linear" },
  };
  const lines = traces(state, curves, selected, style), turn = ++newest;
  if (!window.Plotly) {
    sketch(place, lines, layout);
    await loadPlotly();
    // Newer states may have arrived while Plotly was loading; the last call draws.
    if (turn !== newest) return;
  }
  place.querySelector(".sketch")?.remove();
  await Plotly.react(place, lines, layout, QUIET);
}

async function drawFigure(place, figure) {
  await loadPlotly();
  await Plotly.newPlot(place, figure.data, figure.layout, QUIET);
}

function svg(name, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// Return a function that maps the range of some numbers to the range between two coordinates.
function scale(values, from, to) {
  const low = values.reduce((a, b) => Math.min(a, b), Infinity);
  const high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  return (value) => from + ((to - from) * (value - low)) / (high - low || 1);
}

function path(points, across, up, attributes = {}) {
  const places = points.map(([x, y]) => `${across(x).toFixed(1)} ${up(y).toFixed(1)}`);
  return svg("path", { d: places.length ? `M${places.join("L")}` : "", ...attributes });
}

// Draw the lines at once, without Plotly, at the coordinates where Plotly will draw them.
function sketch(place, lines, layout) {
  const { l, r, t, b } = layout.margin, { height } = layout, width = place.clientWidth;
  const at = layout.yaxis.type === "log" ? Math.log10 : (y) => y ?? NaN;
  const drawn = lines.filter(({ line }) => line).map((line) => ({
    stroke: line.line.color, "stroke-width": line.line.width,
    points: line.x.map((x, i) => [x, at(line.y[i])]).filter((point) => Number.isFinite(point[1])),
  }));
  const heights = drawn.flatMap(({ points }) => points.map((point) => point[1]));
  const rim = 0.05 * (height - t - b); // about the margin that Plotly leaves
  const across = scale(layout.xaxis.range, l, width - r), up = scale(heights, height - b - rim, t + rim);
  place.replaceChildren(svg("svg", { class: "sketch", width, height, fill: "none" },
    ...drawn.map(({ points, ...attributes }) => path(points, across, up, attributes))));
}

// Draw the small curve in a trial's row, without Plotly.
function spark(line) {
  const known = line.y.map((y, i) => [line.x[i], y]).filter((point) => point[1] !== null);
  const step = Math.max(1, Math.floor(known.length / 36));
  const points = known.filter((_, i) => i % step === 0 || i === known.length - 1);
  const [across, up] = [scale(points.map((p) => p[0]), 1, 71), scale(points.map((p) => p[1]), 16, 2)];
  const attributes = { class: "spark", viewBox: "0 0 72 18", "aria-hidden": "true" };
  return svg("svg", attributes, ...(points.length < 2 ? [] : [path(points, across, up)]));
}
