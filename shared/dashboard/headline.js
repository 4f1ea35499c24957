"use strict";
// The sentence at the top: up to when everything is captured, and what needs somebody.
const Headline = (() => {
  const { many, Many, duration, time, listed } = Words;

  const UNKNOWN = "It is not known up to when everything is captured.";
  const vouched = (claim, basis, until = null) => ({ claim, basis, until });

  function inInbox({ posts }, atRest, now) {
    if (posts === 0) return "no post waits in the inbox";
    const wait = many(posts, "post waits", "posts wait");
    return `${wait} in the inbox, the oldest for ${duration((now - atRest) / 1000)}`;
  }

  // What export has not confirmed: flagged users, those who wait for their first look, open gaps and lost ones.
  function exceptions({ exports, subscriptions }) {
    const users = exports.scope === "users" ? exports.flagged.total + exports.behind : 0;
    const gaps = (subscriptions?.gaps ?? 0) + (subscriptions?.lost ?? 0);
    const named = [users && many(users, "user", "users"), gaps && many(gaps, "gap", "gaps")].filter(Boolean);
    return named.length ? `, except for ${listed(named)}` : "";
  }

  // Export vouches for completeness, but not for what waits: it may be of a kind that export does not bring.
  function byExport(facts, atRest, rest) {
    const { exports, subscriptions, now } = facts;
    if (exports.flagged.total === null || exports.behind === null)
      return vouched(UNKNOWN, "The status does not say who is flagged or behind.");
    const until = Math.min(exports.completeUntil, atRest);
    const sent = subscriptions?.live && atRest > until ? `, and all that Graph sent up to ${time(atRest, now)}` : "";
    const gaps = subscriptions?.gaps == null ? " Whether there are gaps is not known." : "";
    const basis = `Export confirms it up to ${time(exports.completeUntil, now)}; ${rest}.${gaps}`;
    return vouched(`Everything captured up to ${time(until, now)}${exceptions(facts)}${sent}.`, basis, until);
  }

  // Notifications alone can't vouch for those that Graph never sent.
  function byNotification({ exports, now }, atRest, rest) {
    const missing = exports?.scope === "none" ? "No export is set up to confirm" : "No export has confirmed yet";
    const claim = `What Graph sent up to ${time(atRest, now)} is captured.`;
    return vouched(claim, `${missing} that this was everything; ${rest}.`, atRest);
  }

  // Of a whole tenant that is flagged, nothing is confirmed.
  const byExportAtAll = ({ exports }) =>
    exports !== null &&
    exports.completeUntil !== null &&
    (exports.scope === "users" || (exports.scope === "tenant" && exports.flagged.total === 0));

  // Captured is what is at rest: archived, or a dead letter.
  function captured(facts) {
    const { now, notifications, subscriptions } = facts;
    if (now === null) return vouched(UNKNOWN, "The status does not say of when it is.");
    if (notifications.posts === null) return vouched(UNKNOWN, "The status says nothing about the inbox.");
    if (notifications.posts > 0 && notifications.oldestAt === null)
      return vouched(UNKNOWN, "The status does not say since when posts wait.");
    const atRest = Math.min(notifications.oldestAt ?? now, now);
    const rest = inInbox(notifications, atRest, now);
    if (byExportAtAll(facts)) return byExport(facts, atRest, rest);
    if (subscriptions?.live) return byNotification(facts, atRest, rest);
    return vouched("Nothing vouches for what is captured.", `No live subscription and no export is known; ${rest}.`);
  }

  function need(found) {
    const [acts, watches] = ["act", "watch"].map((level) => found.filter((each) => each.level === level));
    if (acts.length === 1) return acts[0].short;
    if (acts.length > 1)
      return `${acts[0].short} ${Many(acts.length - 1, "more thing needs", "more things need")} you.`;
    if (watches.length > 0) return `Nothing needs you now; ${many(watches.length, "thing", "things")} to watch.`;
    return "Nothing needs you.";
  }

  // `substance` changes when somebody should hear of it: not with the time, but with what is wrong and how much of it.
  function headline(facts, found = Rules.problems(facts)) {
    const substance = found.map(({ key, level, short }) => `${key} ${level} ${/^\S+/.exec(short)}`).join("; ");
    return { ...captured(facts), need: need(found), substance };
  }

  return { headline };
})();
