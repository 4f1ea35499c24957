"use strict";
// What needs somebody, in order of urgency. docs/dashboard.md holds the same table.
const Rules = (() => {
  const { many, Many, duration, time, ago, listed, dayName, counted } = Words;
  // Where the alerts of infra/ begin, this page says act.
  const MINUTE = 60;
  const HOUR = 3600;
  const DAY = 86400;
  const RECENT_DAYS = 14;

  const OPERATIONS = "docs/operations.md";
  const RUNBOOKS = {
    live: `${OPERATIONS}#why-is-my-subscription-not-live`,
    inbox: `${OPERATIONS}#the-inbox-is-not-emptied`,
    dead: `${OPERATIONS}#dead-letters`,
    notGenuine: `${OPERATIONS}#not-genuine`,
    conflicts: `${OPERATIONS}#conflicts`,
    certificate: "docs/subscriptions.md#certificates",
    gaps: "docs/subscriptions.md#gaps",
    subscriptions: "docs/subscriptions.md#subscriptions",
    expiring: `${OPERATIONS}#subscription-expiring`,
    renewal: `${OPERATIONS}#certificate-expiring`,
    export: `${OPERATIONS}#export-behind`,
    flagged: `${OPERATIONS}#export-users-flagged`,
    missed: `${OPERATIONS}#missed-by-notifications`,
    notShown: `${OPERATIONS}#not-shown-by-export`,
    budget: `${OPERATIONS}#export-budget`,
    settings: "docs/settings.md#the-app",
    status: `${OPERATIONS}#is-everything-captured`,
  };

  const ended = (sentence) => (/[.…!?]$/.test(sentence) ? sentence : `${sentence}.`);
  const problem = (level, short, detail, runbook) => ({ level, short, detail: ended(detail), runbook });
  // act from the second threshold on, watch from the first.
  function grade(value, watch, act) {
    if (value === null || value < watch) return null;
    return value >= act ? "act" : "watch";
  }
  const since = (ms, now) => (ms === null || now === null ? null : (now - ms) / 1000);
  const reasonsOf = (reasons) => listed(reasons.map(([reason, n]) => `${counted(n)} ${reason}`));
  const exporting = (facts) => facts.exports !== null && ["users", "tenant"].includes(facts.exports.scope);

  function notLive({ subscriptions, now }) {
    if (!subscriptions || subscriptions.managed === false) return null;
    // Before the first run nothing is live, and nothing is wrong.
    const ran = subscriptions.reconciledAt !== null;
    const dead = subscriptions.resources.filter((each) => each.live === false && (ran || each.problem !== null));
    if (dead.length === 0) return null;
    const none = subscriptions.live === 0;
    const short = none
      ? "No notifications arrive."
      : `${Many(dead.length, "subscription is", "subscriptions are")} not live.`;
    const [first] = dead.filter((each) => each.problem !== null);
    const why = first ? `${first.resource}: ${first.problem}` : `${dead[0].resource} has no live subscription`;
    const again = first && first.retryAt !== null ? `; tried again ${time(first.retryAt, now)}` : "";
    return problem("act", short, `${why}${again}`, RUNBOOKS.live);
  }

  function notReconciled({ subscriptions, now }) {
    if (!subscriptions || !subscriptions.managed) return null;
    if (subscriptions.reconciledAt === null) {
      return problem(
        "watch",
        "Subscriptions have not been looked at yet.",
        "renew_subscriptions has not run to its end.",
        RUNBOOKS.live,
      );
    }
    const level = grade(since(subscriptions.reconciledAt, now), 30 * MINUTE, 6 * HOUR);
    const short = `Subscriptions were last looked at ${ago(subscriptions.reconciledAt, now)}.`;
    return (
      level && problem(level, short, "Graph or Entra ID is out of reach, or the timer does not run.", RUNBOOKS.live)
    );
  }

  function expiring({ subscriptions }) {
    const live = (subscriptions?.resources ?? []).filter((each) => each.live && each.left !== null);
    const [first] = live.sort((a, b) => a.left - b.left);
    if (!first || first.left >= 34 * HOUR) return null;
    const short = `A subscription ends in ${duration(first.left)}.`;
    const why = first.problem ? `: ${first.problem}` : " has not been renewed";
    return problem(first.left < DAY ? "act" : "watch", short, `${first.resource}${why}`, RUNBOOKS.expiring);
  }

  function troubled({ subscriptions }) {
    const troubled = (subscriptions?.resources ?? []).filter((each) => each.live && each.problem !== null);
    if (troubled.length === 0) return null;
    const short = `${Many(troubled.length, "live subscription has", "live subscriptions have")} a problem.`;
    return problem("watch", short, `${troubled[0].resource}: ${troubled[0].problem}`, RUNBOOKS.live);
  }

  function certificateAway({ certificate }) {
    if (!certificate?.error) return null;
    return problem("act", "Key Vault gives no certificate.", certificate.error, RUNBOOKS.certificate);
  }

  function certificateSoon({ certificate, now }) {
    const left = certificate?.left ?? null;
    if (left === null || left >= 45 * DAY) return null;
    const when = left < 0 ? `expired ${duration(left)} ago` : `expires in ${duration(left)}`;
    const detail = `On ${time(certificate.expiresAt, now)}. Subscriptions move to a new version by themselves.`;
    return problem(left < 30 * DAY ? "act" : "watch", `The certificate ${when}.`, detail, RUNBOOKS.renewal);
  }

  function waiting(queue, short) {
    const level = grade(queue.age, 10 * MINUTE, 15 * MINUTE);
    const posts = queue.posts === null ? "Posts wait" : many(queue.posts, "post waits", "posts wait");
    return (
      level && problem(level, short, `${posts}, the oldest for ${duration(queue.age)}. None is lost.`, RUNBOOKS.inbox)
    );
  }
  const inboxOld = ({ notifications }) => waiting(notifications, "The inbox is not emptied.");
  const lifecycleOld = ({ lifecycle }) => waiting(lifecycle, "Lifecycle notifications wait.");

  function flagged({ exports }) {
    const total = exports?.flagged.total ?? 0;
    if (total === 0) return null;
    const reasons = reasonsOf(exports.flagged.reasons) || "The status does not say why";
    const first = exports.flagged.users.find((each) => each.sentence !== null);
    const detail = first ? `${reasons} (${first.sentence}).` : reasons;
    return problem("act", `${Many(total, "user is", "users are")} not exported.`, detail, RUNBOOKS.flagged);
  }

  function exportLate({ exports, now }) {
    const level = grade(exports?.lag ?? null, 27 * HOUR, 36 * HOUR);
    if (!level) return null;
    const until = time(exports.completeUntil, now);
    const detail = `Complete for everybody up to ${until}, but for those who are flagged or new.`;
    return problem(level, `The export is ${duration(exports.lag)} behind.`, detail, RUNBOOKS.export);
  }

  function behind({ exports }) {
    if (!exports?.behind) return null;
    const detail = "Their last look is more than a day old, or they have had none.";
    return problem("watch", `${Many(exports.behind, "user is", "users are")} behind.`, detail, RUNBOOKS.export);
  }

  function whom({ exports }) {
    if (!exports?.problem) return null;
    return problem("watch", "Whom to export is not known; those of before go on.", exports.problem, RUNBOOKS.export);
  }

  function planLate(facts) {
    if (!exporting(facts)) return null;
    const { exports, now } = facts;
    if (exports.plannedAt === null)
      return problem(
        "watch",
        "No export has been planned yet.",
        "plan_exports has not run to its end.",
        RUNBOOKS.export,
      );
    const level = grade(since(exports.plannedAt, now), 3 * HOUR, DAY);
    return (
      level &&
      problem(
        level,
        `Exports were last planned ${ago(exports.plannedAt, now)}.`,
        "plan_exports fails, or its timer does not run.",
        RUNBOOKS.export,
      )
    );
  }

  function budget({ exports }) {
    const hourly = (exports?.perSecond ?? 0) * HOUR;
    if (!hourly || exports.planned === null || exports.planned <= 0.9 * hourly) return null;
    const detail = `${Words.digits(exports.planned)} are planned, ${Words.digits(hourly)} fit into an hour.`;
    return problem("watch", "The export's plan takes nearly an hour's requests.", detail, RUNBOOKS.budget);
  }

  function gaps(facts) {
    const open = facts.subscriptions?.gaps ?? 0;
    if (open === 0) return null;
    const gapped = Many(open, "gap", "gaps");
    const detail = "Hours that no subscription vouches for. Graph does not send them again.";
    if (facts.exports?.scope === "none")
      return problem("act", `${gapped} will not be filled: no export is set up.`, detail, RUNBOOKS.gaps);
    return problem("watch", `${gapped} ${open === 1 ? "is" : "are"} still to be exported.`, detail, RUNBOOKS.gaps);
  }

  function gapsLost({ subscriptions }) {
    if (!subscriptions?.lost) return null;
    const detail =
      "Nothing exports these hours of that resource, or EXPORT_START is later. What Graph did not send is missing.";
    return problem("watch", `${Many(subscriptions.lost, "gap", "gaps")} can't be filled.`, detail, RUNBOOKS.gaps);
  }

  function deadLetters({ dead }) {
    if (!dead.total) return null;
    const onlyNotGenuine = dead.reasons.length === 1 && dead.reasons[0][0] === "not-genuine";
    const short = `${Many(dead.total, "dead letter needs", "dead letters need")} you.`;
    return problem(
      "act",
      short,
      reasonsOf(dead.reasons) || "Of reasons that the status does not name",
      onlyNotGenuine ? RUNBOOKS.notGenuine : RUNBOOKS.dead,
    );
  }

  function conflicts({ conflicts: found }) {
    if (!found) return null;
    const detail = "Different contents claimed the same identity and version. Both are kept.";
    return problem("act", `${Many(found, "conflict needs", "conflicts need")} you.`, detail, RUNBOOKS.conflicts);
  }

  function differing(facts, property, words) {
    const days = Series.coverage(facts, RECENT_DAYS).filter((each) => each[property] > 0);
    if (days.length === 0) return null;
    const total = days.reduce((sum, each) => sum + each[property], 0);
    const named = listed(days.slice(-3).map((each) => dayName(each.day)));
    const more = days.length > 3 ? `, and ${many(days.length - 3, "day", "days")} before` : "";
    return problem("watch", words(total), `${named}${more}`, RUNBOOKS[property]);
  }
  const notShown = (facts) =>
    differing(
      facts,
      "notShown",
      (n) => `Export has not shown ${many(n, "interaction", "interactions")} that notifications brought.`,
    );
  const missed = (facts) =>
    differing(
      facts,
      "missed",
      (n) => `Export found ${many(n, "interaction", "interactions")} that notifications had not brought.`,
    );

  function unmanaged({ subscriptions }) {
    if (subscriptions?.managed !== false) return null;
    return problem(
      "watch",
      "SUBSCRIPTIONS is not set.",
      "Whether Graph sends anything is not known here.",
      RUNBOOKS.subscriptions,
    );
  }

  function noExport({ exports }) {
    if (exports?.scope !== "none") return null;
    return problem("note", "No export is set up.", "Nothing would find what notifications miss.", RUNBOOKS.settings);
  }

  function otherVersion({ version }) {
    if (version === 1) return null;
    return problem(
      "watch",
      "This page may be older than the status.",
      "It reads version 1 of the status; this is another.",
      RUNBOOKS.status,
    );
  }

  function silent({ silentAbout }) {
    if (silentAbout.length === 0) return null;
    return problem(
      "note",
      "The status leaves something out.",
      `It says nothing about ${listed(silentAbout)}. Unknown is not zero.`,
      RUNBOOKS.status,
    );
  }

  // In order of urgency within a level.
  const RULES = {
    notLive,
    certificateAway,
    inboxOld,
    lifecycleOld,
    notReconciled,
    expiring,
    flagged,
    exportLate,
    planLate,
    gaps,
    gapsLost,
    behind,
    whom,
    deadLetters,
    conflicts,
    certificateSoon,
    troubled,
    notShown,
    missed,
    budget,
    unmanaged,
    otherVersion,
    noExport,
    silent,
  };
  const LEVELS = ["act", "watch", "note"];

  function problems(facts) {
    const found = Object.entries(RULES)
      .map(([key, rule]) => ({ key, ...rule(facts) }))
      .filter((each) => each.level);
    return found.sort((a, b) => LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level));
  }

  return { problems, exporting, RUNBOOKS, KEYS: Object.keys(RULES) };
})();
