"""The workflows hold to what keeps a pipeline from being misused. YAML is read by its lines: no parser is installed."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
USES = re.compile(r"^\s*- uses: ([\w./-]+)@(\S+)(.*)$", re.MULTILINE)
# A step's shell lines: what stands deeper than `run: |`, or behind `run: `.
BLOCK = re.compile(r"^( *)(?:- )?run: \|\n((?:\1  .*\n|\n)+)", re.MULTILINE)
LINE = re.compile(r"^ *(?:- )?run: (?!\|)(.+)$", re.MULTILINE)
every_workflow = pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)


def shell(text: str) -> list[str]:
    return [block for _, block in BLOCK.findall(text)] + LINE.findall(text)


def test_both_are_there() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "deploy.yml"]


@every_workflow
def test_it_is_yaml_that_github_reads(workflow: Path) -> None:
    text = workflow.read_text(encoding="utf-8")
    assert "\t" not in text
    assert re.findall(r"^(\w+):", text, re.MULTILINE) == [
        "name", "on", "permissions", "concurrency", "jobs"
    ]  # fmt: skip
    for line in text.splitlines():
        assert (len(line) - len(line.lstrip())) % 2 == 0, line
        assert not re.match(r"^\s*(?:- )?\w[\w-]*:\S", line), line


@every_workflow
def test_actions_are_pinned_to_commits_and_say_their_version(workflow: Path) -> None:
    found = USES.findall(workflow.read_text(encoding="utf-8"))
    assert found
    for action, commit, comment in found:
        assert re.fullmatch(r"[0-9a-f]{40}", commit), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action


def test_an_action_is_the_same_commit_everywhere() -> None:
    found = [each for path in WORKFLOWS for each in USES.findall(path.read_text(encoding="utf-8"))]
    assert len({action for action, *_ in found}) == len(set(found))


@every_workflow
def test_nothing_is_pasted_into_a_shell(workflow: Path) -> None:
    """A value of an expression may be anybody's text; through the environment it stays a value."""
    lines = shell(workflow.read_text(encoding="utf-8"))
    assert lines
    assert not [line for line in lines if "${{" in line]


@every_workflow
def test_permissions_are_the_least(workflow: Path) -> None:
    text = workflow.read_text(encoding="utf-8")
    assert "\npermissions:\n  contents: read\n\n" in text
    written = re.findall(r"([\w-]+): write", text)
    assert written == (["id-token"] if workflow.name == "deploy.yml" else [])
    assert "secrets." not in text
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")


def test_nothing_is_deployed_before_somebody_turns_it_on() -> None:
    text = (ROOT / ".github" / "workflows" / "deploy.yml").read_text(encoding="utf-8")
    jobs = re.findall(r"^  (\w+):\n((?:    .*\n|\n)+)", text.split("\njobs:\n", 1)[1] + "\n", re.MULTILINE)
    assert [name for name, _ in jobs] == ["package", "deploy"]
    assert "if: vars.DEPLOY_ENABLED == 'true'" in jobs[0][1]
    assert "needs: package" in jobs[1][1]
    assert "environment: production" in jobs[1][1]
    assert "pull_request" not in text


def test_variables_that_deploying_asks_for_are_documented() -> None:
    text = (ROOT / ".github" / "workflows" / "deploy.yml").read_text(encoding="utf-8")
    guide = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8").split("### From GitHub\n", 1)[1]
    for name in set(re.findall(r"vars\.(\w+)", text)):
        assert f"`{name}`" in guide


def test_ci_runs_what_a_desk_runs() -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    assert "make check PYTHON=python" in shell(text)
    assert "make package PYTHON=python" in shell(text)
