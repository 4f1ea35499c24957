"""The triggers, in the order in which data meets them. What each does is in ``shared/flows``."""

from functools import partial

import azure.functions as func

from shared import wiring
from shared.adapters import dashboard as dashboard_page
from shared.adapters import functions_http

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.route("notifications", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@app.queue_output("doorbell", "notifications", "AzureWebJobsStorage")
async def receive_notifications(req: func.HttpRequest, doorbell: func.Out[str]) -> func.HttpResponse:
    """Graph posts change notifications, or probes the URL."""
    return await functions_http.receive(req, doorbell, partial(wiring.receiving().receive, "notifications"))


@app.route("lifecycle", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@app.queue_output("doorbell", "lifecycle", "AzureWebJobsStorage")
async def receive_lifecycle_notifications(req: func.HttpRequest, doorbell: func.Out[str]) -> func.HttpResponse:
    """Graph posts lifecycle notifications, or probes the URL."""
    return await functions_http.receive(req, doorbell, partial(wiring.receiving().receive, "lifecycle"))


@app.queue_trigger("doorbell", "notifications", "AzureWebJobsStorage")
def store_notifications(doorbell: func.QueueMessage) -> None:
    """A post waits in the inbox: verify, decrypt, archive, clear."""
    wiring.storing().store(doorbell.get_body().decode())


@app.queue_trigger("doorbell", "lifecycle", "AzureWebJobsStorage")
def handle_lifecycle_notifications(doorbell: func.QueueMessage) -> None:
    """Graph hints at something: look at the subscription, and act on what Graph says."""
    wiring.heeding().handle(doorbell.get_body().decode())


@app.queue_trigger("window", "exports", "AzureWebJobsStorage")
async def export_window(window: func.QueueMessage) -> None:
    """One user's window is due: page, archive, then move the checkpoint."""
    await wiring.exporters().run(lambda: wiring.exporting().run(window.get_body().decode()))


@app.timer_trigger("timer", "%RENEW_SCHEDULE%")
def renew_subscriptions(timer: func.TimerRequest) -> None:
    """Make Graph's subscriptions agree with the desired ones."""
    wiring.reconciling().reconcile()


@app.timer_trigger("timer", "%EXPORT_SCHEDULE%")
def plan_exports(timer: func.TimerRequest) -> None:
    """Put the due export windows on the queue."""
    wiring.planning().plan_exports()


@app.timer_trigger("timer", "%SWEEP_SCHEDULE%")
def sweep_inbox(timer: func.TimerRequest) -> None:
    """Ring again for posts that are still in the inbox; then tell how things are."""
    wiring.tending().tend()


@app.route("dead-letters/replay", methods=["POST"])
def replay_dead_letters(req: func.HttpRequest) -> func.HttpResponse:
    """An operator has dead letters tried again: all, or those of one reason."""
    return functions_http.replay(req, wiring.replaying().replay)


@app.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """A load balancer asks whether posts can be kept now."""
    return await functions_http.health(lambda: wiring.receiving().inbox.check())  # noqa: PLW0108 - settings may be bad


@app.route("dashboard", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def dashboard(req: func.HttpRequest) -> func.HttpResponse:
    """A page without data, which asks for the function key and reads the status with it."""
    return dashboard_page.dashboard()


@app.route("status", methods=["GET"])
def status(req: func.HttpRequest) -> func.HttpResponse:
    """An operator asks what waits, what is dead, and until when the certificate is good."""
    return functions_http.status(lambda: wiring.reporting().status())
