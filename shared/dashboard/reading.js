"use strict";
// Reads a status with care: any part may be missing, and any string may be hostile. What is not known is null, never 0.
const Reading = (() => {
  const LONGEST = 400;
  const MOST = 500;
  // Control characters, and those that turn the direction of what stands behind them.
  const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
  const INSTANT = /^(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)(Z|[+-]\d\d:\d\d)?$/;
  const DAY = /^\d{4}-\d\d-\d\d$/;

  const object = (value) => (value !== null && typeof value === "object" && !Array.isArray(value) ? value : null);
  const list = (value) => (Array.isArray(value) ? value : null);
  const number = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);
  const count = (value) => (Number.isSafeInteger(value) && value >= 0 ? value : null);
  const flag = (value) => (typeof value === "boolean" ? value : null);

  function text(value) {
    if (typeof value !== "string" || value === "") return null;
    const printable = value.slice(0, LONGEST).replace(UNPRINTABLE, "\ufffd");
    return value.length > LONGEST ? `${printable}…` : printable;
  }

  // Milliseconds since 1970; without an offset it is UTC.
  function instant(value) {
    const parts = typeof value === "string" ? INSTANT.exec(value) : null;
    const parsed = parts ? Date.parse(parts[1] + (parts[2] ?? "Z")) : NaN;
    return Number.isNaN(parsed) ? null : parsed;
  }

  function day(value) {
    const parsed = typeof value === "string" && DAY.test(value) ? Date.parse(`${value}T00:00:00Z`) : NaN;
    return Number.isNaN(parsed) ? null : value;
  }

  // [[reason, n], …], the most frequent first.
  function byReason(value) {
    const pairs = Object.entries(object(value) ?? {}).slice(0, MOST);
    const counted = pairs.map(([reason, n]) => [text(reason) ?? "?", count(n)]);
    return counted.filter(([, n]) => n !== 0).sort(([, a], [, b]) => (b ?? 0) - (a ?? 0));
  }

  function totalOf(total, reasons) {
    const stated = count(total);
    if (stated !== null || reasons.length === 0) return stated;
    return reasons.reduce((sum, [, n]) => sum + (n ?? 0), 0);
  }

  function queue(value, now) {
    const waiting = object(value) ?? {};
    const oldestAt = instant(waiting.oldestReceivedAt);
    const age = oldestAt === null || now === null ? null : (now - oldestAt) / 1000;
    return { posts: count(waiting.posts), oldestAt, age: number(waiting.oldestAgeSeconds) ?? age };
  }

  function subscription(value) {
    const given = object(value) ?? {};
    return {
      resource: text(given.resource) ?? "(a resource without a name)",
      id: text(given.id),
      live: flag(given.live),
      expiresAt: instant(given.expirationDateTime),
      left: number(given.secondsToExpiry),
      certificate: text(given.encryptionCertificateId),
      problem: text(given.problem),
      since: instant(given.problemSince),
      retryAt: instant(given.retryAt),
    };
  }

  function subscriptions(value) {
    const given = object(value);
    if (!given) return null;
    return {
      managed: flag(given.managed),
      reconciledAt: instant(given.reconciledAt),
      live: count(given.live),
      gaps: count(given.gapsToExport),
      lost: count(given.gapsLost),
      resources: (list(given.resources) ?? []).slice(0, MOST).map(subscription),
    };
  }

  function certificate(value) {
    const given = object(value);
    if (!given) return null;
    return {
      error: text(given.error),
      id: text(given.id),
      thumbprint: text(given.thumbprint),
      expiresAt: instant(given.expiresAt),
      left: number(given.secondsToExpiry),
    };
  }

  function flaggedUser(value) {
    const given = object(value) ?? {};
    return {
      id: text(given.userId) ?? "(a user without an id)",
      reason: text(given.reason),
      sentence: text(given.sentence),
      since: instant(given.since),
      retryAt: instant(given.retryAt),
    };
  }

  function flagged(value) {
    const given = object(value) ?? {};
    const reasons = byReason(given.byReason);
    const users = (list(given.users) ?? []).slice(0, MOST).map(flaggedUser);
    return { total: totalOf(given.total, reasons) ?? (users.length || null), reasons, users };
  }

  function exports(value) {
    const given = object(value);
    if (!given) return null;
    return {
      scope: ["users", "tenant", "none"].includes(given.scope) ? given.scope : null,
      plannedAt: instant(given.plannedAt),
      problem: text(given.problem),
      users: count(given.users),
      complete: count(given.complete),
      behind: count(given.behind),
      leaving: count(given.leaving),
      completeUntil: instant(given.oldestCompleteUntil),
      lag: number(given.lagSeconds),
      queued: count(given.queued),
      perSecond: number(given.requestsPerSecond),
      planned: count(given.plannedRequests),
      flagged: flagged(given.flagged),
    };
  }

  function deadLetters(value) {
    const given = object(value) ?? {};
    const reasons = byReason(given.byReason);
    return { total: totalOf(given.total, reasons), reasons };
  }

  const PARTS = {
    inbox: "the inbox",
    deadLetters: "dead letters",
    subscriptions: "subscriptions",
    certificate: "the certificate",
    exports: "the export",
    coverage: "coverage",
    captured: "what was captured by hour",
  };

  // The status as the rest of the page knows it.
  function facts(status) {
    const given = object(status) ?? {};
    const inbox = object(given.inbox) ?? {};
    const now = instant(given.time);
    return {
      version: number(given.version),
      now,
      notifications: queue(inbox.notifications, now),
      lifecycle: queue(inbox.lifecycle, now),
      dead: deadLetters(given.deadLetters),
      conflicts: count(given.conflicts),
      subscriptions: subscriptions(given.subscriptions),
      certificate: certificate(given.certificate),
      exports: exports(given.exports),
      coverage: list(given.coverage),
      captured: list(given.captured),
      silentAbout: Object.keys(PARTS)
        .filter((part) => !object(given[part]) && !list(given[part]))
        .map((part) => PARTS[part]),
    };
  }

  return { object, number, count, flag, text, instant, day, facts };
})();
