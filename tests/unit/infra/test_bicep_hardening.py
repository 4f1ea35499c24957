"""What is closed stays closed: keys, public blobs, old TLS, passwords, unlogged access."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.unit.infra.bicep import FILES, INFRA, ROOT, Declaration, declarations, named, only, resources

ACCOUNTS = resources("Microsoft.Storage/storageAccounts")
FUNCTIONS = "app/functions.bicep"
SITE = only("Microsoft.Web/sites").properties
FLEX = SITE["functionAppConfig"]
VAULT = only("Microsoft.KeyVault/vaults").properties
POLICY = json.loads((INFRA / "certificate-policy.json").read_text())


def by_file(account: Declaration) -> str:
    return account.file


def logged(scope: str, file: str) -> set[str]:
    """The log categories that a resource sends to the workspace."""
    found = [each for each in resources("Microsoft.Insights/diagnosticSettings", file) if each.value["scope"] == scope]
    assert all(each.properties["workspaceId"] == "workspaceId" for each in found)
    return {log["category"] for each in found for log in each.properties["logs"] if log["enabled"]}


class TestStorage:
    def test_there_are_two_accounts(self) -> None:
        assert [each.file for each in ACCOUNTS] == ["app/archive-storage.bicep", "app/host-storage.bicep"]

    @pytest.mark.parametrize("account", ACCOUNTS, ids=by_file)
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("allowSharedKeyAccess", False),
            ("defaultToOAuthAuthentication", True),
            ("allowBlobPublicAccess", False),
            ("allowCrossTenantReplication", False),
            ("isLocalUserEnabled", False),
            ("minimumTlsVersion", "TLS1_2"),
            ("supportsHttpsTrafficOnly", True),
        ],
    )
    def test_it_is_closed(self, account: Declaration, name: str, value: object) -> None:
        assert account.properties[name] == value

    @pytest.mark.parametrize("account", ACCOUNTS, ids=by_file)
    def test_it_encrypts_twice(self, account: Declaration) -> None:
        assert account.properties["encryption"]["requireInfrastructureEncryption"] is True

    @pytest.mark.parametrize("account", ACCOUNTS, ids=by_file)
    def test_a_private_account_denies(self, account: Declaration) -> None:
        rules = account.properties["networkAcls"]

        assert rules["defaultAction"] == "private ? 'Deny' : 'Allow'"
        # Lifecycle management is a trusted service, and the host's account has none.
        assert rules["bypass"] == ("AzureServices" if account.file == "app/archive-storage.bicep" else "None")
        assert account.properties["publicNetworkAccess"].startswith("private ")

    def test_the_archive_has_a_lock(self) -> None:
        lock = only("Microsoft.Authorization/locks")

        assert (lock.value["scope"], lock.properties["level"]) == ("account", "CanNotDelete")
        assert (lock.file, lock.condition) == ("app/archive-storage.bicep", "lock")
        assert named("main.bicep", "lockArchive").value is True

    def test_the_customers_key_is_the_archives_alone(self) -> None:
        assert named("main.bicep", "encryptionKey").condition == "customerManagedKey"
        assert only("Microsoft.KeyVault/vaults/keys").properties["keyOps"] == ["wrapKey", "unwrapKey"]
        assert "exp" not in only("Microsoft.KeyVault/vaults/keys").properties.get("attributes", {})


class TestVault:
    @pytest.mark.parametrize("name", ["enableRbacAuthorization", "enablePurgeProtection", "enableSoftDelete"])
    def test_it_has(self, name: str) -> None:
        assert VAULT[name] is True

    @pytest.mark.parametrize(
        "name", ["enabledForDeployment", "enabledForDiskEncryption", "enabledForTemplateDeployment"]
    )
    def test_it_has_not(self, name: str) -> None:
        assert VAULT[name] is False

    def test_nothing_in_it_can_be_lost_for_good(self) -> None:
        assert VAULT["softDeleteRetentionInDays"] == 90
        assert VAULT["networkAcls"]["defaultAction"] == "private ? 'Deny' : 'Allow'"


class TestCertificate:
    def test_graph_takes_the_key_and_the_app_can_read_it(self) -> None:
        assert POLICY["keyProperties"] == {"exportable": True, "keySize": 2048, "keyType": "RSA", "reuseKey": False}
        assert POLICY["secretProperties"] == {"contentType": "application/x-pkcs12"}
        assert POLICY["issuerParameters"] == {"name": "Self"}

    def test_it_renews_itself_long_before_the_alert_and_its_end(self) -> None:
        (action,) = POLICY["lifetimeActions"]

        assert action["action"]["actionType"] == "AutoRenew"
        assert 30 < action["trigger"]["daysBeforeExpiry"] < POLICY["x509CertificateProperties"]["validityInMonths"] * 30

    def test_it_is_made_after_provisioning(self) -> None:
        azd = (ROOT / "azure.yaml").read_text()

        assert re.search(
            r"^  postprovision:\n(?:    .*\n)*    run: \./infra/after-provisioning\.sh$", azd, re.MULTILINE
        )
        assert "create-certificate.sh" in (INFRA / "after-provisioning.sh").read_text()
        assert "certificate-policy.json" in (INFRA / "create-certificate.sh").read_text()


class TestSite:
    def test_it_is_the_python_that_is_pinned(self) -> None:
        assert FLEX["runtime"] == {"name": "python", "version": "3.13"}
        assert only("Microsoft.Web/serverfarms").value["sku"] == {"name": "FC1", "tier": "FlexConsumption"}

    def test_nobody_deploys_with_a_password(self) -> None:
        policies = resources("Microsoft.Web/sites/basicPublishingCredentialsPolicies")

        assert {each.value["name"]: each.properties["allow"] for each in policies} == {"ftp": False, "scm": False}
        assert SITE["siteConfig"]["ftpsState"] == "Disabled"
        assert FLEX["deployment"]["storage"]["authentication"]["type"] == "UserAssignedIdentity"

    def test_it_speaks_https_alone(self) -> None:
        config = SITE["siteConfig"]

        assert SITE["httpsOnly"] is True
        assert (config["minTlsVersion"], config["scmMinTlsVersion"]) == ("1.2", "1.2")
        assert config["remoteDebuggingEnabled"] is False
        assert "cors" not in config

    def test_its_references_to_the_vault_are_read_by_its_own_identity(self) -> None:
        assert SITE["keyVaultReferenceIdentity"] == "identityId"

    def test_graph_meets_a_warm_instance(self) -> None:
        scale = FLEX["scaleAndConcurrency"]
        ready = named("main.bicep", "alwaysReadyHttp")

        assert (ready.value, ready.decorators["minValue"]) == (1, 1)
        assert scale["alwaysReady"] == "concat(httpReady, storeReady)"
        assert scale["triggers"]["http"]["perInstanceConcurrency"] == "httpConcurrency"
        assert named("main.bicep", "httpConcurrency").value == 16

    def test_what_can_be_kept_ready_is_a_function(self) -> None:
        (name,) = re.findall(r"name: 'function:(\w+)'", (INFRA / FUNCTIONS).read_text())

        assert f"def {name}(" in (ROOT / "function_app.py").read_text()

    def test_azd_finds_it(self) -> None:
        (service,) = re.findall(r"^services:\n  (\w+):$", (ROOT / "azure.yaml").read_text(), re.MULTILINE)

        assert only("Microsoft.Web/sites").value["tags"] == f"union(tags, {{ 'azd-service-name': '{service}' }})"


class TestRestrictions:
    """By address, for the whole site: the site's other routes have to be thought of."""

    def test_they_are_off_where_nobody_names_a_range(self) -> None:
        assert named("main.bicep", "webhookIpRanges").value == []
        assert named(FUNCTIONS, "restricted").value == "!empty(webhookIpRanges)"
        assert SITE["siteConfig"]["ipSecurityRestrictionsDefaultAction"] == "restricted ? 'Deny' : 'Allow'"

    def test_operators_are_let_in_beside_graph(self) -> None:
        allowed = SITE["siteConfig"]["ipSecurityRestrictions"]

        assert allowed == "restricted ? concat(graphRules, operatorRules) : []"

    def test_deployments_are_not_shut_out(self) -> None:
        config = SITE["siteConfig"]

        assert config["scmIpSecurityRestrictionsUseMain"] is False
        assert config["scmIpSecurityRestrictionsDefaultAction"] == "Allow"

    def test_the_documentation_names_every_route_that_shares_the_site(self) -> None:
        source = (ROOT / "function_app.py").read_text()
        routes = set(re.findall(r'@app\.route\("([\w/-]+)"', source))
        section = (
            (ROOT / "docs" / "security.md").read_text().partition("## Restricting addresses")[2].partition("\n## ")[0]
        )

        assert routes - set(re.findall(r"`/api/([\w/-]+)`", section)) == set()

    def test_the_documentation_names_exactly_the_anonymous_ones_as_anonymous(self) -> None:
        source = (ROOT / "function_app.py").read_text()
        anonymous = re.findall(r'@app\.route\("([\w/-]+)"[^\n]*AuthLevel\.ANONYMOUS', source)
        section = (ROOT / "docs" / "security.md").read_text().partition("## Anonymous routes")[2].partition("\n## ")[0]

        assert set(anonymous) == set(re.findall(r"`/api/([\w/-]+)`", section))


