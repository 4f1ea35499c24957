"""Who may do what: the role assignments are those that somebody needs, and docs/security.md says so."""

import json
import re
from typing import Any, NamedTuple

from shared.core.clouds import CLOUDS
from shared.core.subscription_rules import RULES
from tests.unit.infra.bicep import INFRA, ROOT, Declaration, declarations, named, only, resources

SECURITY = (ROOT / "docs" / "security.md").read_text()
GRANTS = (INFRA / "grant-permissions.sh").read_text()
ASSIGNMENT = "Microsoft.Authorization/roleAssignments"
REGISTRATION = "identity/app-registration.bicep"
# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
ROLES = {
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "a4417e6f-fecd-4de8-b567-7b0420556985": "Key Vault Certificates Officer",
    "e147488a-f6f5-4113-8e2d-b22465e65bf6": "Key Vault Crypto Service Encryption User",
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "Storage Blob Data Contributor",
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "Storage Blob Data Reader",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
}
APP, READERS, OFFICER, ENCRYPTION = "the app", "readers", "who deploys", "the archive's account"
PRINCIPALS = {
    "appPrincipalId": APP,
    "certificateOfficerId": OFFICER,
    "identity.properties.principalId": ENCRYPTION,
    "readerGroupIds[index / length(restContainers)]": READERS,
}


class Need(NamedTuple):
    """Somebody needs a role on something."""

    who: str
    role: str
    scope: str


NEEDS = {
    Need(APP, "Monitoring Metrics Publisher", "applicationInsights"),
    Need(APP, "Key Vault Secrets User", "vault"),
    Need(OFFICER, "Key Vault Certificates Officer", "vault"),
    Need(ENCRYPTION, "Key Vault Crypto Service Encryption User", "key"),
    Need(APP, "Storage Blob Data Owner", "account"),
    Need(APP, "Storage Queue Data Contributor", "queue[index]"),
    Need(APP, "Storage Blob Data Contributor", "work[index]"),
    Need(APP, "Copilot archive writer", "rest[index]"),
    Need(READERS, "Storage Blob Data Reader", "rest[index % length(restContainers)]"),
}


def role_of(assignment: Declaration) -> str:
    variable = assignment.properties["roleDefinitionId"]
    if variable == "restRole":
        assert named(assignment.file, "restRole").value == "empty(archiveRoleId) ? blobDataContributor : archiveRoleId"
        return "Copilot archive writer"
    declared = named(assignment.file, variable).value
    found = re.fullmatch(
        r"subscriptionResourceId\('Microsoft.Authorization/roleDefinitions', '([0-9a-f-]+)'\)", declared
    )
    assert found is not None
    return ROLES[found[1]]


def needs() -> list[Need]:
    return [
        Need(PRINCIPALS[each.properties["principalId"]], role_of(each), each.value["scope"])
        for each in resources(ASSIGNMENT)
    ]


def permissions() -> dict[str, str]:
    found: dict[str, str] = json.loads((INFRA / "identity" / "permissions.json").read_text())
    return found


def test_somebody_needs_each_role_assignment_and_has_it() -> None:
    assert sorted(needs()) == sorted(NEEDS)


def test_each_role_is_in_the_table_of_the_documentation_and_no_other() -> None:
    rows = re.findall(
        r"^\| [^|]+ \| ([^|(]+?)(?: \([^|]+\))? \| [^|]+ \| [^|]+ \|$",
        SECURITY.partition("## Who may do what")[2],
        re.M,
    )

    assert {row for row in rows if row not in ("role or permission", "---")} == {need.role for need in NEEDS} | set(
        permissions()
    )


def test_names_of_assignments_differ_by_scope_principal_and_role() -> None:
    for each in resources(ASSIGNMENT):
        assert each.value["name"].startswith("guid(")
        principal = each.properties["principalId"].partition(".")[0]
        assert principal in each.value["name"]
        assert each.properties["roleDefinitionId"] in each.value["name"]


