"""Every setting of the app, read from the environment once, here and nowhere else.

docs/settings.md and local.settings.sample.json list the same ones; tests/unit/test_settings.py holds them together.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from shared.core.clouds import CLOUDS, GLOBAL
from shared.core.errors import SettingsError
from shared.core.export_users import LICENSED, ExportedUsers, parse_users
from shared.core.instants import parse_instant
from shared.core.subscription_rules import DesiredSubscription, parse_desired

MAX_CLIENT_STATE = 128
# https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string
_CONNECTION_STRING = re.compile(r"(^|;)(AccountName|BlobEndpoint|QueueEndpoint|UseDevelopmentStorage)=", re.IGNORECASE)
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
GLOBAL_LOGIN = "login.microsoftonline.com"
# Microsoft 365 Copilot became generally available then: by default nothing that Graph still holds is left out.
# https://www.microsoft.com/microsoft-365/blog/2023/09/21/announcing-microsoft-365-copilot-general-availability-and-microsoft-365-chat/
EXPORT_START = "2023-11-01T00:00:00Z"
# Graph's filter knows years of four digits; nothing that anybody means is older.
EARLIEST_YEAR = 2000
# The host reads these from the environment. One that it can't read is a timer that never runs, told by nobody but it.
SCHEDULES = ("RENEW_SCHEDULE", "EXPORT_SCHEDULE", "SWEEP_SCHEDULE")
# Five or six fields, or a span: https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer
_VALUE = r"(\*|\d{1,2}|[A-Za-z]{3})(-(\d{1,2}|[A-Za-z]{3}))?(/\d{1,2})?"
_SCHEDULE = re.compile(rf"{_VALUE}(,{_VALUE})*( +{_VALUE}(,{_VALUE})*){{4,5}}|(\d+\.)?\d\d?:\d\d:\d\d", re.ASCII)
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class StorageConnection:
    """One storage account: by connection string, or by endpoints and the app's managed identity.

    The identity form is that of Functions' own connections:
    https://learn.microsoft.com/azure/azure-functions/functions-reference#configure-an-identity-based-connection
    """

    connection_string: str | None = field(default=None, repr=False)
    blob_service_uri: str | None = None
    queue_service_uri: str | None = None
    client_id: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """The app's settings, checked. Secrets don't show in its repr."""

    queue_storage: StorageConnection
    archive_storage: StorageConnection
    key_vault_url: str
    encryption_certificate: str
    tenant_id: str
    client_id: str
    client_secret: str | None = field(repr=False)
    authority_host: str
    client_states: tuple[str, ...] = field(repr=False)
    max_body_bytes: int
    allow_unsigned_content: bool
    graph_endpoint: str
    graph_api_version: str
    public_base_url: str
    subscriptions: tuple[DesiredSubscription, ...] | None
    export_users: ExportedUsers
    export_start: datetime
    export_whole_tenant: bool
    export_app_classes: tuple[str, ...]
    ca_bundle: str | None
    on_azure: bool

    @property
    def instance_discovery(self) -> bool:
        """Whether azure-identity asks Microsoft about the authority: not for one that is none of its clouds."""
        return self.on_azure or urlsplit(self.authority_host).hostname in CLOUDS

    @property
    def verify_challenge_resource(self) -> bool:
        """Whether the vault's challenge must name its own domain: a simulated vault on loopback has none."""
        return self.on_azure or urlsplit(self.key_vault_url).hostname not in LOOPBACK


