"""Errors in the shape of Entra ID's token endpoint.

https://learn.microsoft.com/entra/identity-platform/reference-error-codes
"""

import uuid
from dataclasses import dataclass
from typing import Any

from local.graph.times import utc_now


@dataclass
class EntraError(Exception):
    """A refusal: HTTP `status`, OAuth `error`, the number of the AADSTS code, and its text."""

    status: int
    error: str
    code: int
    text: str

    def __str__(self) -> str:
        return f"AADSTS{self.code}: {self.text}"

    def body(self, authority: str) -> dict[str, Any]:
        """Return the JSON body, with fresh trace and correlation ids."""
        trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
        stamp = utc_now().strftime("%Y-%m-%d %H:%M:%SZ")
        description = f"{self} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}"
        return {
            "error": self.error,
            "error_description": description,
            "error_codes": [self.code],
            "timestamp": stamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": f"{authority}/error?code={self.code}",
        }


def unknown_tenant(tenant: str) -> EntraError:
    """The tenant of the path does not exist."""
    text = f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID."
    return EntraError(400, "invalid_request", 90002, text)


def unknown_application(client_id: str, tenant: str) -> EntraError:
    """The client id belongs to no application of the tenant."""
    text = f"Application with identifier '{client_id}' was not found in the directory '{tenant}'."
    return EntraError(400, "unauthorized_client", 700016, text)


def wrong_secret(client_id: str) -> EntraError:
    """The client secret is not the application's."""
    text = (
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "
        f"not the client secret ID, for a secret added to app '{client_id}'."
    )
    return EntraError(401, "invalid_client", 7000215, text)


def missing_parameter(name: str) -> EntraError:
    """The form lacks a field."""
    return EntraError(
        400, "invalid_request", 900144, f"The request body must contain the following parameter: '{name}'."
    )


def missing_credential() -> EntraError:
    """The form has neither a secret nor an assertion."""
    text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'."
    return EntraError(401, "invalid_client", 7000218, text)


def wrong_grant(grant: str) -> EntraError:
    """Only client credentials are granted here."""
    return EntraError(400, "unsupported_grant_type", 70003, f"The app requested an unsupported grant type '{grant}'.")


def wrong_scope(scope: str) -> EntraError:
    """Client credentials ask for `{resource}/.default` and nothing else."""
    text = (
        f"The provided value for scope {scope} is not valid. Client credential flows must have a scope value "
        "with /.default suffixed to the resource identifier (application ID URI)."
    )
    return EntraError(400, "invalid_scope", 1002012, text)


def unknown_resource(resource: str, tenant: str) -> EntraError:
    """Nobody in the tenant answers to that resource."""
    text = f"The resource principal named {resource} was not found in the tenant named {tenant}."
    return EntraError(400, "invalid_resource", 500011, text)


def malformed_assertion() -> EntraError:
    """The client assertion is no JWT that a published key signed."""
    return EntraError(401, "invalid_client", 50027, "JWT token is invalid or malformed.")


def expired_assertion() -> EntraError:
    """The client assertion is too old or too young."""
    return EntraError(401, "invalid_client", 700024, "Client assertion is not within its valid time range.")


def unmatched_assertion(what: str, value: object) -> EntraError:
    """No federated credential of the application has that issuer, subject or audience."""
    code = {"issuer": 700211, "audience": 700212, "subject": 700213}[what]
    text = f"No matching federated identity record found for presented assertion {what} '{value}'."
    return EntraError(400, "invalid_request", code, text)
