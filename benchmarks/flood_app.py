"""The app's webhook alone, and beside it the least that a webhook could do: both in one host, flooded in turn.

``/api/bare`` lets the host read the body and answers 403 without a look. What a flood of it does to genuine posts is
the machine's and the host's doing; what a flood of ``/api/notifications`` does beyond that is ours.
Nothing reads the queue, so that no worker is in the figures.
"""

from functools import partial

import azure.functions as func

from shared import wiring
from shared.adapters import functions_http

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route("notifications", methods=["POST"])
@app.queue_output("doorbell", "notifications", "AzureWebJobsStorage")
async def receive_notifications(req: func.HttpRequest, doorbell: func.Out[str]) -> func.HttpResponse:
    """As ``function_app.py`` has it."""
    return await functions_http.receive(req, doorbell, partial(wiring.receiving().receive, "notifications"))


@app.route("bare", methods=["POST"])
async def bare(req: func.HttpRequest) -> func.HttpResponse:
    """403, whatever it is."""
    req.get_body()
    return func.HttpResponse(status_code=403)
