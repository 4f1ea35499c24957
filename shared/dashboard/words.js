"use strict";
// Numbers, durations and times as people read them. Times are UTC unless they say otherwise.
const Words = (() => {
  const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const SMALL = ["No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten"];
  const MINUTE = 60;
  const HOUR = 3600;
  const DAY = 86400;
  // Where the status stops counting.
  const COUNTED = 10000;

  // A number and its unit stay on one line.
  const unit = (n, name) => `${n}\u00a0${name}`;
  const digits = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ",");
  const amount = (n) => (n === null ? "unknown" : digits(n));
  const counted = (n) => (n !== null && n >= COUNTED ? `${digits(n)} or more` : amount(n));
  const many = (n, one, more) => `${digits(n)} ${n === 1 ? one : more}`;

  // At the beginning of a sentence: "Two dead letters".
  const Many = (n, one, more) => `${SMALL[n] ?? digits(n)} ${n === 1 ? one : more}`;

  function pair(large, name, small, smallName, limit) {
    const first = unit(digits(large), name);
    return small === 0 || large >= limit ? first : `${first}\u00a0${unit(small, smallName)}`;
  }

  function duration(seconds) {
    if (seconds === null) return "unknown";
    const whole = Math.floor(Math.abs(seconds));
    if (whole < MINUTE) return unit(whole, "s");
    if (whole < HOUR) return unit(Math.floor(whole / MINUTE), "min");
    if (whole < DAY) return pair(Math.floor(whole / HOUR), "h", Math.floor((whole % HOUR) / MINUTE), "min", 10);
    const days = Math.floor(whole / DAY);
    return pair(days, days === 1 ? "day" : "days", Math.floor((whole % DAY) / HOUR), "h", 10);
  }

  // A latency: tenths count below ten seconds.
  function short(seconds) {
    if (seconds === null) return "unknown";
    return seconds < 10 ? unit(Math.max(0, seconds).toFixed(1), "s") : duration(seconds);
  }

  const date = (at) => unit(at.getUTCDate(), MONTHS[at.getUTCMonth()]);
  const two = (n) => String(n).padStart(2, "0");

  // "14:32" of the day that is now, else "20 Nov 14:32"; the year where it is another one.
  function time(ms, now) {
    if (ms === null) return "unknown";
    const at = new Date(ms);
    const clock = `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}`;
    const today = now === null ? null : new Date(now);
    if (today && at.toISOString().slice(0, 10) === today.toISOString().slice(0, 10)) return clock;
    const year = today && at.getUTCFullYear() === today.getUTCFullYear() ? "" : ` ${at.getUTCFullYear()}`;
    return `${date(at)}${year}\u00a0${clock}`;
  }

  const seconds = (ms) => new Date(ms).toISOString().slice(11, 19);
  const dayName = (day) => date(new Date(`${day}T00:00:00Z`));
  const ago = (ms, now) => (ms === null || now === null ? "at an unknown time" : `${duration((now - ms) / 1000)} ago`);

  const listed = (parts) =>
    parts.length < 2 ? parts.join("") : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;

  return { digits, amount, counted, many, Many, duration, short, time, seconds, dayName, ago, listed };
})();
