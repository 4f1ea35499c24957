"""Microsoft's clouds: which Graph and which token exchange belong to which login endpoint.

https://learn.microsoft.com/graph/deployments,
https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity for the
audiences. A cloud that is not in the table, such as a simulated one, names its own Graph, and exchanges
tokens as the global one does.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MicrosoftCloud:
    """One cloud. The first Graph endpoint is its default."""

    graph_endpoints: tuple[str, ...]
    exchange_audience: str


GLOBAL = MicrosoftCloud(("https://graph.microsoft.com",), "api://AzureADTokenExchange")
_US_GOVERNMENT = MicrosoftCloud(
    ("https://graph.microsoft.us", "https://dod-graph.microsoft.us"), "api://AzureADTokenExchangeUSGov"
)
_CHINA = MicrosoftCloud(("https://microsoftgraph.chinacloudapi.cn",), "api://AzureADTokenExchangeChina")

CLOUDS: Mapping[str, MicrosoftCloud] = {
    "login.microsoftonline.com": GLOBAL,
    "login.microsoftonline.us": _US_GOVERNMENT,
    "login.chinacloudapi.cn": _CHINA,
    "login.partner.microsoftonline.cn": _CHINA,
}
