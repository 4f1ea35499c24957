"""Who calls Microsoft Graph: the access token, judged as Graph judges it.

https://learn.microsoft.com/graph/auth/auth-concepts#access-tokens
"""

from collections.abc import Mapping
from typing import Any

import jwt

from local.graph.entra import Entra
from local.graph.graph_errors import unauthenticated
from local.graph.subscription_rules import Caller


class Callers:
    """Reads `Authorization` headers."""

    def __init__(self, entra: Entra) -> None:
        self._entra = entra

    def identify(self, headers: Mapping[str, str]) -> Caller:
        """Return the application that a request's token was issued for.

        Its roles are those of the token that an administrator still consents to: a token from before a revocation
        helps no more, one from before a grant not yet.

        Raises:
            GraphError: 401.
        """
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise unauthenticated("Access token is empty.")
        try:
            claims = self._entra.claims_of(token.strip())
        except jwt.ExpiredSignatureError as error:
            raise unauthenticated("Lifetime validation failed, the token is expired.") from error
        except (jwt.InvalidTokenError, UnicodeError) as error:  # bytes that are no text arrive as surrogates
            raise unauthenticated("Access token validation failure.") from error
        if not self._entra.is_graph(claims["aud"]):
            raise unauthenticated("Access token validation failure. Invalid audience.")
        return self._caller(claims)

    def _caller(self, claims: Mapping[str, Any]) -> Caller:
        application = self._entra.application(str(claims.get("appid")))
        if application is None:
            raise unauthenticated("Access token validation failure. Unknown application.")
        return Caller(str(claims["tid"]), application, frozenset(claims.get("roles", ())) & application.roles)
