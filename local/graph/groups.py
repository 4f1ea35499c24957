"""The people of a group: its own, and those of the groups in it.

https://learn.microsoft.com/graph/api/group-list-members and
https://learn.microsoft.com/graph/api/group-list-transitivemembers
"""

from local.graph import directory_query
from local.graph.directory import Directory
from local.graph.directory_query import Pages
from local.graph.gateway import Operation, operation
from local.graph.graph_request import GraphAnswer, GraphRequest
from local.graph.subscription_rules import Caller
from local.graph.users import shown

ROLES = frozenset(
    {
        "GroupMember.Read.All",
        "GroupMember.ReadWrite.All",
        "Group.Read.All",
        "Group.ReadWrite.All",
        "Directory.Read.All",
        "Directory.ReadWrite.All",
    }
)
_OPTIONS = frozenset({"$count", "$select", "$top", "$skiptoken"})
_PATH = r"/groups/(?P<id>[^/]+)/(?P<which>members|transitiveMembers)/microsoft\.graph\.user"


class GroupsApi:
    """The operations; members that are no people are not asked for."""

    def __init__(self, directory: Directory, *, graph_endpoint: str) -> None:
        self._directory = directory
        self._graph_endpoint = graph_endpoint

    def operations(self) -> list[Operation]:
        """Return what the gateway is to serve."""
        return [operation("GROUPS", "GET", _PATH, self._members)]

    async def _members(self, request: GraphRequest, caller: Caller) -> GraphAnswer:
        directory_query.check_role(caller, ROLES)
        directory_query.check_options(request.query, _OPTIONS)
        transitive = request.matched["which"].lower() == "transitivemembers"
        if transitive and not directory_query.is_advanced(request):
            message = "A cast of transitiveMembers is supported only with ConsistencyLevel eventual and $count=true."
            raise directory_query.unsupported(message)
        counted = directory_query.check_count(request)
        name = request.matched["id"]
        members = self._directory.members(name, transitive=transitive)
        if members is None:
            raise directory_query.missing(name)
        path = f"groups/{name}/{request.matched['which']}/microsoft.graph.user"
        return Pages(self._graph_endpoint, path, "users").answer(request, members, shown, counted=counted)
