"""infra/*.sh against a stand-in for the Azure CLI: what they do, and that doing it again does nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.unit.infra.bicep import INFRA

GRAPH_APP = "00000003-0000-0000-c000-000000000000"
TENANT = "8f4c1a52-0f6b-4a83-9d57-31c6d8b0e7aa"
IDENTITY = "5f1b3a52-1c6b-4a83-9d57-31c6d8b0e7bb"
NEEDED = ["AiEnterpriseInteraction.Read.All", "User.Read.All"]


class Azure:
    """A directory and a vault, and the scripts run against them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        roles = [{"id": f"id-of-{name}", "value": name} for name in [*NEEDED, "Chat.Read.All"]]
        graph = {"id": "graph", "appId": GRAPH_APP, "appRoles": roles, "assignments": []}
        self.change(
            calls=[],
            denied=0,
            certificates=[],
            applications=[],
            servicePrincipals=[graph],
            cloud={
                "name": "AzureCloud",
                "tenantId": TENANT,
                "endpoints": {
                    "microsoftGraphResourceId": "https://graph.microsoft.com/",
                    "activeDirectory": "https://login.microsoftonline.com",
                },
            },
        )
        az = folder / "az"
        az.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S -B {Path(__file__).parent / "fake_az.py"} "$@"\n')
        az.chmod(0o755)

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self._folder / "state.json").read_text())
        return found

    def change(self, **changes: object) -> None:
        path = self._folder / "state.json"
        path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | changes))

    def run(self, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        self.change(calls=[])
        return subprocess.run(
            ["/bin/sh", str(INFRA / script), *arguments],
            env={
                "PATH": f"{self._folder}:{os.environ['PATH']}",
                "FAKE_AZ": str(self._folder / "state.json"),
                "CREATE_CERTIFICATE_PAUSE": "0",
                "GRANT_PERMISSIONS_PAUSE": "0",
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def principal(self) -> dict[str, Any]:
        (found,) = [each for each in self.state["servicePrincipals"] if each["appId"] != GRAPH_APP]
        return dict(found)

    def granted(self) -> list[str]:
        return [each["appRoleId"].removeprefix("id-of-") for each in self.principal()["assignments"]]

    def writes(self) -> list[list[str]]:
        """Calls that are to change something."""
        reading = ("get", "show", "list")
        return [call for call in self.state["calls"] if not any(word in reading for word in call)]


@pytest.fixture
def azure(tmp_path: Path) -> Azure:
    return Azure(tmp_path)


class TestGrantPermissions:
    def test_it_makes_what_is_missing_and_prints_the_client_id_alone(self, azure: Azure) -> None:
        done = azure.run("grant-permissions.sh", "Archive", IDENTITY)

        assert done.returncode == 0, done.stderr
        assert done.stdout == "app-of-Archive\n"
        assert azure.granted() == NEEDED
        assert azure.principal()["appRoleAssignmentRequired"] is False
        (application,) = azure.state["applications"]
        (credential,) = application["credentials"]
        assert application["signInAudience"] == "AzureADMyOrg"
        assert credential == {
            "name": "managed-identity",
            "issuer": f"https://login.microsoftonline.com/{TENANT}/v2.0",
            "subject": IDENTITY,
            "audiences": ["api://AzureADTokenExchange"],
        }

    def test_it_does_nothing_the_second_time(self, azure: Azure) -> None:
        azure.run("grant-permissions.sh", "Archive", IDENTITY)
        before = azure.state
        done = azure.run("grant-permissions.sh", "Archive", IDENTITY)

        assert (done.returncode, done.stdout) == (0, "app-of-Archive\n")
        assert azure.writes() == []
        assert azure.state["servicePrincipals"] == before["servicePrincipals"]

    def test_it_adds_a_permission_to_those_that_are_there(self, azure: Azure) -> None:
        azure.run("grant-permissions.sh", "Archive", IDENTITY)
        azure.run("grant-permissions.sh", "Archive", IDENTITY, "Chat.Read.All")

        assert azure.granted() == [*NEEDED, "Chat.Read.All"]

    def test_it_mends_a_principal_that_requires_assignments(self, azure: Azure) -> None:
        azure.run("grant-permissions.sh", "Archive", IDENTITY)
        state = azure.state
        state["servicePrincipals"][1]["appRoleAssignmentRequired"] = True
        azure.change(**state)
        azure.run("grant-permissions.sh", "Archive", IDENTITY)

        assert azure.principal()["appRoleAssignmentRequired"] is False

    def test_another_identity_is_trusted_as_well(self, azure: Azure) -> None:
        azure.run("grant-permissions.sh", "Archive", "an older one")
        azure.run("grant-permissions.sh", "Archive", IDENTITY)

        (application,) = azure.state["applications"]
        assert [each["subject"] for each in application["credentials"]] == ["an older one", IDENTITY]

    def test_it_takes_the_clouds_own_audience(self, azure: Azure) -> None:
        cloud = azure.state["cloud"] | {"name": "AzureUSGovernment"}
        azure.change(cloud=cloud)
        azure.run("grant-permissions.sh", "Archive", IDENTITY)

        (application,) = azure.state["applications"]
        assert application["credentials"][0]["audiences"] == ["api://AzureADTokenExchangeUSGov"]

    def test_a_name_that_several_have_is_refused(self, azure: Azure) -> None:
        azure.change(applications=[{"displayName": "Archive", "appId": each} for each in ("a", "b")])
        done = azure.run("grant-permissions.sh", "Archive", IDENTITY)

        assert done.returncode == 1
        assert "Several" in done.stderr
        assert azure.writes() == []

    def test_a_permission_that_graph_does_not_have_is_refused(self, azure: Azure) -> None:
        done = azure.run("grant-permissions.sh", "Archive", IDENTITY, "Chat.Raed.All")

        assert done.returncode == 1
        assert "Chat.Raed.All" in done.stderr

    def test_it_says_what_it_wants(self, azure: Azure) -> None:
        assert "usage" in azure.run("grant-permissions.sh", "Archive").stderr
        assert azure.writes() == []


class TestCreateCertificate:
    def test_it_makes_the_certificate_by_the_policy(self, azure: Azure) -> None:
        done = azure.run("create-certificate.sh", "kv", "graph-notifications")

        assert done.returncode == 0, done.stderr
        policy = json.loads((INFRA / "certificate-policy.json").read_text())
        assert azure.state["certificates"] == [{"name": "graph-notifications", "policy": policy}]

    def test_a_certificate_that_is_there_stays(self, azure: Azure) -> None:
        azure.run("create-certificate.sh", "kv")
        done = azure.run("create-certificate.sh", "kv")

        assert done.returncode == 0
        assert len(azure.state["certificates"]) == 1

    def test_it_waits_for_a_role_that_was_given_a_moment_ago(self, azure: Azure) -> None:
        azure.change(denied=3)
        done = azure.run("create-certificate.sh", "kv")

        assert done.returncode == 0
        assert len(azure.state["certificates"]) == 1

    def test_it_gives_up_and_says_who_may(self, azure: Azure) -> None:
        azure.change(denied=100)
        done = azure.run("create-certificate.sh", "kv", CREATE_CERTIFICATE_TRIES="2")

        assert done.returncode == 1
        assert "Key Vault Certificates Officer" in done.stderr
        assert azure.state["certificates"] == []


class TestAfterProvisioning:
    ENVIRONMENT = {  # noqa: RUF012 - never changed
        "AZURE_KEY_VAULT_NAME": "kv",
        "ENCRYPTION_CERTIFICATE": "graph-notifications",
        "AZURE_FUNCTION_APP_ID": "/subscriptions/s/site",
        "GRAPH_CLIENT_ID": "client",
    }

    def test_the_certificate_is_made_and_the_references_are_fresh(self, azure: Azure) -> None:
        done = azure.run("after-provisioning.sh", **self.ENVIRONMENT)

        assert done.returncode == 0, done.stderr
        assert len(azure.state["certificates"]) == 1
        refresh = "/subscriptions/s/site/config/configreferences/appsettings/refresh?api-version=2022-03-01"
        assert refresh in azure.state["calls"][-1]
        assert done.stderr == ""

    def test_a_missing_registration_is_told(self, azure: Azure) -> None:
        done = azure.run("after-provisioning.sh", **self.ENVIRONMENT | {"GRAPH_CLIENT_ID": ""})

        assert done.returncode == 0
        assert "grant-permissions.sh" in done.stderr

    @pytest.mark.parametrize("name", ["AZURE_KEY_VAULT_NAME", "ENCRYPTION_CERTIFICATE", "AZURE_FUNCTION_APP_ID"])
    def test_nothing_is_guessed(self, azure: Azure, name: str) -> None:
        done = azure.run("after-provisioning.sh", **self.ENVIRONMENT | {name: ""})

        assert done.returncode != 0
        assert name in done.stderr


class TestLegalHold:
    @pytest.mark.parametrize("action", ["set", "clear"])
    def test_it_holds_everything_at_rest(self, azure: Azure, action: str) -> None:
        done = azure.run("legal-hold.sh", action, "rg", "account", "case42")

        assert done.returncode == 0, done.stderr
        held = [call[call.index("--container-name") + 1] for call in azure.writes()]
        assert held == ["interactions", "chats", "resources"]
        assert all(call[:4] == ["storage", "container", "legal-hold", action] for call in azure.writes())
        assert all(call[call.index("--tags") + 1] == "case42" for call in azure.writes())

    @pytest.mark.parametrize(
        "arguments", [(), ("set", "rg"), ("set", "rg", "account"), ("drop", "rg", "account", "x1")]
    )
    def test_it_says_what_it_wants(self, azure: Azure, arguments: tuple[str, ...]) -> None:
        done = azure.run("legal-hold.sh", *arguments)

        assert done.returncode != 0
        assert "usage" in done.stderr
        assert azure.writes() == []