def test_the_role_for_what_is_at_rest_can_neither_delete_nor_move() -> None:
    (permission,) = only("Microsoft.Authorization/roleDefinitions").properties["permissions"]

    assert permission["actions"] == ["Microsoft.Storage/storageAccounts/blobServices/containers/read"]
    assert permission["dataActions"] == ["'${blobs}/read'", "'${blobs}/add/action'", "'${blobs}/write'"]
    assert named("main.bicep", "restrictedArchiveRole").value is True


def test_the_role_is_for_this_resource_group_alone() -> None:
    assert only("Microsoft.Authorization/roleDefinitions").properties["assignableScopes"] == ["resourceGroup().id"]


def test_the_registration_has_what_archiving_takes_and_nobody_can_delete_with_it() -> None:
    required = "concat(['AiEnterpriseInteraction.Read.All', 'User.Read.All'], optionalPermissions)"

    assert named("main.bicep", "permissions").value == required
    assert set(named("main.bicep", "optionalPermissions").decorators["allowed"]) | {
        "AiEnterpriseInteraction.Read.All",
        "User.Read.All",
    } == set(permissions())
    assert all(".Read" in name and "Write" not in name for name in permissions())


def test_permissions_are_those_that_the_subscriptions_name() -> None:
    # Those that write suffice where a tenant has granted them, and are never what we ask for. Those that don't end in
    # All are consented to where an app is installed.
    asked = {name for rule in RULES for name in rule.permissions if name.endswith(".Read.All") or "Basic.All" in name}

    assert set(permissions()) >= asked


def test_ids_of_permissions_are_guids_and_differ() -> None:
    ids = list(permissions().values())

    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", each) for each in ids)
    assert len(set(ids)) == len(ids)
    # https://learn.microsoft.com/graph/permissions-reference#aienterpriseinteractionreadall
    assert permissions()["AiEnterpriseInteraction.Read.All"] == "839c90ab-5771-41ee-aef8-a562e8487c1e"
    assert permissions()["User.Read.All"] == "df021288-bdef-4463-88db-98f22de89214"
    assert permissions()["Organization.Read.All"] == "498476ce-e0fe-48b0-b801-37ba7e2685c6"


def test_the_registration_trusts_the_managed_identity_in_the_audience_of_the_cloud() -> None:
    credential = only("Microsoft.Graph/applications/federatedIdentityCredentials").value
    audiences: dict[str, Any] = named(REGISTRATION, "exchangeAudiences").value

    assert credential["subject"] == "identityPrincipalId"
    assert credential["audiences"] == ["exchangeAudiences[environment().name]"]
    assert credential["issuer"] == "'${environment().authentication.loginEndpoint}${tenant().tenantId}/v2.0'"
    assert set(audiences.values()) == {cloud.exchange_audience for cloud in CLOUDS.values()}
    assert named("main.bicep", "registration").value["params"]["identityPrincipalId"] == "identity.outputs.principalId"


def test_graph_can_make_tokens_for_the_registration_and_it_has_no_secret() -> None:
    principal = only("Microsoft.Graph/servicePrincipals")
    application = only("Microsoft.Graph/applications")

    assert principal.value["appRoleAssignmentRequired"] is False
    assert not {"passwordCredentials", "keyCredentials"} & (set(application.value) | set(principal.value))
    assert application.value["signInAudience"] == "AzureADMyOrg"


def test_the_identity_can_be_left_to_somebody_else() -> None:
    assert named("main.bicep", "registration").condition == "deployIdentity"
    assert [each.file for each in declarations(kind="resource") if each.type.startswith("Microsoft.Graph/")] == [
        REGISTRATION
    ] * 5


def test_the_script_for_somebody_else_does_the_same() -> None:
    (required,) = re.findall(r"^for permission in (.*) \"\$@\"; do$", GRANTS, re.M)
    assert required.split() == ["AiEnterpriseInteraction.Read.All", "User.Read.All"]

    audiences = set(re.findall(r"audience=(\S+)", GRANTS))
    assert audiences == {cloud.exchange_audience for cloud in CLOUDS.values()}
    assert "password" not in GRANTS.lower()
