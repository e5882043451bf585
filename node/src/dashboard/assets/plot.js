// Plots: what all of ours have in common, around uPlot.

import { at, say } from "./dom.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const plots = new Set();

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const axis = (format) => ({
  stroke: () => colour("quiet"),
  grid: { stroke: () => colour("grid"), width: 1 },
  ticks: { stroke: () => colour("grid"), width: 1 },
  size: 76,
  values: format && ((_, values) => values.map((value) => (value == null ? "" : format(value)))),
});

/** From the first time to the last, and never less than a minute. */
function minute(_, first, last) {
  const end = last ?? Date.now() / 1000;
  return [Math.min(first ?? end, end - 60), end];
}

/**
 * A plot in the element `id`, with its words in `id`-says.
 *
 * `series`: label, colour, and `bars`, `points` or `dash`. `format` shows a value; `x` shows a place
 * where places are no times. `log` makes the scale logarithmic.
 */
export class Plot {
  constructor(id, { series, format, x, log, least = 0 }) {
    this.box = at(id);
    this.words = at(`${id}-says`);
    this.data = [[], ...series.map(() => [])];
    const isTime = !x;
    this.options = {
      scales: {
        x: { time: isTime, range: isTime ? minute : (_, low, high) => [low - 0.6, high + 0.6] },
        y: log ? { distr: 3 } : { range: (_, low, high) => [Math.min(least, low ?? 0), high > 0 ? high * 1.08 : 1] },
      },
      axes: [{ ...axis(x), size: 30, incrs: isTime ? undefined : [1, 2, 5, 10, 20, 50, 100] }, axis(format)],
      legend: { live: isTime },
      cursor: { drag: { x: false, y: false } },
      series: [
        isTime ? {} : { label: " ", value: () => "" },
        ...series.map((one) => this.#series(one, format)),
      ],
    };
    this.make();
    this.box.setAttribute("role", "img");
    this.box.setAttribute("aria-describedby", `${id}-says`);
    this.box.setAttribute("aria-label", series.map((one) => one.label).join(", "));
    new ResizeObserver(() => this.plot.setSize(this.#size())).observe(this.box);
    plots.add(this);
  }

  /** Makes it anew, in the colours of now: those of the legend do not change by themselves. */
  make() {
    this.plot?.destroy();
    this.plot = new uPlot({ ...this.options, ...this.#size() }, this.data, this.box);
  }

  #size() {
    return { width: Math.max(200, this.box.clientWidth), height: 170 };
  }

  #series({ label, colour: name, bars, points, dash }, format) {
    const drawn = {
      label,
      stroke: () => colour(name),
      width: 1.5,
      dash,
      points: { show: Boolean(points), size: 7, fill: () => colour(name) },
      value: (_, value) => (value == null ? "–" : format(value)),
    };
    if (points) drawn.paths = () => null;
    if (bars) {
      drawn.fill = () => colour(name);
      drawn.paths = uPlot.paths.bars({ size: bars === true ? [0.7, 60] : [0.35, 30], align: bars === true ? 0 : bars });
    }
    return drawn;
  }

  /** Draws `data` (places, then the values of each series) and says it in words. */
  show(data, words) {
    this.data = data;
    this.plot.setData(data);
    say(this.words, words);
  }
}

dark.addEventListener("change", () => {
  for (const plot of plots) plot.make();
});
