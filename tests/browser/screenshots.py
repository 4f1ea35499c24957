"""Takes the pictures of docs/dashboard.md anew: ``python -m tests.browser.screenshots``, where there is a chromium."""

import asyncio
import sys
from pathlib import Path

from tests.browser import chromium, samples
from tests.browser.site import KEY, serving
from tests.browser.small_png import small

DOCS = Path(__file__).parents[2] / "docs"
WIDTH = 1180
PICTURES = {"light": samples.ordinary, "dark": samples.bad_day}
# The samples' day, some seconds after their status, as somebody in Lisbon reads it.
CLOCK = f"Date.now = () => {round(samples.NOW.timestamp() * 1000) + 2000};"


async def take(tab: chromium.Tab, scheme: str) -> bytes:
    """The whole page in one colour scheme."""
    async with serving(PICTURES[scheme]()) as site:
        await tab.prefer(prefers_color_scheme=scheme)
        await tab.call("Emulation.setTimezoneOverride", timezoneId="Europe/Lisbon")
        await tab.call("Emulation.setLocaleOverride", locale="en-GB")
        await tab.before_scripts(CLOCK)
        await tab.size(WIDTH, 900)
        await tab.open(f"{site.url}/api/dashboard")
        await tab.write(KEY)
        await tab.press("Enter")
        await tab.until("!document.querySelector('#picture').hidden")
        await tab.size(WIDTH, await tab.run("document.documentElement.scrollHeight"))
        return small(await tab.screenshot())


async def main(program: str) -> None:
    """Write both pictures."""
    with chromium.running(program) as address:
        for scheme in PICTURES:
            async with chromium.tab(address) as tab:
                (DOCS / f"dashboard-{scheme}.png").write_bytes(await take(tab, scheme))


if __name__ == "__main__":
    found = chromium.find()
    if found is None:
        sys.exit("no chromium on this machine")
    asyncio.run(main(found))
