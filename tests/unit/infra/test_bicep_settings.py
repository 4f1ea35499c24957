"""The app settings that Bicep sets are the ones that the app and its host read, and they are good ones."""

import json
import re
from typing import Any

import pytest

from shared.settings import Settings, read_settings
from tests.unit.infra.bicep import INFRA, ROOT, Expression, declarations, named
from tests.unit.recording import names_read

# Read by the platform's telemetry and front end, and by nothing of ours.
OF_THE_PLATFORM = {
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY",
    "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",
}
# Facts of a machine, a secret that no deployment on Azure has, and what is for local runs.
NOT_ON_AZURE = {"REQUESTS_CA_BUNDLE", "WEBSITE_HOSTNAME", "WEBSITE_INSTANCE_ID", "GRAPH_CLIENT_SECRET"}
# https://learn.microsoft.com/azure/azure-functions/functions-app-settings#flex-consumption-plan-considerations
REFUSED_BY_FLEX = {
    "FUNCTIONS_WORKER_RUNTIME",
    "FUNCTIONS_EXTENSION_VERSION",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "WEBSITE_RUN_FROM_PACKAGE",
    "WEBSITE_TIME_ZONE",
    "TZ",
}
TENANT = "8f4c1a52-0f6b-4a83-9d57-31c6d8b0e7aa"
CLIENT = "d3b07384-d9a0-4c2e-8f14-5e6a7b8c9d0e"
# What the expressions come to in a deployment.
DEPLOYED = {
    "hostStorage.outputs.blobEndpoint": "https://sthost.blob.core.windows.net/",
    "hostStorage.outputs.queueEndpoint": "https://sthost.queue.core.windows.net/",
    "archiveStorage.outputs.blobEndpoint": "https://starchive.blob.core.windows.net/",
    "identity.outputs.clientId": "the-identity",
    "vault.outputs.uri": "https://kv.vault.azure.net/",
    "tenant().tenantId": TENANT,
    "registration.?outputs.?clientId ?? graphClientId": CLIENT,
    "environment().authentication.loginEndpoint": "https://login.microsoftonline.com/",
    "clientState.outputs.appSetting": "current",
    "monitoring.outputs.connectionString": "InstrumentationKey=x",
    "string(hostBodyLimit)": "1",
}


def app_settings() -> dict[str, Any]:
    """The app settings as written in main.bicep."""
    found: dict[str, Any] = named("main.bicep", "functions").value["params"]["settings"]
    return found


def param(name: str) -> Any:  # noqa: ANN401 - whatever its default is
    """A parameter's default."""
    return named("main.bicep", name).value


def deployed(value: Any) -> str:  # noqa: ANN401 - as declared
    """What a setting is on Azure, where nobody sets a parameter."""
    if not isinstance(value, Expression):
        return str(value)
    if value in DEPLOYED:
        return DEPLOYED[value]
    if asked := re.fullmatch(r"string\((\w+)\)", value):
        default = param(asked[1])
        # As Azure Resource Manager writes them.
        return str(default) if isinstance(default, bool) else json.dumps(default)
    return str(param(value)) if value.isidentifier() else str(value)


def environment(**changes: str) -> dict[str, str]:
    return {name: deployed(value) for name, value in app_settings().items()} | changes


@pytest.fixture
def settings() -> Settings:
    return read_settings(environment(WEBSITE_INSTANCE_ID="1", WEBSITE_HOSTNAME="func.azurewebsites.net"))


def schedules() -> set[str]:
    return set(re.findall(r'"%(\w+)%"', (ROOT / "function_app.py").read_text()))


def test_bicep_sets_what_the_app_and_its_host_read_and_nothing_else() -> None:
    names = {name.partition("__")[0] for name in app_settings()}

    assert names == (names_read() - NOT_ON_AZURE) | schedules() | OF_THE_PLATFORM


def test_nothing_is_set_that_flex_consumption_refuses_or_that_is_a_secret() -> None:
    assert not set(app_settings()) & (REFUSED_BY_FLEX | NOT_ON_AZURE)


def test_telemetry_is_set_as_documented() -> None:
    section = (ROOT / "docs" / "telemetry.md").read_text().partition("## On Azure")[2].partition("\n## ")[0]
    documented = {name for row in re.findall(r"^\| (`.+?`) \|", section, re.M) for name in re.findall(r"`(\w+)`", row)}
    sampling = set(re.findall(r"OTEL_\w+", named("app/functions.bicep", "sampling").value))

    assert documented == (OF_THE_PLATFORM - {"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"}) | sampling
    assert f"`{app_settings()['OTEL_PYTHON_DISABLED_INSTRUMENTATIONS']}`" in section


