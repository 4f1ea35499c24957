"use strict";
// Asks for the key, reads the status every half minute, and says what is true of what it shows.
(() => {
  const KEY = "copilot-archive-function-key";
  const THEME = "copilot-archive-theme";
  const EVERY_MS = 30_000;
  const PATIENCE_MS = 45_000;
  // Next to this page, wherever the host puts it.
  const STATUS = location.pathname.replace(/\/+$/, "").replace(/[^/]*$/, "status");

  const { problems, ...standing } = States;
  const PARTS = [...Object.values(Trends), ...Object.values(standing)];
  const { at } = Elements;
  const say = (id, words) => {
    if (at(id).textContent !== words) at(id).textContent = words;
  };
  let facts = null;
  let readAt = null;
  let substance = null;
  let timer = null;
  // A request that was overtaken, or whose key was forgotten, has nothing to say any more.
  let turn = 0;

  const clock = (ms) => new Intl.DateTimeFormat(undefined, { timeStyle: "medium" }).format(ms);

  async function request(key) {
    try {
      return await fetch(STATUS, {
        headers: key ? { "x-functions-key": key } : {},
        cache: "no-store",
        redirect: "manual",
        signal: AbortSignal.timeout(PATIENCE_MS),
      });
    } catch (error) {
      return {
        failure:
          error.name === "TimeoutError"
            ? "The app did not answer in time."
            : "The app can't be reached: the network or the app is gone.",
      };
    }
  }

  const SENTENCES = {
    401: "The key was refused (401) by the app, or by a sign-in in front of it.",
    403: "The app forbids it (403): an access restriction or a sign-in stands in front of it.",
    404: "There is no status beside this page (404).",
    429: "Too many requests (429).",
    500: "The app failed (500). Most often a setting is missing or malformed: the log of the function status names it.",
  };

  async function reading(key) {
    const answer = await request(key);
    if (answer.failure) return answer;
    if (answer.type === "opaqueredirect")
      return { failure: "A sign-in in front of the app has run out. Load this page again to sign in." };
    const body = await answer.json().catch(() => null);
    if (answer.status === 401) return { failure: SENTENCES[401], refused: true };
    const own = Reading.text(Reading.object(body)?.error);
    if (!answer.ok)
      return {
        failure: own
          ? `The app says (${answer.status}): ${own}`
          : (SENTENCES[answer.status] ?? `The app answered ${answer.status}.`),
      };
    return Reading.object(body) ? { status: body } : { failure: "What answered is not this app's status." };
  }

  function busy(is) {
    at("refresh").ariaBusy = is ? "true" : null;
    at("wait").hidden = !is || facts !== null;
  }

  async function refresh() {
    const key = sessionStorage.getItem(KEY);
    clearTimeout(timer);
    if (key === null) return ask();
    turn += 1;
    const mine = turn;
    busy(true);
    const { status, failure, refused } = await reading(key);
    if (mine !== turn) return undefined;
    busy(false);
    if (refused) return refuse(failure);
    if (failure) fail(failure);
    else show(status);
    return later();
  }

  function later() {
    clearTimeout(timer);
    if (!document.hidden && sessionStorage.getItem(KEY) !== null) timer = setTimeout(refresh, EVERY_MS);
  }

  function ask(reason = "") {
    clearTimeout(timer);
    at("ask").hidden = false;
    at("working").hidden = true;
    say("ask-reason", reason);
    if (facts === null) document.title = "Copilot interaction archive";
    at("key").focus();
  }

  function refuse(failure) {
    sessionStorage.removeItem(KEY);
    if (facts === null) at("failure").hidden = true;
    else fail(failure);
    ask(failure);
  }

  // The last picture stays, and says of when it is.
  function fail(failure) {
    const last =
      readAt === null
        ? "Nothing has been read yet."
        : `Last read at ${clock(readAt)} on your clock; what stands here is of then.`;
    document.documentElement.classList.toggle("stale", facts !== null);
    at("ask").hidden = true;
    at("working").hidden = false;
    at("failure").hidden = false;
    say("failure", `${facts === null ? "" : "Stale. "}${failure} ${last}`);
    if (facts !== null) {
      headline();
      document.title = "Stale – Copilot interaction archive";
    }
  }

  function show(status) {
    const asked = at("ask").contains(document.activeElement);
    facts = Reading.facts(status);
    readAt = Date.now();
    document.documentElement.classList.remove("stale");
    for (const id of ["ask", "failure"]) at(id).hidden = true;
    for (const id of ["picture", "working"]) at(id).hidden = false;
    say("failure", "");
    say("ask-reason", "");
    const focused = document.activeElement?.closest("#picture") ? document.activeElement.href : null;
    headline();
    PARTS.forEach((part) => part(facts));
    if (asked) at("sentence").focus();
    // A link that was replaced while it had the focus gives it to its successor.
    if (focused) [...document.querySelectorAll("#picture a")].find((link) => link.href === focused)?.focus();
  }

  function headline() {
    const found = Rules.problems(facts);
    const { claim, basis, need, substance: now } = Headline.headline(facts, found);
    const stale = document.documentElement.classList.contains("stale");
    say("sentence", `${stale ? `As of ${Words.time(facts.now, null)}: ` : ""}${claim}\n${need}`);
    say("basis", basis);
    const of =
      facts.now === null
        ? "a time that it does not tell"
        : `${Words.time(facts.now, null)}:${Words.seconds(facts.now).slice(-2)} UTC`;
    say("read", `Status of ${of}, read at ${clock(readAt)} on your clock.`);
    problems(found);
    const acts = found.filter((each) => each.level === "act").length;
    document.title = `${acts ? `(${acts}) ` : ""}Copilot interaction archive`;
    // Said aloud when something has changed, not whenever the time has moved on.
    if (now !== substance) {
      substance = now;
      say("spoken", `${claim} ${need}`);
    }
  }

  function forget() {
    turn += 1;
    busy(false);
    sessionStorage.removeItem(KEY);
    facts = readAt = substance = null;
    document.documentElement.classList.remove("stale");
    for (const id of ["failure", "picture"]) at(id).hidden = true;
    for (const part of document.querySelectorAll("#picture [data-filled]")) part.replaceChildren();
    for (const id of ["spoken", "failure"]) say(id, "");
    ask("The key is forgotten.");
  }

  function enter(event) {
    event.preventDefault();
    const key = at("key").value.trim();
    if (!/^[\x21-\x7e]*$/.test(key)) return say("ask-reason", "A function key has no such characters.");
    at("key").value = "";
    sessionStorage.setItem(KEY, key);
    say("ask-reason", "");
    return refresh();
  }

  // Storage may be forbidden; the theme is then the system's at each visit.
  function storedTheme(chosen) {
    try {
      if (chosen !== undefined) localStorage.setItem(THEME, chosen);
      return localStorage.getItem(THEME) ?? "";
    } catch {
      return chosen ?? "";
    }
  }
  function theme(chosen) {
    const name = ["light", "dark"].includes(chosen) ? chosen : "";
    document.documentElement.dataset.theme = name;
    at("theme").value = name;
  }

  at("key-form").addEventListener("submit", enter);
  at("refresh").addEventListener("click", refresh);
  at("forget").addEventListener("click", forget);
  at("theme").addEventListener("change", (event) => theme(storedTheme(event.target.value)));
  document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : refresh()));
  let width = innerWidth;
  addEventListener("resize", () => {
    if (facts !== null && innerWidth !== width) {
      width = innerWidth;
      Object.values(Trends).forEach((part) => part(facts));
    }
  });
  theme(storedTheme());
  refresh();
})();
