"""The settings, and that the sample and the documentation list the same ones."""

import ast
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import SettingsError
from shared.core.export_users import ExportedUsers
from shared.settings import Settings, read_settings
from tests.unit.recording import names_read

ROOT = Path(__file__).parents[2]
TENANT = "8F4C1A52-0f6b-4a83-9d57-31c6d8b0e7aa"

GOOD = {
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    "ARCHIVE_STORAGE": "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=a2V5;EndpointSuffix=core.windows.net",
    "KEY_VAULT_URL": "https://vault.vault.azure.net",
    "ENCRYPTION_CERTIFICATE": "graph-notifications",
    "GRAPH_TENANT_ID": TENANT,
    "GRAPH_CLIENT_ID": "d3b07384-d9a0-4c2e-8f14-5e6a7b8c9d0e",
    "CLIENT_STATE": "current",
}
REQUIRED = sorted(GOOD)
# What the platform or the operating system says, and nobody sets for this app in particular.
ENVIRONMENT_FACTS = {"REQUESTS_CA_BUNDLE", "WEBSITE_HOSTNAME", "WEBSITE_INSTANCE_ID"}
# What the Functions host reads, beside the schedules that function_app.py names between percent signs.
HOST_SETTINGS = {"FUNCTIONS_WORKER_RUNTIME"}


def problems(environment: Mapping[str, str]) -> list[str]:
    """What is wrong, a sentence each."""
    with pytest.raises(SettingsError) as caught:
        read_settings(environment)
    return caught.value.problems


def changed(**changes: str) -> Settings:
    return read_settings({**GOOD, **changes})


@pytest.fixture
def read() -> set[str]:
    return names_read()


