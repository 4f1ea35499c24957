"use strict";
// The pictures, drawn for the width that they are given. Each is one image with one sentence; a table stands beside it.
const Pictures = (() => {
  const { draw } = Elements;
  const { SOURCES } = Series;
  const NAMES = { notification: "by notification", export: "by export" };
  const LEFT = 46;
  const TOP = 8;
  const PLOT = 132;
  const FOOT = 20;

  const image = (width, height, label, ...children) =>
    draw("svg", { role: "img", "aria-label": label, width, height, viewBox: `0 0 ${width} ${height}` }, children);
  const line = (x1, y1, x2, y2, kind) => draw("line", { x1, y1, x2, y2, class: kind });
  const label = (x, y, anchor, words) => draw("text", { x, y, "text-anchor": anchor }, words);
  const titled = (words, ...children) => draw("g", {}, draw("title", {}, words), children);

  function grid(width, ticks, place) {
    return ticks.map(([value, words]) => [
      line(LEFT, place(value), width, place(value), "grid"),
      label(LEFT - 6, place(value) + 4, "end", words),
    ]);
  }

  // Every sixth hour where there is room, else every twelfth; midnight carries the day.
  function hourAxis(hours, step) {
    const every = step * 6 < 38 ? 12 : 6;
    return hours.flatMap(({ at }, index) => {
      const hour = new Date(at).getUTCHours();
      const x = LEFT + (index + 0.5) * step;
      if (hour % every !== 0 || x + 18 > LEFT + step * hours.length) return [];
      const words = hour === 0 ? Words.dayName(new Date(at).toISOString().slice(0, 10)) : Words.time(at, at);
      return [label(x, TOP + PLOT + 15, "middle", words)];
    });
  }

  function said(hour, now) {
    const when = `${Words.time(hour.at, now)}${hour.partial ? " (so far)" : ""}`;
    if (!hour.known) return `${when}: unknown`;
    return `${when}: ${SOURCES.map((source) => `${Words.amount(hour.counts[source])} ${NAMES[source]}`).join(", ")}`;
  }

  function bar(hour, x, width, scale, now) {
    const base = TOP + PLOT;
    // The whole column answers to the pointer, not just the bar.
    const target = draw("rect", { x: x - 0.5, y: TOP, width: width + 1, height: PLOT, class: "target" });
    if (!hour.known) return titled(said(hour, now), target, line(x, base - 1, x + width, base - 1, "unknown"));
    let top = base;
    const parts = SOURCES.filter((source) => hour.counts[source] > 0).map((source) => {
      const height = Math.max(1, scale(hour.counts[source]));
      top -= height;
      return draw("rect", { x, y: top, width, height, class: `${source}${hour.partial ? " partial" : ""}` });
    });
    return titled(said(hour, now), target, parts.length ? parts : line(x, base - 1, x + width, base - 1, "zero"));
  }

  function bars(hours, now, width, sentence) {
    const most = Math.max(
      0,
      ...hours.map((hour) => SOURCES.reduce((sum, source) => sum + (hour.counts[source] ?? 0), 0)),
    );
    const end = Series.roundUp(most);
    const scale = (n) => (n / end) * PLOT;
    const step = (width - LEFT) / hours.length;
    const ticks = [0, end / 2, end].map((n) => [n, Words.digits(n)]);
    const drawn = hours.map((hour, index) => bar(hour, LEFT + index * step + step * 0.12, step * 0.76, scale, now));
    return image(
      width,
      TOP + PLOT + FOOT,
      sentence,
      grid(width, ticks, (n) => TOP + PLOT - scale(n)),
      drawn,
      hourAxis(hours, step),
    );
  }

  const LATENCIES = [
    [1, "1 s"],
    [10, "10 s"],
    [60, "1 min"],
    [600, "10 min"],
    [3600, "1 h"],
    [21600, "6 h"],
    [86400, "1 day"],
  ];

  function strokes(hour, x, width, place, now) {
    return SOURCES.filter((source) => hour.latency[source]).map((source) => {
      const { p50, p95 } = hour.latency[source];
      const when = `${Words.time(hour.at, now)} ${NAMES[source]}`;
      const words = `${when}: half within ${Words.short(p50)}, 95 % within ${Words.short(p95)}`;
      const middle = x + width / 2;
      const span = draw("line", {
        x1: middle,
        x2: middle,
        y1: place(p50),
        y2: place(p95),
        class: `span ${source}`,
        "stroke-width": Math.max(1.5, width * 0.4),
      });
      return titled(
        words,
        span,
        draw("circle", { cx: middle, cy: place(p50), r: Math.min(3, Math.max(1.6, width * 0.45)), class: source }),
      );
    });
  }

  // A scale of powers: seconds by notification and hours by export fit on it together.
  function latency(hours, now, width, sentence) {
    const values = hours.flatMap((hour) => SOURCES.flatMap((source) => Object.values(hour.latency[source] ?? {})));
    const most = Math.max(60, ...values);
    const ticks = LATENCIES.filter(([value], index) => index === 0 || LATENCIES[index - 1][0] < most);
    const end = Math.max(ticks.at(-1)[0], most);
    const low = Math.log(0.5);
    const place = (value) => TOP + PLOT - ((Math.log(Math.max(0.5, value)) - low) / (Math.log(end) - low)) * PLOT;
    const step = (width - LEFT) / hours.length;
    const drawn = hours.map((hour, index) => strokes(hour, LEFT + index * step + step * 0.12, step * 0.76, place, now));
    return image(width, TOP + PLOT + FOOT, sentence, grid(width, ticks, place), drawn, hourAxis(hours, step));
  }

  // Each state has a shape of its own as well as a colour.
  function cell(state, x, y, size) {
    const box = draw("rect", {
      x: x + 0.5,
      y: y + 0.5,
      width: size - 1,
      height: size - 1,
      rx: 2,
      class: `day ${state}`,
    });
    const middle = size / 2;
    const marks = {
      found: [draw("circle", { cx: x + middle, cy: y + middle, r: size / 5, class: "mark" })],
      "not-shown": [draw("path", { d: `M${x + 4} ${y + size - 4}L${x + size - 4} ${y + 4}`, class: "mark line" })],
    };
    return [box, marks[state] ?? []];
  }

  // Weeks are columns, Monday is on top.
  function calendar(days, width, sentence, words) {
    const first = (new Date(`${days[0].day}T00:00:00Z`).getUTCDay() + 6) % 7;
    const weeks = Math.ceil((first + days.length) / 7);
    const step = Math.min(24, Math.floor((width - 34) / weeks));
    const size = step - 3;
    const place = (index) => [34 + Math.floor((first + index) / 7) * step, 18 + ((first + index) % 7) * step];
    const cells = days.map((each, index) => titled(words(each), cell(each.state, ...place(index), size)));
    const months = days.flatMap(({ day }, index) =>
      day.endsWith("-01") ? [label(place(index)[0], 11, "start", Words.dayName(day).slice(-3))] : [],
    );
    const weekdays = ["Mon", "Wed", "Fri"].map((name, index) =>
      label(0, 18 + index * 2 * step + size * 0.75, "start", name),
    );
    return image(34 + weeks * step, 18 + 7 * step, sentence, months, weekdays, cells);
  }

  const swatch = (state) =>
    draw("svg", { width: 14, height: 14, viewBox: "0 0 14 14", "aria-hidden": "true" }, cell(state, 0, 0, 14));
  const patch = (source) =>
    draw(
      "svg",
      { width: 12, height: 12, "aria-hidden": "true" },
      draw("rect", { width: 12, height: 12, rx: 2, class: source }),
    );

  return { bars, latency, calendar, swatch, patch, NAMES };
})();