@dataclass(slots=True)
class _Reader:
    """Reads one setting after the other and collects what is wrong, so that one error can name it all."""

    environment: Mapping[str, str]
    problems: list[str] = field(default_factory=list)

    def read(self, name: str, check: Callable[[str], str | None], default: str | None = None) -> str:
        """The setting's value. ``check`` returns what a good value is where the given one is not."""
        value = self.environment.get(name, "").strip() or default
        if value is None:
            self.problems.append(f"{name} is missing")
            return ""
        wish = check(value)
        if wish is not None:
            self.problems.append(f"{name} must be {wish}")
            return ""
        return value

    def storage(self, name: str, services: tuple[str, ...]) -> StorageConnection:
        """A storage connection under ``name`` or ``name__…``."""
        text = self.environment.get(name, "").strip()
        if text:
            if not _CONNECTION_STRING.search(text):
                self.problems.append(f"{name} must be a connection string of a storage account")
            return StorageConnection(connection_string=text)
        uris = {service: self._service_uri(name, service) for service in services}
        credential = self.environment.get(f"{name}__credential", "").strip().lower()
        if credential not in ("", "managedidentity"):
            self.problems.append(f"{name}__credential must be managedidentity")
        if not all(uris.values()):
            wanted = " and ".join(f"{name}__{service}ServiceUri" for service in services)
            self.problems.append(f"{name} is missing: a connection string, or {wanted}")
        return StorageConnection(
            blob_service_uri=uris.get("blob"),
            queue_service_uri=uris.get("queue"),
            client_id=self.environment.get(f"{name}__clientId", "").strip() or None,
        )

    def schedules(self) -> None:
        """Those that are there must be some. One that is not there may be run by hand."""
        for name in SCHEDULES:
            if name in self.environment:
                self.read(name, _schedule)

    def graph_endpoint(self, authority_host: str) -> str:
        """GRAPH_ENDPOINT; by default that of the cloud, and never another cloud's."""
        cloud = CLOUDS.get(urlsplit(authority_host).hostname or "")
        default = (cloud or GLOBAL).graph_endpoints[0]
        endpoint = self.read("GRAPH_ENDPOINT", _https, default).rstrip("/")
        if cloud is not None and endpoint and endpoint not in cloud.graph_endpoints:
            self.problems.append(
                f"GRAPH_ENDPOINT must be of AUTHORITY_HOST's cloud: {' or '.join(cloud.graph_endpoints)}"
            )
        return endpoint

    def public_base_url(self, *, needed: bool, on_azure: bool) -> str:
        """PUBLIC_BASE_URL; by default the host name that Azure gives the app. Empty where nothing needs it."""
        host = self.environment.get("WEBSITE_HOSTNAME", "").strip()
        default = f"https://{host}" if host else (None if needed else "")
        check = _https if on_azure else _https_or_loopback
        return self.read("PUBLIC_BASE_URL", lambda url: check(url) if url else None, default).rstrip("/")

    def subscriptions(self) -> tuple[DesiredSubscription, ...] | None:
        """SUBSCRIPTIONS, None where it is not set: then subscriptions are left alone, wanted or not."""
        text = self.environment.get("SUBSCRIPTIONS", "").strip()
        if not text:
            return None
        try:
            entries = json.loads(text)
        except (ValueError, RecursionError):
            self.problems.append("SUBSCRIPTIONS must be a JSON list")
            return None
        desired, problems = parse_desired(entries)
        self.problems += problems
        return tuple(desired)

    def _service_uri(self, name: str, service: str) -> str | None:
        uri = self.environment.get(f"{name}__{service}ServiceUri", "").strip()
        account = self.environment.get(f"{name}__accountName", "").strip()
        if not uri and account:
            uri = f"https://{account}.{service}.core.windows.net"
        if uri and _https(uri):
            self.problems.append(f"{name}__{service}ServiceUri must be {_https(uri)}")
        return uri or None


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings. Raises SettingsError, which names every one that is missing or malformed."""
    reader = _Reader(environment)
    on_azure = "WEBSITE_INSTANCE_ID" in environment
    authority_host = reader.read("AUTHORITY_HOST", _https, f"https://{GLOBAL_LOGIN}").rstrip("/")
    subscriptions = reader.subscriptions()
    settings = Settings(
        queue_storage=reader.storage("AzureWebJobsStorage", ("queue",)),
        archive_storage=reader.storage("ARCHIVE_STORAGE", ("blob",)),
        key_vault_url=reader.read("KEY_VAULT_URL", _https),
        encryption_certificate=reader.read("ENCRYPTION_CERTIFICATE", _certificate_name),
        tenant_id=reader.read("GRAPH_TENANT_ID", _guid).lower(),
        client_id=reader.read("GRAPH_CLIENT_ID", _guid).lower(),
        client_secret=reader.read("GRAPH_CLIENT_SECRET", _anything, default="") or None,
        authority_host=authority_host,
        client_states=_listed(reader.read("CLIENT_STATE", _client_state)),
        max_body_bytes=int(reader.read("MAX_BODY_BYTES", _positive, str(4 << 20)) or 0),
        allow_unsigned_content=reader.read("ALLOW_UNSIGNED_CONTENT", _boolean, "false").lower() == "true",
        ca_bundle=reader.read("REQUESTS_CA_BUNDLE", _anything, default="") or None,
        graph_endpoint=reader.graph_endpoint(authority_host),
        graph_api_version=reader.read("GRAPH_API_VERSION", _graph_api_version, "v1.0"),
        public_base_url=reader.public_base_url(needed=bool(subscriptions), on_azure=on_azure),
        subscriptions=subscriptions,
        export_users=parse_users(reader.read("EXPORT_USERS", _users, LICENSED)) or ExportedUsers(),
        export_start=_start(reader.read("EXPORT_START", _instant, EXPORT_START)) or datetime.max.replace(tzinfo=UTC),
        export_whole_tenant=reader.read("EXPORT_SCOPE", _scope, "users").lower() == "tenant",
        export_app_classes=_listed(reader.read("EXPORT_APP_CLASSES", _anything, default="")),
        on_azure=on_azure,
    )
    reader.schedules()
    if settings.export_whole_tenant and (settings.export_users.named or settings.export_users.group_id):
        reader.problems.append("EXPORT_USERS must be licensed or none where EXPORT_SCOPE is tenant")
    if reader.problems:
        raise SettingsError(reader.problems)
    return settings


def _listed(text: str) -> tuple[str, ...]:
    return tuple(each.strip() for each in text.split(",") if each.strip())


def _users(text: str) -> str | None:
    return None if parse_users(text) else "licensed, none, group:{id}, or ids of users with commas between them"


def _instant(text: str) -> str | None:
    return None if _start(text) else "an instant or a day in UTC, such as 2026-01-31T00:00:00Z or 2026-01-31"


def _start(text: str) -> datetime | None:
    start = parse_instant(text) or parse_instant(f"{text}T00:00:00Z")
    return start if start is not None and start.year >= EARLIEST_YEAR else None


def _schedule(text: str) -> str | None:
    return None if _SCHEDULE.fullmatch(text) else "an NCRONTAB expression such as 0 */5 * * * *"


def _scope(text: str) -> str | None:
    return None if text.lower() in ("users", "tenant") else "users or tenant"


def _client_state(text: str) -> str | None:
    states = _listed(text)
    # https://learn.microsoft.com/graph/api/resources/subscription#properties
    good = 1 <= len(states) <= 2 and all(len(state) <= MAX_CLIENT_STATE for state in states)
    return None if good else f"one secret or two, the current one first, of at most {MAX_CLIENT_STATE} characters each"


def _anything(_: str) -> str | None:
    return None


def _https(text: str) -> str | None:
    try:
        parts = urlsplit(text)
    except ValueError:
        return "an https URL"
    return None if parts.scheme == "https" and parts.hostname else "an https URL"


def _https_or_loopback(text: str) -> str | None:
    parts = urlsplit(text)
    return None if parts.scheme == "http" and parts.hostname in LOOPBACK else _https(text)


def _graph_api_version(text: str) -> str | None:
    return None if text in ("v1.0", "beta") else "v1.0 or beta"


def _guid(text: str) -> str | None:
    return None if _GUID.fullmatch(text) else "a GUID"


def _certificate_name(text: str) -> str | None:
    # https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#vault-name-and-object-name
    return None if re.fullmatch(r"[0-9A-Za-z-]{1,127}", text) else "the name of a Key Vault certificate"


def _positive(text: str) -> str | None:
    return None if re.fullmatch(r"[1-9]\d{0,8}", text, re.ASCII) else "a number of bytes"


def _boolean(text: str) -> str | None:
    return None if text.lower() in ("true", "false") else "true or false"