@pytest.fixture
def of_host() -> set[str]:
    """The names that the Functions host looks for."""
    return HOST_SETTINGS | set(re.findall(r'"%(\w+)%"', (ROOT / "function_app.py").read_text()))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"EXPORT_SCOPE": "tenant", "EXPORT_USERS": "0a1a7a9f-63c8-4d0f-8d2b-2b7f2b8f8a10"}, "EXPORT_USERS must be"),
        ({"EXPORT_START": "0001-01-01"}, "EXPORT_START must be"),
        ({"EXPORT_START": "yesterday"}, "EXPORT_START must be"),
        ({"EXPORT_USERS": "someone@contoso.example"}, "EXPORT_USERS must be"),
        ({"EXPORT_SCOPE": "all"}, "EXPORT_SCOPE must be"),
    ],
)
def test_what_an_export_can_not_be_made_of_is_named(changes: dict[str, str], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        read_settings({**GOOD, **changes})


@pytest.mark.parametrize(
    "schedule", ["0 */5 * * * *", "*/20 * * * * *", "0 0 8-18/2 * JAN MON-FRI", "0 * * * *", "00:05:00"]
)
def test_a_schedule_is_one_of_the_hosts_forms(schedule: str) -> None:
    assert read_settings({**GOOD, "RENEW_SCHEDULE": schedule}) == read_settings(GOOD)


class TestTogether:
    """One set of settings, in the code, the sample and the documentation."""

    def test_the_app_reads_what_it_needs(self, read: set[str]) -> None:
        assert set(REQUIRED) | ENVIRONMENT_FACTS <= read

    def test_the_sample_holds_the_same(self, read: set[str], of_host: set[str]) -> None:
        sample = json.loads((ROOT / "local.settings.sample.json").read_bytes())

        assert set(sample["Values"]) == (read - ENVIRONMENT_FACTS) | of_host

    def test_the_documentation_holds_the_same(self, read: set[str], of_host: set[str]) -> None:
        rows = re.findall(r"^\| `([A-Za-z_]+)", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE)
        documented = {row.partition("__")[0] for row in rows}

        assert documented - ENVIRONMENT_FACTS == (read - ENVIRONMENT_FACTS) | of_host

    def test_no_setting_has_two_rows(self) -> None:
        rows = re.findall(r"^\| `([A-Za-z_]+)` ", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE)

        assert len(rows) == len(set(rows))

    def test_the_sample_works_once_its_secrets_are_filled_in(self) -> None:
        sample = json.loads((ROOT / "local.settings.sample.json").read_bytes())

        assert read_settings({**sample["Values"], "CLIENT_STATE": "a secret"})
        with pytest.raises(SettingsError, match="CLIENT_STATE is missing"):
            read_settings(sample["Values"])

    def test_the_environment_is_read_in_one_place(self) -> None:
        def reads_environment(path: Path) -> bool:
            names = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
            return bool(names & {"environ", "environb", "getenv"})

        sources = [ROOT / "function_app.py", *(ROOT / "shared").rglob("*.py")]

        assert [path.name for path in sources if reads_environment(path)] == ["parts.py"]
        assert (ROOT / "shared" / "parts.py").read_text().count("os.environ") == 1


class TestGoodSettings:
    def test_what_is_given_is_what_is_used(self) -> None:
        settings = changed(GRAPH_CLIENT_SECRET="s3cret", REQUESTS_CA_BUNDLE="/ca.pem")

        assert settings.key_vault_url == "https://vault.vault.azure.net"
        assert settings.encryption_certificate == "graph-notifications"
        assert settings.client_secret == "s3cret"
        assert settings.ca_bundle == "/ca.pem"
        assert settings.queue_storage.connection_string == "UseDevelopmentStorage=true"
        assert settings.archive_storage.connection_string == GOOD["ARCHIVE_STORAGE"]

    def test_what_is_not_given_is_safe(self) -> None:
        settings = read_settings(GOOD)

        assert settings.allow_unsigned_content is False
        assert settings.max_body_bytes == 4 * 1024 * 1024
        assert settings.authority_host == "https://login.microsoftonline.com"
        assert settings.client_secret is None
        assert settings.ca_bundle is None
        assert settings.on_azure is False

    def test_guids_are_in_lower_case(self) -> None:
        assert changed().tenant_id == TENANT.lower()
        assert changed(GRAPH_CLIENT_ID=TENANT).client_id == TENANT.lower()

    @pytest.mark.parametrize(
        ("text", "states"),
        [
            ("one", ("one",)),
            ("one,two", ("one", "two")),
            (" one , two ", ("one", "two")),
            ("one,", ("one",)),
            ("x" * 128, ("x" * 128,)),
        ],
    )
    def test_client_states_are_the_current_one_and_the_previous_one(self, text: str, states: tuple[str, ...]) -> None:
        assert changed(CLIENT_STATE=text).client_states == states

    @pytest.mark.parametrize(
        ("text", "allowed"), [("true", True), ("True", True), ("false", False), ("FALSE", False), ("", False)]
    )
    def test_unsigned_content_is_allowed_by_true_alone(self, text: str, allowed: bool) -> None:
        assert changed(ALLOW_UNSIGNED_CONTENT=text).allow_unsigned_content is allowed

    def test_an_authority_has_no_slash_at_its_end(self) -> None:
        assert changed(AUTHORITY_HOST="https://login.example/").authority_host == "https://login.example"

    @pytest.mark.parametrize(
        ("suffix", "value", "blob", "queue"),
        [
            ("blobServiceUri", "https://a.blob.core.windows.net", "https://a.blob.core.windows.net", None),
            ("accountName", "a", "https://a.blob.core.windows.net", None),
        ],
    )
    def test_the_archive_by_identity(self, suffix: str, value: str, blob: str, queue: str | None) -> None:
        environment = {name: text for name, text in GOOD.items() if name != "ARCHIVE_STORAGE"}
        storage = read_settings(
            {
                **environment,
                f"ARCHIVE_STORAGE__{suffix}": value,
                "ARCHIVE_STORAGE__credential": "managedIdentity",
                "ARCHIVE_STORAGE__clientId": "the-identity",
            }
        ).archive_storage

        assert (storage.connection_string, storage.blob_service_uri, storage.queue_service_uri) == (None, blob, queue)
        assert storage.client_id == "the-identity"

    def test_the_queues_by_identity(self) -> None:
        environment = {name: text for name, text in GOOD.items() if name != "AzureWebJobsStorage"}
        storage = read_settings(
            {**environment, "AzureWebJobsStorage__queueServiceUri": "https://a.queue.core.windows.net"}
        ).queue_storage

        assert storage.queue_service_uri == "https://a.queue.core.windows.net"
        assert storage.client_id is None


class TestExports:
    def test_by_default_everybody_with_a_licence_all_that_there_is(self) -> None:
        settings = changed()

        assert settings.export_users == ExportedUsers(licensed=True)
        assert settings.export_start == datetime(2023, 11, 1, tzinfo=UTC)
        assert settings.export_whole_tenant is False
        assert settings.export_app_classes == ()

    @pytest.mark.parametrize(
        ("text", "users"),
        [
            ("licensed", ExportedUsers(licensed=True)),
            (" None ", ExportedUsers()),
            (f"group:{TENANT}", ExportedUsers(group_id=TENANT.lower())),
            (f"{TENANT},", ExportedUsers(named=frozenset({TENANT.lower()}))),
            ("", ExportedUsers(licensed=True)),
        ],
    )
    def test_users_are_those_of_the_list(self, text: str, users: ExportedUsers) -> None:
        assert changed(EXPORT_USERS=text).export_users == users

    @pytest.mark.parametrize(
        ("text", "start"),
        [
            ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
            ("2026-01-31T08:30:00Z", datetime(2026, 1, 31, 8, 30, tzinfo=UTC)),
            ("2026-01-31T08:30:00+02:00", datetime(2026, 1, 31, 6, 30, tzinfo=UTC)),
            ("2026-01-31T08:30:00", datetime(2026, 1, 31, 8, 30, tzinfo=UTC)),
        ],
    )
    def test_a_start_is_an_instant_or_a_day_in_utc(self, text: str, start: datetime) -> None:
        assert changed(EXPORT_START=text).export_start == start

    @pytest.mark.parametrize(("text", "whole"), [("users", False), ("tenant", True), (" Tenant ", True), ("", False)])
    def test_the_scope_is_users_or_the_tenant(self, text: str, whole: bool) -> None:
        assert changed(EXPORT_SCOPE=text).export_whole_tenant is whole

    @pytest.mark.parametrize(("text", "classes"), [("", ()), (",", ()), (" A.b , c ,,", ("A.b", "c"))])
    def test_app_classes_are_a_list(self, text: str, classes: tuple[str, ...]) -> None:
        assert changed(EXPORT_APP_CLASSES=text).export_app_classes == classes


class TestBadSettings:
    def test_nothing_set_names_everything_at_once(self) -> None:
        told = problems({})

        assert len(told) == len(REQUIRED)
        for name in REQUIRED:
            assert [problem for problem in told if problem.startswith(f"{name} is missing")], name

    @pytest.mark.parametrize("name", REQUIRED)
    @pytest.mark.parametrize("blank", [None, "", "  "])
    def test_each_required_setting_is_missed(self, name: str, blank: str | None) -> None:
        environment = {key: text for key, text in {**GOOD, name: blank}.items() if text is not None}
        (problem,) = problems(environment)

        assert problem.startswith(f"{name} is missing")

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("KEY_VAULT_URL", "http://vault.vault.azure.net"),
            ("KEY_VAULT_URL", "vault.vault.azure.net"),
            ("KEY_VAULT_URL", "https://"),
            ("KEY_VAULT_URL", "https://[::1"),
            ("AUTHORITY_HOST", "http://login.microsoftonline.com"),
            ("AUTHORITY_HOST", "login.microsoftonline.com"),
            ("ENCRYPTION_CERTIFICATE", "../keys/other"),
            ("ENCRYPTION_CERTIFICATE", "a b"),
            ("ENCRYPTION_CERTIFICATE", "x" * 128),
            ("ENCRYPTION_CERTIFICATE", "zertifikät"),
            ("GRAPH_TENANT_ID", "common"),
            ("GRAPH_TENANT_ID", "contoso.onmicrosoft.com"),
            ("GRAPH_TENANT_ID", f"{{{TENANT}}}"),
            ("GRAPH_TENANT_ID", f"urn:uuid:{TENANT}"),
            ("GRAPH_TENANT_ID", TENANT.replace("-", "")),
            ("GRAPH_CLIENT_ID", "my-app"),
            ("GRAPH_CLIENT_ID", f"{{{TENANT}}}"),
            ("CLIENT_STATE", ","),
            ("CLIENT_STATE", "one,two,three"),
            ("CLIENT_STATE", "x" * 129),
            ("CLIENT_STATE", "one," + "x" * 129),
            ("MAX_BODY_BYTES", "0"),
            ("MAX_BODY_BYTES", "-1"),
            ("MAX_BODY_BYTES", "4MiB"),
            ("MAX_BODY_BYTES", "1e6"),
            ("MAX_BODY_BYTES", "٤"),
            ("ALLOW_UNSIGNED_CONTENT", "yes"),
            ("ALLOW_UNSIGNED_CONTENT", "1"),
            ("EXPORT_USERS", "everybody"),
            ("EXPORT_USERS", "adele.vance@contoso.example"),
            ("EXPORT_USERS", "group:copilot-pilots"),
            ("EXPORT_USERS", f"licensed,{TENANT}"),
            ("EXPORT_USERS", ","),
            ("EXPORT_START", "yesterday"),
            ("EXPORT_START", "2026"),
            ("EXPORT_START", "2026-02-30"),
            ("EXPORT_START", "2026-01-31T00:00"),
            ("EXPORT_START", "31.01.2026"),
            ("EXPORT_SCOPE", "everybody"),
            ("EXPORT_SCOPE", "user"),
            ("RENEW_SCHEDULE", "bogus"),
            ("RENEW_SCHEDULE", " "),
            ("EXPORT_SCHEDULE", "every hour on the hour please"),
            ("EXPORT_SCHEDULE", "@hourly"),
            ("SWEEP_SCHEDULE", "0 */5 * *"),
            ("SWEEP_SCHEDULE", "0 */5 * * * * *"),
            ("ARCHIVE_STORAGE", "nonsense"),
            ("AzureWebJobsStorage", "https://account.blob.core.windows.net"),
        ],
    )
    def test_each_malformed_setting_is_named(self, name: str, value: str) -> None:
        (problem,) = problems({**GOOD, name: value})

        assert problem.startswith(f"{name} ")

    def test_identity_needs_its_endpoint_over_https(self) -> None:
        environment = {name: text for name, text in GOOD.items() if name != "ARCHIVE_STORAGE"}

        for name, value in [
            ("ARCHIVE_STORAGE__blobServiceUri", "http://a.blob.core.windows.net"),
            ("ARCHIVE_STORAGE__queueServiceUri", "https://a.queue.core.windows.net"),
            ("ARCHIVE_STORAGE__credential", "managedidentity"),
        ]:
            assert problems({**environment, name: value}), name

    def test_another_credential_is_none_of_ours(self) -> None:
        environment = {name: text for name, text in GOOD.items() if name != "ARCHIVE_STORAGE"}
        told = problems(
            {
                **environment,
                "ARCHIVE_STORAGE__blobServiceUri": "https://a.blob.core.windows.net",
                "ARCHIVE_STORAGE__credential": "workloadidentity",
            }
        )

        assert told == ["ARCHIVE_STORAGE__credential must be managedidentity"]

    @given(st.dictionaries(st.sampled_from(REQUIRED), st.text(st.characters(codec="utf-8"), min_size=9), min_size=1))
    def test_any_text_is_read_or_named_and_never_repeated(self, changes: dict[str, str]) -> None:
        told = ""
        with suppress(SettingsError):
            told = f"read: {read_settings({**GOOD, **changes}).max_body_bytes}"
        if not told:
            told = "; ".join(problems({**GOOD, **changes}))

        assert not [value for value in changes.values() if value in told]