class TestLogs:
    def test_whoever_touches_the_archive_leaves_a_trace(self) -> None:
        assert logged("account::blobs", "app/archive-storage.bicep") == {"StorageRead", "StorageWrite", "StorageDelete"}

    def test_whoever_changes_the_package_or_the_function_keys_leaves_a_trace(self) -> None:
        assert logged("account::blobs", "app/host-storage.bicep") == {"StorageWrite", "StorageDelete"}
        assert logged("account::queueService", "app/host-storage.bicep") == {"StorageDelete"}

    def test_whoever_reads_a_key_leaves_a_trace(self) -> None:
        assert logged("vault", "app/vault.bicep") == {"AuditEvent"}

    def test_what_the_functions_say_is_kept(self) -> None:
        assert logged("site", FUNCTIONS) == {"FunctionAppLogs"}

    def test_nobody_sends_telemetry_with_a_key(self) -> None:
        assert only("Microsoft.Insights/components").properties["DisableLocalAuth"] is True
        assert only("Microsoft.OperationalInsights/workspaces").properties["features"] == {"disableLocalAuth": True}


class TestNetwork:
    def test_everything_that_holds_data_has_an_endpoint(self) -> None:
        endpoints = [
            each.value["params"]
            for each in declarations("main.bicep", "module")
            if each.type.endswith("private-endpoint.bicep")
        ]

        assert {(each["targetId"], each["service"]) for each in endpoints} == {
            ("archiveStorage.outputs.id", "blob"),
            ("hostStorage.outputs.id", "blob"),
            ("hostStorage.outputs.id", "queue"),
            ("vault.outputs.id", "vault"),
        }
        for each in endpoints:
            assert f"{each['service']}ZoneId" in each["zoneId"]

    def test_it_is_there_by_parameter_alone(self) -> None:
        of_network = ("app/network.bicep", "app/private-endpoint.bicep")
        modules = [each for each in declarations("main.bicep", "module") if each.type in of_network]

        assert {each.condition for each in modules} == {"privateNetwork"}
        assert named("main.bicep", "privateNetwork").value is False

    def test_each_service_has_its_zone(self) -> None:
        zones = named("app/network.bicep", "zoneNames").value

        assert [re.sub(r"[^\w.].*", "", zone.strip("'")) for zone in zones[:2]] == [
            "privatelink.blob.",
            "privatelink.queue.",
        ]
        assert "vaultcore." in zones[2]

    def test_flex_takes_the_subnet(self) -> None:
        app, _ = only("Microsoft.Network/virtualNetworks").properties["subnets"]

        assert "_" not in app["name"]
        assert app["properties"]["delegations"][0]["properties"]["serviceName"] == "Microsoft.App/environments"


