// The plots: what Plotly is given. Colours and marks are the report's (style, from the server).
"use strict";

const QUIET = { displayModeBar: false, responsive: true };
const plotlyReady = new Promise((resolve) => {
  const script = document.getElementById("plotly");
  if (window.Plotly) resolve();
  else script.addEventListener("load", () => resolve());
});

function axis(title) {
  return { title: { text: title }, gridcolor: "rgba(128,128,128,0.18)", zeroline: false, ticks: "" };
}

// Which colour a trial has: the best is blue, the chosen ones take turns, all others are grey.
function colourOf(trial, chosen, style) {
  const place = chosen.indexOf(trial.id);
  if (place >= 0) return style.palette[(place + (trial.best ? 0 : 1)) % style.palette.length];
  return trial.best ? style.accent : "rgba(128,128,128,0.55)";
}

function traces(state, curves, chosen, style) {
  const strong = (trial) => chosen.includes(trial.id) || (trial.best && !chosen.length);
  // What is drawn last lies above.
  const order = [...state.trials].sort((a, b) => strong(a) - strong(b));
  const lines = order.filter((t) => curves[t.id]).map((trial) => ({
    x: curves[trial.id].x, y: curves[trial.id].y, type: "scatter",
    mode: curves[trial.id].x.length > 1 ? "lines" : "markers", marker: { size: 5 },
    line: { width: strong(trial) ? 3 : 1, color: colourOf(trial, chosen, style) },
    name: `trial ${trial.id}${trial.best ? ", the best" : ""}`, showlegend: strong(trial),
    hovertemplate: `trial ${trial.id}, iteration %{x}: %{y:.4g}<extra></extra>`,
  }));
  const reasons = [...new Set(state.trials.map((trial) => trial.ended).filter(Boolean))];
  return [...lines, ...reasons.map((reason) => ends(reason, state, curves, style))];
}

function ends(reason, state, curves, style) {
  const mark = style.ends[reason] || { colour: style.muted, symbol: "triangle-up", said: reason };
  const ended = state.trials.filter((trial) => trial.ended === reason && curves[trial.id]);
  const last = ended.map((trial) => {
    const { x, y } = curves[trial.id];
    let i = y.length - 1;
    while (i > 0 && y[i] === null) i -= 1;
    return [x[i], y[i]];
  });
  return {
    x: last.map((point) => point[0]), y: last.map((point) => point[1]), type: "scatter",
    mode: "markers", marker: { size: 9, color: mark.colour, symbol: mark.symbol },
    name: `ended: ${mark.said}`, text: ended.map((t) => folded(`trial ${t.id}, ${t.state}`)),
    hovertemplate: "%{text}<extra></extra>",
  };
}

// Plotly reads HTML in labels, so nothing of the text may look like it.
function folded(text) {
  const safe = text.replace(/[<>&]/g, (c) => ({ "<": "&lt;", ">": "&gt;", "&": "&amp;" })[c]);
  return safe.replace(/(.{1,56})(\s+|$)/g, "$1<br>");
}

async function drawCurves(place, state, curves, metric, chosen, style) {
  await plotlyReady;
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
    xaxis: { ...axis("iteration"), range: [0, state.job.iterations * 1.02] },
    yaxis: { ...axis(log ? `${name} (log scale)` : name), type: log ? "log" : "linear" },
  };
  await Plotly.react(place, traces(state, curves, chosen, style), layout, QUIET);
}

async function drawFigure(place, figure) {
  await plotlyReady;
  await Plotly.newPlot(place, figure.data, figure.layout, QUIET);
}

// The small curve of a trial's row, without Plotly.
function spark(line) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "spark");
  svg.setAttribute("viewBox", "0 0 72 18");
  svg.setAttribute("aria-hidden", "true");
  const known = line.y.map((y, i) => [line.x[i], y]).filter((point) => point[1] !== null);
  const step = Math.max(1, Math.floor(known.length / 36));
  const points = known.filter((_, i) => i % step === 0 || i === known.length - 1);
  if (points.length < 2) return svg;
  const [low, high] = [Math.min(...points.map((p) => p[1])), Math.max(...points.map((p) => p[1]))];
  const [from, to] = [points[0][0], points[points.length - 1][0]];
  const at = ([x, y]) =>
    `${(1 + (70 * (x - from)) / (to - from || 1)).toFixed(1)} ` +
    `${(16 - (14 * (y - low)) / (high - low || 1)).toFixed(1)}`;
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", `M${points.map(at).join("L")}`);
  svg.append(path);
  return svg;
}
