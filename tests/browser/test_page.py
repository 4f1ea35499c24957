"""The page in a real browser, served with the app's own headers. A test fails for whatever the browser complains of."""

import asyncio
import json
import re
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import azure.functions as func
import pytest

from tests.browser import samples
from tests.browser.chromium import PATIENCE_SECONDS, Tab
from tests.browser.site import KEY, Site, serving

HEAD = "document.querySelector('#sentence').textContent.replace('\\n', ' ')"
SHOWN = "!document.querySelector('#picture').hidden"
ASKED = "!document.querySelector('#ask').hidden"
FAILED = "!document.querySelector('#failure').hidden"
FAILURE = "document.querySelector('#failure').textContent"
STALE = "document.documentElement.classList.contains('stale')"
STORED = "JSON.stringify([{...sessionStorage}, {...localStorage}, location.href])"


async def give_key(tab: Tab, key: str = KEY) -> None:
    """Type a key where the page asks for one."""
    await tab.until(f"{ASKED} && document.activeElement.id === 'key'")
    await tab.write(key)
    await tab.press("Enter")


async def show(tab: Tab, site: Site) -> None:
    """Open the page and give it the right key."""
    await tab.open(f"{site.url}/api/dashboard")
    await give_key(tab)
    await tab.until(SHOWN)


async def click(tab: Tab, name: str) -> None:
    await tab.run(f"document.getElementById('{name}').click()")


