import pytest

from shared.core.clouds import CLOUDS, GLOBAL


@pytest.mark.parametrize(
    ("login", "graphs", "audience"),
    [
        ("login.microsoftonline.com", ["graph.microsoft.com"], "api://AzureADTokenExchange"),
        (
            "login.microsoftonline.us",
            ["graph.microsoft.us", "dod-graph.microsoft.us"],
            "api://AzureADTokenExchangeUSGov",
        ),
        ("login.chinacloudapi.cn", ["microsoftgraph.chinacloudapi.cn"], "api://AzureADTokenExchangeChina"),
        ("login.partner.microsoftonline.cn", ["microsoftgraph.chinacloudapi.cn"], "api://AzureADTokenExchangeChina"),
    ],
)
def test_each_cloud_has_its_own_graph_and_its_own_audience(login: str, graphs: list[str], audience: str) -> None:
    cloud = CLOUDS[login]

    assert list(cloud.graph_endpoints) == [f"https://{graph}" for graph in graphs]
    assert cloud.exchange_audience == audience


def test_the_table_has_no_cloud_that_is_not_tested_here() -> None:
    assert len(CLOUDS) == 4
    assert GLOBAL is CLOUDS["login.microsoftonline.com"]


def test_no_graph_belongs_to_two_clouds() -> None:
    clouds = set(CLOUDS.values())
    endpoints = [endpoint for cloud in clouds for endpoint in cloud.graph_endpoints]

    assert len(endpoints) == len(set(endpoints)) == 4
