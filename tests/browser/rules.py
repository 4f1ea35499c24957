"""Runs the page's rules with Node: the scripts of the page as served, those that need no document."""

import json
import re
import subprocess
from typing import Any

from shared.adapters.dashboard import dashboard

# What a rule makes of something, whatever it is.
Json = Any

_PURE = ("Reading", "Words", "Series", "Rules", "Headline")
_PROGRAM = """
const { scripts, expression, given } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const context = require("vm").createContext({ given });
for (const script of scripts) require("vm").runInContext(script, context);
const found = require("vm").runInContext(expression, context);
process.stdout.write(JSON.stringify(found === undefined ? null : found));
"""


def pure_scripts() -> list[str]:
    """The scripts that make values of values."""
    page = dashboard().get_body().decode()
    scripts: list[str] = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    return [script for script in scripts if re.search(rf"^const ({'|'.join(_PURE)}) =", script, re.MULTILINE)]


def evaluate(node: str, expression: str, given: object = None) -> Json:
    """What an expression over the page's rules and ``given`` is worth."""
    work = json.dumps({"scripts": pure_scripts(), "expression": expression, "given": given})
    done = subprocess.run([node, "-e", _PROGRAM], input=work.encode(), capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)