async def until(true: Callable[[], bool]) -> None:
    """Wait for something outside of the page."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def serving_good() -> AbstractAsyncContextManager[Site]:
    return serving(samples.good())


class TestKey:
    async def test_it_asks_before_it_reads_and_shows_nothing_without(self, tab: Tab) -> None:
        async with serving_good() as site:
            await tab.open(f"{site.url}/api/dashboard")
            await tab.until(ASKED)
            assert site.asked == []
            assert not await tab.run(SHOWN)
            assert await tab.run("document.activeElement.id") == "key"

    async def test_the_right_key_shows_the_status_and_stays_in_the_tab_alone(self, tab: Tab) -> None:
        async with serving_good() as site:
            await show(tab, site)
            upto = "Everything captured up to 20\u00a0Nov\u00a019:07, and all that Graph sent up to 14:32"
            assert await tab.run(HEAD) == f"{upto}. Nothing needs you."
            assert await tab.run("document.activeElement.id") == "sentence"
            session, local, address = json.loads(await tab.run(STORED))
            assert list(session.values()) == [KEY]
            assert KEY not in json.dumps([local, address])
            assert KEY not in await tab.run("document.documentElement.outerHTML")
            assert await tab.run("document.getElementById('key').value") == ""
            await tab.open(f"{site.url}/api/dashboard?again")
            await tab.until(SHOWN)
            assert site.asked == [KEY, KEY]

    async def test_a_wrong_key_is_refused_and_forgotten(self, tab: Tab) -> None:
        async with serving_good() as site:
            await tab.open(f"{site.url}/api/dashboard")
            await give_key(tab, "wrong")
            await tab.until("document.getElementById('ask-reason').textContent.includes('refused')")
            assert json.loads(await tab.run(STORED))[0] == {}
            assert not await tab.run(SHOWN)
            await give_key(tab)
            await tab.until(SHOWN)
            assert site.asked == ["wrong", KEY]
            assert not await tab.run(FAILED)

    async def test_what_can_not_be_a_key_is_not_sent(self, tab: Tab) -> None:
        async with serving_good() as site:
            await tab.open(f"{site.url}/api/dashboard")
            await give_key(tab, "pässword")
            await tab.until("document.getElementById('ask-reason').textContent.includes('characters')")
            assert site.asked == []

    async def test_an_empty_key_is_none(self, tab: Tab) -> None:
        async with serving_good() as site:
            await tab.open(f"{site.url}/api/dashboard")
            await give_key(tab, "")
            await until(lambda: site.asked == [None])

    async def test_forgetting_leaves_nothing_behind(self, tab: Tab) -> None:
        async with serving(samples.bad_day()) as site:
            await show(tab, site)
            await click(tab, "forget")
            assert json.loads(await tab.run(STORED))[0] == {}
            assert await tab.run(ASKED)
            left = await tab.run("document.querySelector('main').textContent + document.title")
            for trace in ("20\u00a0Nov", "12:21", "getAllEnterpriseInteractions", samples.CERTIFICATE, "1,184", "(8)"):
                assert trace not in left
            assert await tab.run("document.querySelectorAll('#picture svg, #picture td').length") == 0

    async def test_a_key_that_is_withdrawn_is_asked_for_again_over_the_stale_picture(self, tab: Tab) -> None:
        async with serving_good() as site:
            await show(tab, site)
            site.answer = func.HttpResponse(status_code=401)
            await click(tab, "refresh")
            await tab.until(f"{ASKED} && {SHOWN} && {STALE}")
            assert json.loads(await tab.run(STORED))[0] == {}
            site.answer = None
            await give_key(tab)
            await tab.until(f"!({ASKED}) && !({STALE})")


class TestFailures:
    """What failed is said, and the last picture stays and is marked."""

    @pytest.mark.parametrize(
        ("answer", "sentence"),
        [
            (func.HttpResponse(status_code=500), "The app failed (500)"),
            (func.HttpResponse(status_code=404), "There is no status"),
            (func.HttpResponse(status_code=418), "The app answered 418"),
            (func.HttpResponse("<html>", status_code=200, mimetype="text/html"), "not this app's status"),
            (func.HttpResponse("[1]", status_code=200, mimetype="application/json"), "not this app's status"),
            (func.HttpResponse(status_code=302, headers={"Location": "https://login.example/"}), "sign in"),
        ],
    )
    async def test_an_answer_that_is_no_status(self, tab: Tab, answer: func.HttpResponse, sentence: str) -> None:
        async with serving_good() as site:
            await show(tab, site)
            site.answer = answer
            await click(tab, "refresh")
            await tab.until(FAILED)
            failure = await tab.run(FAILURE)
            assert sentence in failure
            assert failure.startswith("Stale. ")
            assert await tab.run(STALE)
            assert (await tab.run(HEAD)).startswith("As of 21\u00a0Nov 2026\u00a014:32: Everything captured")

    async def test_503_says_what_the_app_says(self, tab: Tab) -> None:
        async with serving_good() as site:
            await show(tab, site)
            site.unavailable = "container inbox could not list <b>"
            await click(tab, "refresh")
            await tab.until(FAILED)
            assert "The app says (503): container inbox could not list <b>" in await tab.run(FAILURE)
            site.unavailable = None
            await click(tab, "refresh")
            await tab.until(f"!({FAILED})")
            assert not await tab.run(STALE)

    async def test_a_server_that_is_gone(self, tab: Tab) -> None:
        async with serving_good() as site:
            await show(tab, site)
            await site.stop()
            await click(tab, "refresh")
            await tab.until(FAILED)
            assert "can't be reached" in await tab.run(FAILURE)
            assert "Last read at" in await tab.run(FAILURE)
            assert await tab.run(STALE)
            assert await tab.run(SHOWN)
            assert await tab.run("document.title") == "Stale – Copilot interaction archive"
            assert json.loads(await tab.run(STORED))[0] != {}

    async def test_a_failure_at_the_first_reading_leaves_a_way_out(self, tab: Tab) -> None:
        async with serving_good() as site:
            site.unavailable = "away"
            await tab.open(f"{site.url}/api/dashboard")
            await give_key(tab)
            await tab.until(FAILED)
            assert "Nothing has been read yet" in await tab.run(FAILURE)
            assert not await tab.run(SHOWN)
            site.unavailable = None
            await click(tab, "refresh")
            await tab.until(SHOWN)


class TestRefreshing:
    # Half a minute in a tenth of a second, and a tab that can be hidden.
    HASTE = """
        const wait = setTimeout;
        window.setTimeout = (call, ms) => wait(call, ms / 300);
        window.concealed = false;
        Object.defineProperty(document, "hidden", { get: () => window.concealed });
        window.conceal = (is) => { window.concealed = is; document.dispatchEvent(new Event("visibilitychange")); };
    """

    async def test_it_reads_again_by_itself_and_not_while_nobody_looks(self, tab: Tab) -> None:
        async with serving_good() as site:
            await tab.before_scripts(self.HASTE)
            await show(tab, site)
            await until(lambda: len(site.asked) >= 3)
            await tab.run("conceal(true)")
            await asyncio.sleep(0.3)
            asked = len(site.asked)
            await asyncio.sleep(1)
            assert len(site.asked) == asked
            await click(tab, "refresh")
            await asyncio.sleep(1)
            assert len(site.asked) == asked + 1
            await tab.run("conceal(false)")
            await until(lambda: len(site.asked) >= asked + 3)

    async def test_it_goes_on_after_a_failure(self, tab: Tab) -> None:
        async with serving_good() as site:
            await tab.before_scripts(self.HASTE)
            site.unavailable = "away"
            await tab.open(f"{site.url}/api/dashboard")
            await give_key(tab)
            await tab.until(FAILED)
            site.unavailable = None
            await tab.until(SHOWN)

    async def test_it_stops_when_the_key_is_forgotten(self, tab: Tab) -> None:
        async with serving_good() as site:
            await tab.before_scripts(self.HASTE)
            await show(tab, site)
            await click(tab, "forget")
            await asyncio.sleep(0.3)
            asked = len(site.asked)
            await asyncio.sleep(1)
            assert len(site.asked) == asked

    async def test_what_is_open_stays_open_and_only_news_is_said_aloud(self, tab: Tab) -> None:
        async with serving(samples.ordinary(), runbook="https://git.example/archive") as site:
            await show(tab, site)
            await tab.run("document.querySelector('#captured-more').open = true")
            await tab.run("document.querySelector('#problems a').focus()")
            await tab.run(
                "window.heard = []; const spoken = document.querySelector('#spoken');"
                "new MutationObserver(() => heard.push(spoken.textContent)).observe(spoken, { childList: true })"
            )
            # The sentence tells of another time, and of nothing else.
            site.status = later = samples.ordinary() | {"time": "2026-11-21T14:33:07Z"}
            later["exports"]["oldestCompleteUntil"] = "2026-11-20T19:09:00Z"
            await click(tab, "refresh")
            await tab.until("document.querySelector('#read').textContent.includes('14:33:07')")
            assert "19:09" in await tab.run(HEAD)
            assert await tab.run("document.querySelector('#captured-more').open")
            assert await tab.run("document.activeElement.closest('#problems') !== null")
            assert await tab.run("heard") == []
            site.status = samples.bad_day()
            await click(tab, "refresh")
            await tab.until("heard.length > 0")
            assert "One subscription is not live." in (await tab.run("heard"))[-1]


class TestSafety:
    @pytest.mark.parametrize("runbook", ["", "https://git.example/archive/blob/main"])
    async def test_hostile_strings_are_texts_and_nothing_else(self, tab: Tab, runbook: str) -> None:
        async with serving(samples.hostile(), runbook=runbook) as site:
            await show(tab, site)
            await tab.run("document.querySelectorAll('details').forEach((each) => { each.open = true })")
            text = await tab.text()
            for attempt in (samples.HOSTILE[0], samples.HOSTILE[1], samples.HOSTILE[2], "<svg onload=", "__proto__"):
                assert attempt in text
            assert "\u202e" not in text
            assert re.fullmatch(r"\(\d\) Copilot interaction archive", await tab.run("document.title"))
            assert (
                await tab.run("document.querySelectorAll('#picture img, #picture script, #picture [onload]').length")
                == 0
            )
            assert await tab.run("document.querySelectorAll('#picture [style], #picture [onclick]').length") == 0
            links = await tab.run("[...document.querySelectorAll('#picture a')].map((link) => link.href)")
            assert bool(links) == bool(runbook)
            assert all(link.startswith(f"{runbook}/docs/") for link in links)
            assert await tab.run("document.documentElement.scrollWidth <= innerWidth")

    @pytest.mark.parametrize("runbook", ["javascript:alert(1)//https://", "http://git.example", "//git.example"])
    async def test_an_address_that_is_not_https_is_no_link(self, tab: Tab, runbook: str) -> None:
        async with serving(samples.bad_day(), runbook=runbook) as site:
            await show(tab, site)
            assert await tab.run("document.querySelectorAll('a').length") == 0
            assert "docs/operations.md#not-genuine" in await tab.text()

    async def test_a_status_without_any_shape_is_shown_as_unknown(self, tab: Tab) -> None:
        async with serving({}) as site:
            await show(tab, site)
            for status in samples.shapeless():
                assert isinstance(status, dict)
                site.status = status
                await click(tab, "refresh")
                await tab.until("document.querySelector('#refresh').ariaBusy === null")
                assert not await tab.run(FAILED)
                text = await tab.text()
                assert "undefined" not in text
                assert "NaN" not in text

    async def test_no_request_leaves_the_origin(self, tab: Tab) -> None:
        async with serving(samples.bad_day(), runbook="https://git.example/archive") as site:
            await show(tab, site)
            await click(tab, "refresh")
            await until(lambda: len(site.asked) == 2)
            elsewhere = [url for url in tab.requests if not url.startswith((f"{site.url}/api/", "data:image/svg"))]
            assert elsewhere == []
            assert {url.removeprefix(site.url) for url in tab.requests if url.startswith("http")} == {
                "/api/dashboard",
                "/api/status",
            }

    @pytest.mark.parametrize(
        "attempt",
        [
            "fetch('https://elsewhere.example/').then(() => 'done', () => 'refused')",
            "new Promise((told) => { const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
            " document.head.append(s); setTimeout(() => told(window.ran ? 'done' : 'refused'), 100) })"
            ".catch(() => 'refused')",
            "(() => { try { document.body.innerHTML = '<p>'; return 'done' } catch { return 'refused' } })()",
            "(() => { document.body.setAttribute('style', 'color: red');"
            " return document.body.style.color ? 'done' : 'refused' })()",
        ],
    )
    async def test_the_policy_refuses_what_a_script_from_elsewhere_would_do(self, tab: Tab, attempt: str) -> None:
        async with serving_good() as site:
            await tab.open(f"{site.url}/api/dashboard")
            assert await tab.run(attempt) == "refused"
            # The browser complains, as it should: here, and in no other test.
            await until(lambda: tab.complaints != [])
            tab.complaints.clear()


class TestLooks:
    SCHEMES = ("light", "dark")

    @pytest.mark.parametrize("scheme", SCHEMES)
    async def test_it_follows_the_system_until_told_otherwise(self, tab: Tab, scheme: str) -> None:
        async with serving_good() as site:
            await tab.prefer(prefers_color_scheme=scheme)
            await tab.open(f"{site.url}/api/dashboard")
            paper = "getComputedStyle(document.documentElement).backgroundColor"
            light, dark = "rgb(255, 255, 255)", "rgb(20, 23, 26)"
            assert await tab.run(paper) == (light if scheme == "light" else dark)
            other = "dark" if scheme == "light" else "light"
            await tab.run(f"theme.value = '{other}'; theme.dispatchEvent(new Event('change'))")
            assert await tab.run(paper) == (dark if scheme == "light" else light)
            await tab.open(f"{site.url}/api/dashboard?again")
            assert await tab.run(paper) == (dark if scheme == "light" else light)

    # Relative luminance: https://www.w3.org/TR/WCAG22/#dfn-relative-luminance
    CONTRASTS = """
        (() => {
          const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
          const linear = (c) => (c <= 0.04045 * 255 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
          const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
          const paper = (element) => {
            for (let each = element; each; each = each.parentElement) {
              const found = channels(getComputedStyle(each).backgroundColor);
              if (found.length < 4 || found[3] > 0) return found;
            }
          };
          const texts = [...document.querySelectorAll("body *")].filter((each) =>
            each.checkVisibility() && [...each.childNodes].some((child) => child.nodeType === 3 && child.data.trim()));
          return texts.map((each) => {
            const style = getComputedStyle(each);
            const ink = luminance(channels(each instanceof SVGElement ? style.fill : style.color));
            const ground = luminance(paper(each));
            return [each.textContent.slice(0, 40), (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05)];
          });
        })()
    """

    @pytest.mark.parametrize("scheme", SCHEMES)
    async def test_every_text_can_be_read_against_its_ground(self, tab: Tab, scheme: str) -> None:
        async with serving(samples.bad_day(), runbook="https://git.example/archive") as site:
            await tab.prefer(prefers_color_scheme=scheme)
            await tab.open(f"{site.url}/api/dashboard")
            await give_key(tab, "wrong")
            await tab.until("document.getElementById('ask-reason').textContent !== ''")
            asked = await tab.run(self.CONTRASTS)
            await give_key(tab)
            await tab.until(SHOWN)
            await tab.run("document.querySelectorAll('details').forEach((each) => { each.open = true })")
            site.unavailable = "away"
            await click(tab, "refresh")
            await tab.until(FAILED)
            contrasts = asked + await tab.run(self.CONTRASTS)
            assert len(contrasts) > 200
            assert [each for each in contrasts if each[1] < 4.5] == []

    @pytest.mark.parametrize("name", [*samples.SAMPLES, "hostile"])
    async def test_a_phone_needs_no_scrolling_sideways(self, tab: Tab, name: str) -> None:
        async with serving(getattr(samples, name)()) as site:
            await tab.size(320, 640)
            await tab.open(f"{site.url}/api/dashboard")
            await tab.until(ASKED)
            assert await tab.run("document.documentElement.scrollWidth") == 320
            await give_key(tab)
            await tab.until(SHOWN)
            await tab.run("document.querySelectorAll('details').forEach((each) => { each.open = true })")
            assert await tab.run("document.documentElement.scrollWidth") == 320
            visible = "[...document.querySelectorAll('body *')].filter((e) => e.checkVisibility())"
            wide = "!e.closest('svg, .aside') && e.getBoundingClientRect().right > 320.5"
            assert await tab.run(f"{visible}.filter((e) => {wide}).map((e) => e.outerHTML.slice(0, 80))") == []

    async def test_pictures_are_drawn_anew_for_another_width(self, tab: Tab) -> None:
        async with serving_good() as site:
            await show(tab, site)
            wide = await tab.run("document.querySelector('#captured-picture svg').clientWidth")
            await tab.size(360, 700)
            await tab.until(f"document.querySelector('#captured-picture svg').clientWidth < {wide}")
            assert await tab.run("document.documentElement.scrollWidth") == 360

    async def test_nothing_moves_for_those_who_do_not_want_it(self, tab: Tab) -> None:
        async with serving_good() as site:
            await tab.prefer(prefers_reduced_motion="reduce")
            await show(tab, site)
            moving = "document.getAnimations().length + [...document.querySelectorAll('*')].filter((e) =>"
            assert await tab.run(f"{moving} parseFloat(getComputedStyle(e).transitionDuration) > 0).length") == 0


class TestWithoutEyesOrMouse:
    async def test_the_keyboard_meets_everything_in_reading_order(self, tab: Tab) -> None:
        focused = "(e => e.id || e.textContent)(document.activeElement)"

        async def tabbed(presses: int) -> list[str]:
            met = []
            for _ in range(presses):
                await tab.press("Tab")
                met.append(await tab.run(focused))
            return met

        async with serving(samples.ordinary(), runbook="https://git.example/archive") as site:
            await tab.open(f"{site.url}/api/dashboard")
            await tab.until("document.activeElement.id === 'key'")
            assert await tabbed(1) == ["Show the status"]
            await tab.press("Tab", shift=True)
            await give_key(tab)
            await tab.until(SHOWN)
            await tab.run("document.querySelector('#captured-more').open = true")
            runbook = "docs/operations.md#dead-letters"
            summaries = ["Latency as a table", "Coverage as a table"]
            expected = [runbook, "Captured per hour as a table", "captured-table", *summaries, runbook]
            assert await tabbed(6) == expected
            await tab.run("document.activeElement.blur(); document.querySelector('#theme').focus()")
            assert await tabbed(2) == ["refresh", "forget"]
            outline = "getComputedStyle(document.activeElement).outlineStyle"
            assert await tab.run(outline) == "solid"

    async def test_pictures_have_names_and_tables_and_the_page_has_landmarks(self, tab: Tab) -> None:
        async with serving_good() as site:
            await show(tab, site)
            await tab.run("document.querySelectorAll('details').forEach((each) => { each.open = true })")
            nodes = (await tab.call("Accessibility.getFullAXTree"))["nodes"]
            seen = [
                (node["role"]["value"], (node.get("name") or {}).get("value", ""))
                for node in nodes
                if not node["ignored"] and "role" in node
            ]
            roles = {role for role, _ in seen}
            assert {"banner", "main", "status", "heading"} <= roles
            images = [name for role, name in seen if role in ("image", "img")]
            assert len(images) == 3
            assert "4,182 by notification, 9 by export" in images[0]
            assert "71 complete, 3 found by export, 1 not shown by export, 15 unknown" in images[2]
            tables = [name for role, name in seen if role == "table"]
            assert len(tables) == 4
            assert all(tables)
            headings = [name for role, name in seen if role == "heading"]
            assert headings[0].startswith("Everything captured up to")
            for control in (name for role, name in seen if role in ("button", "combobox", "textbox")):
                assert control

    async def test_a_table_holds_what_its_picture_shows(self, tab: Tab) -> None:
        status = samples.bad_day()
        async with serving(status) as site:
            await show(tab, site)
            rows = await tab.run(
                "[...document.querySelectorAll('#captured-table tbody tr')]"
                ".map((tr) => [...tr.children].slice(1).map((td) => td.textContent))"
            )
            given = {hour["hour"]: hour["bySource"] for hour in status["captured"]}
            assert len(rows) == samples.HOURS
            shown = [row for row in reversed(rows) if row != ["unknown", "unknown"]]
            assert shown == [[str(each["notification"]), str(each["export"])] for each in given.values()]
            assert len(rows) - len(shown) == 3

    async def test_times_tell_the_readers_own_as_well(self, tab: Tab) -> None:
        async with serving_good() as site:
            await tab.call("Emulation.setTimezoneOverride", timezoneId="Asia/Kolkata")
            await tab.call("Emulation.setLocaleOverride", locale="en-GB")
            await show(tab, site)
            found = await tab.run("[...document.querySelectorAll('time')].map((t) => [t.textContent, t.title])")
            assert ["20\u00a0Nov\u00a019:07", "21 Nov 2026, 00:37:07 on your clock"] in found