def test_every_schedule_is_a_parameter_with_the_documented_default() -> None:
    documented = dict(re.findall(r"^\| `(\w+_SCHEDULE)` \| `([^`]+)`", (ROOT / "docs/settings.md").read_text(), re.M))

    assert {name: deployed(app_settings()[name]) for name in schedules()} == documented


def test_the_app_starts_with_what_is_set(settings: Settings) -> None:
    assert settings.on_azure
    assert (settings.tenant_id, settings.client_id, settings.client_secret) == (TENANT, CLIENT, None)
    assert settings.public_base_url == "https://func.azurewebsites.net"
    assert settings.graph_endpoint == "https://graph.microsoft.com"


def test_storage_is_reached_by_the_managed_identity_alone(settings: Settings) -> None:
    for storage in (settings.queue_storage, settings.archive_storage):
        assert storage.connection_string is None
        assert storage.client_id == "the-identity"
    assert settings.queue_storage.queue_service_uri == "https://sthost.queue.core.windows.net/"
    assert settings.archive_storage.blob_service_uri == "https://starchive.blob.core.windows.net/"
    # The host's leases and function keys.
    assert "AzureWebJobsStorage__blobServiceUri" in app_settings()


def test_a_default_in_bicep_is_the_default_in_the_app(settings: Settings) -> None:
    silent = {
        name: text
        for name, text in environment().items()
        if not isinstance(app_settings()[name], Expression) or app_settings()[name] in DEPLOYED
    }
    for name in ("ENCRYPTION_CERTIFICATE", "SUBSCRIPTIONS"):  # required, and what an archive of Copilot is for
        silent[name] = environment()[name]
    bare = read_settings(silent | {"WEBSITE_INSTANCE_ID": "1", "WEBSITE_HOSTNAME": "func.azurewebsites.net"})

    assert bare == settings


def test_it_subscribes_to_the_interactions_of_the_tenant(settings: Settings) -> None:
    assert settings.subscriptions is not None
    (desired,) = settings.subscriptions
    assert desired.resource == "copilot/interactionHistory/getAllEnterpriseInteractions"


def test_the_client_state_is_a_reference_and_made_once() -> None:
    (secret,) = declarations("app/client-state.bicep", "resource")[1:]

    assert "onlyIfNotExists" in secret.decorators
    assert named("app/client-state.bicep", "appSetting").value.startswith("'@Microsoft.KeyVault(VaultName=")
    assert param("newClientState") == "newGuid()"
    assert "secure" in named("main.bicep", "newClientState").decorators
    assert "secure" in named("app/client-state.bicep", "newClientState").decorators


def test_no_output_or_parameter_file_holds_a_secret() -> None:
    secure = {each.name for each in declarations(kind="param") if "secure" in each.decorators}
    outputs = [each.value for each in declarations(kind="output")]
    parameters = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]

    assert secure
    assert not [output for output in outputs for name in secure if name in str(output)]
    assert not secure & set(parameters)


def test_the_host_lets_through_what_the_app_refuses_by_itself() -> None:
    assert named("main.bicep", "hostBodyLimit").value == "4 * maxBodyBytes"


def test_parameters_from_the_environment_are_parameters_of_the_template() -> None:
    declared = {each.name: each for each in declarations("main.bicep", "param")}
    parameters = json.loads((INFRA / "main.parameters.json").read_text())["parameters"]

    assert set(parameters) <= set(declared)
    for name, entry in parameters.items():
        variable, _, default = entry["value"].removeprefix("${").removesuffix("}").partition("=")
        assert re.fullmatch(r"[A-Z_]+", variable)
        if default:
            value = declared[name].value
            assert default == (value if isinstance(value, str) else json.dumps(value)), name


def test_every_parameter_says_what_it_is_for_or_is_plain() -> None:
    plain = {
        "graphApiVersion",
        "instanceMemoryMB",
        "httpConcurrency",
        "logRetentionDays",
        "appPrefix",
        "endpointPrefix",
    }
    silent = {each.name for each in declarations("main.bicep", "param") if "description" not in each.decorators}

    assert silent == plain