class TestMain:
    def test_every_module_is_used_and_every_file_is_a_module(self) -> None:
        used = {each.type for each in declarations("main.bicep", "module")}

        assert used == {path.relative_to(INFRA).as_posix() for path in FILES} - {"main.bicep"}

    def test_every_module_is_in_the_resource_group(self) -> None:
        assert {each.value["scope"] for each in declarations("main.bicep", "module")} == {"group"}

    def test_names_fit(self) -> None:
        token = 13  # characters of uniqueString()
        longest = {"vaultName": 24, "hostAccountName": 24, "archiveAccountName": 24, "siteName": 60}
        for name, limit in longest.items():
            written = str(named("main.bicep", name).value).strip("'")
            assert len(written.replace("${token}", "x" * token)) <= limit

    @pytest.mark.parametrize("path", sorted(INFRA.glob("*.sh")), ids=lambda path: path.name)
    def test_scripts_can_be_run(self, path: Path) -> None:
        assert path.stat().st_mode & 0o111
        assert path.read_text().startswith("#!/bin/sh\n")

    def test_the_extension_is_configured(self) -> None:
        config: dict[str, Any] = json.loads((INFRA / "bicepconfig.json").read_text())
        asked = {name for path in FILES for name in re.findall(r"^extension (\w+)$", path.read_text(), re.MULTILINE)}

        assert asked == set(config["extensions"])
