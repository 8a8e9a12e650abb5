// Each chart is drawn by Chart.js, which the theme brings, out of the data that stands beside it. Colours are those of the style
// sheet: taken anew when the page turns dark or light, and light ones for paper.
const PAPER = 680;
const NAMES = 56; // so wide for all, that their times stand below each other
let isOnPaper = false;

const colourOf = (tone) => {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.className = `rm-tone is-${tone}`;
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
};

const striped = (width) => (colour) => {
  const pen = new OffscreenCanvas(5, 5).getContext("2d");
  pen.fillStyle = colour;
  for (let n = 0; n < 5; n++) [n, n - 5].forEach((x) => pen.fillRect(x, 4 - n, width, 1));
  return pen.createPattern(pen.canvas, "repeat");
};

const FILLS = { gap: striped(1.5), planned: striped(1.5), bad: striped(3.5), notice: () => "transparent" };

const datasetOf = (kind, { tone, text, values }) => {
  const colour = colourOf(tone);
  const fill = FILLS[tone]?.(colour) ?? colour;
  const data = values.map(([x, y, title]) => ({ x, y, title }));
  const look = { label: text, data, borderColor: colour, backgroundColor: fill, pointStyle: "rect", borderWidth: tone in FILLS && tone !== "gap" ? 1 : 0 };
  if (kind === "bars" && tone !== "gap") Object.assign(look, { borderColor: colourOf("ground"), borderWidth: { top: 1 } });
  if (kind === "points") Object.assign(look, { clip: 5, pointStyle: "circle", pointRadius: 2.5, showLine: false });
  if (tone === "median") Object.assign(look, { showLine: true, pointRadius: 3.5, borderWidth: 2 });
  if (tone !== "gap" || kind === "strip") return look;
  const area = values.flatMap(([[begin, end]]) => [{ x: begin, y: 1 }, { x: end, y: 1 }, { x: end, y: null }]);
  return { ...look, type: "line", data: area, fill: "start", pointRadius: 0, yAxisID: "whole" };
};

const axisOf = ({ options, marks }) => {
  const words = new Map(marks);
  if (!words.size) return { type: "linear", ...options };
  const afterBuildTicks = (scale) => { scale.ticks = marks.map(([value]) => ({ value })); };
  return { type: "linear", ...options, afterBuildTicks, ticks: { callback: (value) => words.get(value) } };
};

const scalesOf = ({ kind, across, up }) => {
  const x = { ...axisOf(across), offset: false, grid: { display: false }, stacked: kind === "bars" };
  const y = { ...axisOf(up), stacked: kind === "bars", afterFit: (scale) => { scale.width = NAMES; } };
  if (kind === "strip") Object.assign(y, { type: "category", ticks: { display: false }, grid: { display: false } });
  return { x, y, whole: { axis: "y", display: false, min: 0, max: 1 } };
};

const draw = (canvas) => {
  const chart = JSON.parse(canvas.closest("figure").querySelector("script").textContent);
  Chart.getChart(canvas)?.destroy();
  const drawn = new Chart(canvas, {
    type: chart.kind === "points" ? "line" : "bar",
    data: { labels: [""], datasets: chart.series.map((series) => datasetOf(chart.kind, series)) },
    options: {
      indexAxis: chart.kind === "strip" ? "y" : "x",
      scales: scalesOf(chart),
      datasets: { bar: chart.kind === "strip" ? { grouped: false, categoryPercentage: 1, barPercentage: 1, minBarLength: 2 } : { barThickness: "flex" } },
      plugins: { legend: { display: chart.series.length > 1 } },
      ...(isOnPaper && { responsive: false, devicePixelRatio: 3 }),
    },
  });
  canvas.parentElement.hidden = false;
  drawn.resize(...(isOnPaper ? [PAPER, canvas.parentElement.clientHeight] : []));
};

const drawAll = () => {
  Object.assign(Chart.defaults, { color: colourOf("text"), borderColor: colourOf("line") });
  document.querySelectorAll(".rm-canvas > canvas").forEach(draw);
};

const { font, interaction, hover, scale, plugins } = Object.assign(Chart.defaults, { animation: false, maintainAspectRatio: false });
Object.assign(font, { family: getComputedStyle(document.body).fontFamily, size: 11 });
Object.assign(interaction, { mode: "point" });
Object.assign(hover, { mode: null });
Object.assign(scale.border, { display: false });
Object.assign(scale.ticks, { maxRotation: 0 });
Object.assign(plugins.legend, { position: "bottom", align: "start" });
Object.assign(plugins.legend.labels, { usePointStyle: true, boxWidth: 8, boxHeight: 6 });
Object.assign(plugins.tooltip, { displayColors: false, filter: (_item, index) => index < 4 });
Object.assign(plugins.tooltip.callbacks, { title: () => "", label: ({ raw }) => raw.title });

const root = document.documentElement;
document.fonts.ready.then(drawAll);
new MutationObserver(drawAll).observe(root, { attributeFilter: ["class"] });
for (const [moment, begins] of [["beforeprint", true], ["afterprint", false]]) {
  window.addEventListener(moment, () => {
    isOnPaper = begins;
    root.classList.toggle("is-paper", begins);
    drawAll();
  });
}