class TestSecrets:
    def test_they_do_not_show(self) -> None:
        shown = repr(
            changed(GRAPH_CLIENT_SECRET="canary-1", CLIENT_STATE="canary-2", ARCHIVE_STORAGE=GOOD["ARCHIVE_STORAGE"])
        )

        for secret in ("canary-1", "canary-2", "a2V5"):
            assert secret not in shown


class TestRelaxations:
    @pytest.mark.parametrize(
        ("authority", "asked"),
        [
            ("https://login.microsoftonline.com", True),
            ("https://login.microsoftonline.us", True),
            ("https://LOGIN.microsoftonline.com/", True),
            ("https://localhost:8443", False),
            ("https://login.microsoftonline.com.example.org", False),
        ],
    )
    def test_microsofts_clouds_are_asked_about_the_authority(self, authority: str, asked: bool) -> None:
        assert changed(AUTHORITY_HOST=authority).instance_discovery is asked

    @pytest.mark.parametrize(
        ("vault", "verified"),
        [
            ("https://vault.vault.azure.net", True),
            ("https://localhost:8443", False),
            ("https://127.0.0.1:8443", False),
            ("https://[::1]:8443", False),
            ("https://localhost.example.org", True),
        ],
    )
    def test_only_a_vault_on_loopback_goes_unverified(self, vault: str, verified: bool) -> None:
        assert changed(KEY_VAULT_URL=vault).verify_challenge_resource is verified

    def test_there_is_no_relaxation_on_azure(self) -> None:
        settings = changed(
            KEY_VAULT_URL="https://localhost:1", AUTHORITY_HOST="https://localhost:1", WEBSITE_INSTANCE_ID=""
        )

        assert settings.on_azure
        assert settings.instance_discovery
        assert settings.verify_challenge_resource
