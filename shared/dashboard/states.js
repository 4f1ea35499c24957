"use strict";
// The parts of the page that say how things stand: what needs somebody, export, subscriptions, dead letters, the inbox.
const States = (() => {
  const { make, time, figure, runbookLink, row, table, fill, silence, pairs } = Elements;
  const { amount, counted, digits, duration, many } = Words;

  const LEVELS = { act: "Act", watch: "Watch", note: "Note" };
  function problems(found) {
    fill(
      "problems",
      found.map((each) =>
        make(
          "li",
          { class: each.level },
          make("span", { class: "level" }, LEVELS[each.level]),
          make("div", {}, make("strong", {}, each.short), " ", each.detail, " ", runbookLink(each.runbook)),
        ),
      ),
    );
  }

  function life(each, now) {
    const left =
      each.left === null
        ? null
        : [duration(each.left), each.left < 0 ? " ago" : " left", " (until ", time(each.expiresAt, now), ")"];
    const state = { true: ["live", "live"], false: ["act", "not live"] }[each.live] ?? [
      "unknown",
      "unknown whether live",
    ];
    return [make("span", { class: `state ${state[0]}` }, state[1]), left ? [" · ", left] : null];
  }

  function subscription(each, now) {
    const more = [each.id ? `id ${each.id}` : null, each.certificate ? `certificate ${each.certificate}` : null]
      .filter(Boolean)
      .join(" · ");
    const trouble =
      each.problem &&
      make(
        "p",
        { class: "trouble" },
        each.problem,
        each.since === null ? null : [", since ", time(each.since, now)],
        each.retryAt === null ? null : ["; tried again ", time(each.retryAt, now)],
      );
    return make(
      "li",
      {},
      make("p", {}, make("bdi", { class: "name" }, each.resource), " ", life(each, now)),
      trouble,
      more ? make("p", { class: "quiet" }, more) : null,
    );
  }

  function subscriptions({ subscriptions: given, now }) {
    if (!given) return fill("subscriptions-body", silence("subscriptions"));
    const looked = make(
      "p",
      { class: "quiet" },
      `${amount(given.live)} live. `,
      given.reconciledAt === null ? "Not looked at yet." : ["Last looked at ", time(given.reconciledAt, now), "."],
    );
    const unmanaged =
      given.managed === false ? make("p", {}, "SUBSCRIPTIONS is not set: this app leaves subscriptions alone.") : null;
    const items = given.resources.map((each) => subscription(each, now));
    return fill("subscriptions-body", looked, unmanaged, items.length ? make("ul", { class: "things" }, items) : null);
  }

  function certificate({ certificate: given, now }) {
    if (!given) return fill("certificate-body", silence("the certificate"));
    if (given.error) return fill("certificate-body", make("p", { class: "trouble" }, given.error));
    const left = given.left === null ? figure(null) : `${duration(given.left)}${given.left < 0 ? " ago" : ""}`;
    return fill(
      "certificate-body",
      pairs([
        [given.left < 0 ? "Expired" : "Time left", left],
        ["Until", time(given.expiresAt, now)],
        ["Version", make("bdi", {}, given.id ?? "unknown")],
        ["Thumbprint", make("bdi", {}, given.thumbprint ?? "unknown")],
      ]),
    );
  }

  function backlog({ notifications, lifecycle, now }) {
    const line = (name, queue) =>
      row(
        name,
        figure(queue.posts, counted(queue.posts)),
        queue.oldestAt === null && queue.posts === 0 ? "–" : time(queue.oldestAt, now),
        queue.age === null && queue.posts === 0 ? "–" : figure(queue.age, duration(queue.age)),
      );
    fill(
      "backlog-body",
      table(
        "Posts in the inbox, by queue",
        ["Queue", "Posts", "Oldest", "Age"],
        [line("notifications", notifications), line("lifecycle", lifecycle)],
      ),
    );
  }

  const SCOPES = { users: "named or licensed users", tenant: "the whole tenant", none: "nobody: no export is set up" };
  function exportPairs(given, gaps, now) {
    const hourly = given.perSecond === null ? null : given.perSecond * 3600;
    return pairs([
      ["Scope", given.scope ? SCOPES[given.scope] : figure(null)],
      ["Users", figure(given.users)],
      ["Complete", figure(given.complete)],
      ["Behind", figure(given.behind)],
      ["Flagged", figure(given.flagged.total)],
      ["Leaving", figure(given.leaving)],
      ["Lag", figure(given.lag, duration(given.lag))],
      ["Complete until", time(given.completeUntil, now)],
      ["Last planned", time(given.plannedAt, now)],
      ["Windows queued", figure(given.queued)],
      ["Requests planned", figure(given.planned), hourly === null ? null : ` of ${digits(hourly)} an hour`],
      ["Gaps open", figure(gaps)],
    ]);
  }

  function flaggedUser(each, now) {
    return make(
      "li",
      {},
      make(
        "p",
        {},
        make("bdi", { class: "name" }, each.id),
        " ",
        make("span", { class: "state act" }, each.reason ?? "no reason given"),
      ),
      each.sentence ? make("p", { class: "trouble" }, each.sentence) : null,
      make(
        "p",
        { class: "quiet" },
        "since ",
        time(each.since, now),
        each.retryAt === null ? null : ["; tried again ", time(each.retryAt, now)],
      ),
    );
  }

  function exporting({ exports, subscriptions: given, now }) {
    if (!exports) return fill("export-body", silence("the export"));
    const { total: flaggedTotal, users } = exports.flagged;
    const rest =
      flaggedTotal > users.length
        ? make("p", { class: "quiet" }, `${many(flaggedTotal - users.length, "more is", "more are")} not listed.`)
        : null;
    const listed = users.length
      ? [
          make("h3", {}, "Flagged users"),
          make(
            "ul",
            { class: "things" },
            users.map((each) => flaggedUser(each, now)),
          ),
          rest,
        ]
      : rest;
    return fill("export-body", exportPairs(exports, given?.gaps ?? null, now), listed);
  }

  function dead({ dead: given, conflicts }) {
    if (given.total === null) return fill("dead-body", silence("dead letters"));
    const runbook = (reason) => runbookLink(reason === "not-genuine" ? Rules.RUNBOOKS.notGenuine : Rules.RUNBOOKS.dead);
    const rows = given.reasons.map(([reason, n]) =>
      row([make("bdi", {}, reason), " ", runbook(reason)], figure(n, counted(n))),
    );
    const none = make(
      "p",
      {},
      given.total === 0 ? "None." : `${digits(given.total)}, for reasons that the status does not name.`,
    );
    const kept = make("p", { class: "quiet" }, "Conflicts: ", figure(conflicts, counted(conflicts)), ".");
    return fill("dead-body", rows.length ? table("Dead letters by reason", ["Reason", "Number"], rows) : none, kept);
  }

  return { problems, subscriptions, certificate, backlog, exporting, dead };
})();
