"use strict";
// The parts of the page that have a picture: what was captured, how fast, and which days are whole.
const Trends = (() => {
  const { make, time, figure, row, table, at, fill, nothing } = Elements;
  const { amount, digits, short, many, dayName } = Words;
  const { SOURCES } = Series;

  // The picture and its table, or the sentence that there is nothing to draw.
  function pictured(name, drawing, tabled, absent) {
    at(`${name}-more`).hidden = drawing === null;
    fill(`${name}-picture`, drawing ?? absent);
    fill(`${name}-table`, drawing === null ? null : tabled());
  }
  const room = (name) => Math.max(240, Math.floor(at(`${name}-picture`).clientWidth));

  const legend = (entries) =>
    make(
      "ul",
      { class: "legend" },
      entries.map(([mark, ...words]) => make("li", {}, mark, " ", ...words)),
    );
  const total = (hours, source) => hours.reduce((sum, hour) => sum + (hour.counts[source] ?? 0), 0);
  const hourName = (hour, now) => [time(hour.at, now), hour.partial ? " so far" : null];

  function sumOf(hours) {
    const unknown = hours.filter((hour) => !hour.known).length;
    if (unknown === hours.length) return "Nothing is known of the last 24 hours.";
    const hole = unknown ? `; ${many(unknown, "hour is", "hours are")} unknown` : "";
    const sums = SOURCES.map((source) => `${digits(total(hours, source))} ${Pictures.NAMES[source]}`).join(", ");
    return `In the last 24 hours ${sums}${hole}.`;
  }

  function captured(facts) {
    const hours = Series.hours(facts);
    const any = hours.some((hour) => hour.known);
    const sentence = sumOf(hours.slice(-24));
    fill("captured-sum", any ? sentence : "");
    fill(
      "captured-legend",
      any ? legend(SOURCES.map((source) => [Pictures.patch(source), Pictures.NAMES[source]])) : null,
    );
    const headings = ["Hour (UTC)", "By notification", "By export"];
    const rows = () =>
      [...hours]
        .reverse()
        .map((hour) => row(hourName(hour, facts.now), ...SOURCES.map((source) => figure(hour.counts[source]))));
    pictured(
      "captured",
      any ? Pictures.bars(hours, facts.now, room("captured"), `Bars, one for each of 48 hours. ${sentence}`) : null,
      () => table("Interactions captured by hour and source", headings, rows()),
      nothing(facts.captured, "what was captured by hour"),
    );
  }

  function latency(facts) {
    const hours = Series.hours(facts);
    const last = (source) => hours.findLast((hour) => hour.latency[source]) ?? null;
    const newest = SOURCES.map((source) => [source, last(source)]).filter(([, hour]) => hour);
    const said = ([source, hour]) =>
      `${Pictures.NAMES[source]} ${short(hour.latency[source].p50)} / ${short(hour.latency[source].p95)}`;
    fill("latency-sum", newest.length ? `Latest p50 / p95: ${newest.map(said).join(", ")}.` : "");
    fill(
      "latency-legend",
      newest.length
        ? legend([
            ...newest.map(([source]) => [Pictures.patch(source), Pictures.NAMES[source]]),
            ["", "dot: p50, line: up to p95"],
          ])
        : null,
    );
    const cell = (each) => (each ? `${short(each.p50)} / ${short(each.p95)}` : figure(null));
    const rows = () =>
      [...hours]
        .reverse()
        .map((hour) => row(hourName(hour, facts.now), ...SOURCES.map((source) => cell(hour.latency[source]))));
    const latest = newest.map(said).join(", ");
    const sentence = `Median and 95th percentile of the latency for each of 48 hours. Latest: ${latest}.`;
    pictured(
      "latency",
      newest.length ? Pictures.latency(hours, facts.now, room("latency"), sentence) : null,
      () =>
        table(
          "From creation to the archive: median / 95th percentile",
          ["Hour (UTC)", "By notification", "By export"],
          rows(),
        ),
      hours.some((hour) => hour.known)
        ? make("p", { class: "unknown" }, "None: nothing was captured in the last 48 hours.")
        : nothing(facts.captured, "latency"),
    );
  }

  const STATES = {
    complete: "complete",
    found: "found by export",
    "not-shown": "not shown by export",
    unknown: "unknown",
  };
  function stateWords({ state, recorded, settled }) {
    if (!recorded) return "unknown, no record";
    if (settled) return STATES[state];
    return state === "unknown" ? "not complete yet" : `${STATES[state]}, not complete yet`;
  }
  function dayWords(each) {
    const { byNotification, missed, notShown } = each;
    const counts = [
      `${amount(byNotification)} by notification`,
      `${amount(missed)} by export alone`,
      `${amount(notShown)} not shown`,
    ];
    return `${dayName(each.day)}: ${stateWords(each)}${each.recorded ? ` (${counts.join(", ")})` : ""}`;
  }

  function coverage(facts) {
    const days = Series.coverage(facts);
    const any = days.some((each) => each.recorded);
    const of = (state) => days.filter((each) => each.state === state).length;
    const states = Object.keys(STATES);
    const sentence = `Of the last 90 days ${states.map((state) => `${of(state)} ${STATES[state]}`).join(", ")}.`;
    fill(
      "coverage-legend",
      any
        ? legend(states.map((state) => [Pictures.swatch(state), make("b", {}, String(of(state))), ` ${STATES[state]}`]))
        : null,
    );
    const recorded = days.filter((each) => each.recorded).reverse();
    const rows = () =>
      recorded.map((each) =>
        row(
          dayName(each.day),
          stateWords(each),
          figure(each.byNotification),
          figure(each.missed),
          figure(each.notShown),
        ),
      );
    const headings = ["Day (UTC)", "State", "By notifi\u00adcation", "By export alone", "Not shown"];
    pictured(
      "coverage",
      any ? Pictures.calendar(days, room("coverage"), `A calendar. ${sentence}`, dayWords) : null,
      () => table("Coverage by day; days without a record are left out", headings, rows()),
      nothing(facts.coverage, "coverage"),
    );
  }

  return { captured, latency, coverage };
})();
