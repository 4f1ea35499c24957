"""Containers and queues that Bicep makes are those that the app uses; what protects them suits how it uses them."""

import ast
import re
from typing import Any

from shared.core.inbox_name import QUEUES
from shared.core.resources import CONTAINERS
from tests.unit.infra.bicep import ROOT, Declaration, named, only, resources

ARCHIVE = "app/archive-storage.bicep"
HOST = "app/host-storage.bicep"
CONTAINER = "Microsoft.Storage/storageAccounts/blobServices/containers"
# Where the app changes and deletes what it has written.
WORK = {"inbox", "dead-letters", "state"}


def queues_of_the_triggers() -> set[str]:
    """Every queue that function_app.py reads from or writes to."""
    source = (ROOT / "function_app.py").read_text()
    return set(re.findall(r'queue_trigger\("\w+", "([\w-]+)"', source)) | set(
        re.findall(r'queue_output\("\w+", "([\w-]+)"', source)
    )


def lifecycle_rules() -> dict[str, dict[str, Any]]:
    found = [named(ARCHIVE, name).value for name in ("agingRule", "activityRule", "versionsRule")]
    return {rule["name"]: rule["definition"] for rule in found}


def test_the_containers_at_rest_are_those_of_the_resource_kinds() -> None:
    assert named(ARCHIVE, "restContainers").value == list(CONTAINERS)


def test_the_other_containers_are_those_that_the_wiring_opens() -> None:
    opened = set(re.findall(r'container\("([\w-]+)"\)', (ROOT / "shared" / "wiring.py").read_text()))

    assert opened - set(CONTAINERS) == WORK
    assert set(named(ARCHIVE, "workContainers").value) == WORK


def test_the_app_deletes_nowhere_else() -> None:
    calls = [
        ast.unparse(node.func.value)
        for path in (ROOT / "shared" / "flows").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "delete"
    ]
    # Graph's subscriptions are deleted as well, and are no blobs.
    blobs = {call.removeprefix("self.").replace("_", "-") for call in calls} - {"graph"}

    assert {"inbox", "dead-letters"} <= blobs <= WORK


def test_every_container_is_made_and_none_is_public() -> None:
    made: list[Declaration] = resources(CONTAINER)

    assert {each.loop for each in made if each.file == ARCHIVE} == {"restContainers", "workContainers"}
    assert {each.properties["publicAccess"] for each in made} == {"None"}


def test_the_queues_are_those_of_the_app_and_each_has_its_poison() -> None:
    queues = named(HOST, "queues").value
    used = set(QUEUES) | {"exports"}

    assert set(queues) == used | {f"{queue}-poison" for queue in used}
    assert queues_of_the_triggers() <= used
    assert only("Microsoft.Storage/storageAccounts/queueServices/queues").loop == "queues"


def test_nothing_at_rest_can_be_overwritten() -> None:
    policy = only(f"{CONTAINER}/immutabilityPolicies")

    assert policy.loop == "restContainers"
    assert policy.value["parent"] == "rest[index]"
    assert policy.condition == "declareImmutability"
    assert named("main.bicep", "declareImmutability").value is True
    assert policy.properties == {
        "immutabilityPeriodSinceCreationInDays": "immutabilityDays",
        "allowProtectedAppendWrites": False,
    }


def test_what_is_deleted_can_be_brought_back() -> None:
    blobs = only("Microsoft.Storage/storageAccounts/blobServices", ARCHIVE).properties

    assert blobs["isVersioningEnabled"] is True
    assert blobs["changeFeed"]["enabled"] is True
    assert blobs["deleteRetentionPolicy"] == {"enabled": True, "days": "softDeleteDays"}
    assert blobs["containerDeleteRetentionPolicy"] == {"enabled": True, "days": "softDeleteDays"}


def test_no_rule_deletes_a_post_or_a_dead_letter_or_anything_at_rest() -> None:
    deleting = [rule for rule in lifecycle_rules().values() if "delete" in rule["actions"].get("baseBlob", {})]

    assert [rule["filters"]["prefixMatch"] for rule in deleting] == [["state/activity/"]]
    assert deleting[0]["actions"]["baseBlob"]["delete"] == {"daysAfterModificationGreaterThan": 7}
    tiers = [named(ARCHIVE, name).value for name in ("toCool", "toCold", "toArchive", "tiers")]
    assert not [tier for tier in tiers if "delete" in tier]


def test_old_versions_go_only_where_the_app_makes_them() -> None:
    rule = lifecycle_rules()["old-versions-of-work-expire"]

    assert rule["filters"]["prefixMatch"] == "workPrefixes"
    assert named(ARCHIVE, "workPrefixes").value == "[for container in workContainers: '${container}/']"
    assert set(rule["actions"]) == {"version"}
    assert rule["actions"]["version"] == {"delete": {"daysAfterCreationGreaterThan": "softDeleteDays"}}


def test_what_is_at_rest_ages_where_somebody_asks_for_it() -> None:
    rule = lifecycle_rules()["archive-ages"]
    days = [named("main.bicep", f"{tier}AfterDays").value for tier in ("cool", "cold", "archive")]

    assert rule["filters"]["prefixMatch"] == "restPrefixes"
    assert rule["actions"] == {"baseBlob": "tiers"}
    # Moving a small blob costs more than keeping it, and what is in the archive tier is offline.
    assert days == [0, 0, 0]
    for name, limit in (("toCool", "cool"), ("toCold", "cold"), ("toArchive", "archive")):
        assert named(ARCHIVE, name).value.startswith(f"{limit}AfterDays > 0 ? {{ tierTo")


def test_all_rules_are_in_the_policy() -> None:
    assert named(ARCHIVE, "rules").value == "concat([activityRule, versionsRule], empty(tiers) ? [] : [agingRule])"
    assert only("Microsoft.Storage/storageAccounts/managementPolicies").properties == {"policy": {"rules": "rules"}}


def test_the_archive_is_no_account_of_the_host() -> None:
    main = {name: named("main.bicep", name).value["params"]["name"] for name in ("archiveStorage", "hostStorage")}

    assert main == {"archiveStorage": "archiveAccountName", "hostStorage": "hostAccountName"}
    assert named("main.bicep", "archiveAccountName").value != named("main.bicep", "hostAccountName").value
