"use strict";
// What the pictures show, hour by hour and day by day. An hour or a day that the status leaves out is unknown.
const Series = (() => {
  const { object, number, count, flag, instant, day } = Reading;
  const HOUR_MS = 3600e3;
  const DAY_MS = 86400e3;
  const SOURCES = ["notification", "export"];

  function spread(value) {
    const given = object(value) ?? {};
    const [p50, p95] = [number(given.p50), number(given.p95)].map((each) => (each === null ? null : Math.max(0, each)));
    return p50 === null || p95 === null ? null : { p50, p95: Math.max(p50, p95) };
  }

  // A source that a known hour does not name brought nothing; one that it names wrongly is unknown.
  const from = (bySource, source) => (bySource && !Object.hasOwn(bySource, source) ? 0 : count(bySource?.[source]));

  function hourOf(row, at, now) {
    const [bySource, latency] = [object(row?.bySource), object(row?.latencySeconds)];
    return {
      at,
      known: bySource !== null,
      partial: at + HOUR_MS > now,
      counts: Object.fromEntries(SOURCES.map((source) => [source, from(bySource, source)])),
      latency: Object.fromEntries(SOURCES.map((source) => [source, spread(latency?.[source])])),
    };
  }

  // The last so many hours, the one that is now included, oldest first.
  function hours({ captured, now }, length = 48) {
    if (captured === null || now === null) return [];
    const rows = new Map(captured.map((row) => [instant(object(row)?.hour), object(row)]));
    const last = Math.floor(now / HOUR_MS) * HOUR_MS;
    return Array.from({ length }, (_, index) => last - (length - 1 - index) * HOUR_MS).map((at) =>
      hourOf(rows.get(at), at, now),
    );
  }

  function sum(rows, property) {
    const known = rows.map((row) => count(row[property])).filter((n) => n !== null);
    return known.length === rows.length && rows.length > 0 ? known.reduce((a, b) => a + b, 0) : null;
  }

  // The state that somebody should know of goes first; complete is only what every resource says of itself.
  function stateOf(rows, missed, notShown) {
    if (rows.some((row) => count(row.notShownByExport) > 0)) return "not-shown";
    if (rows.some((row) => count(row.missedByNotifications) > 0)) return "found";
    const complete = rows.length > 0 && rows.every((row) => flag(row.complete) === true);
    return complete && missed === 0 ? "complete" : "unknown";
  }

  function dayOf(name, rows) {
    const [missed, notShown] = [sum(rows, "missedByNotifications"), sum(rows, "notShownByExport")];
    return {
      day: name,
      state: stateOf(rows, missed, notShown),
      settled: rows.length > 0 && rows.every((row) => flag(row.complete) === true),
      recorded: rows.length > 0,
      byNotification: sum(rows, "byNotification"),
      missed,
      notShown,
    };
  }

  // The last so many days, today included, oldest first.
  function coverage({ coverage: given, now }, length = 90) {
    if (given === null || now === null) return [];
    const rows = new Map();
    for (const row of given.map(object)) {
      const name = day(row?.day);
      if (name !== null) rows.set(name, [...(rows.get(name) ?? []), row]);
    }
    const today = Math.floor(now / DAY_MS) * DAY_MS;
    const names = Array.from({ length }, (_, index) =>
      new Date(today - (length - 1 - index) * DAY_MS).toISOString().slice(0, 10),
    );
    return names.map((name) => dayOf(name, rows.get(name) ?? []));
  }

  // A round number that a scale may end at.
  function roundUp(value) {
    if (value <= 4) return 4;
    const power = 10 ** Math.floor(Math.log10(value));
    return [1, 2, 4, 5, 10].map((each) => each * power).find((each) => each >= value);
  }

  return { hours, coverage, roundUp, SOURCES };
})();
