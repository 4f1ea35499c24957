"""An app with one function for each thing that a host must do right; what they saw goes to the queue `%SEEN%`."""

import asyncio
import json
import logging
import threading
import time
from http import HTTPStatus
from typing import List  # noqa: UP035 - the worker does not know list[str]

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
STORAGE = "AzureWebJobsStorage"


@app.route(route="open", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def open_to_all(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.params.get("validationToken", ""), mimetype="text/plain")


@app.route(route="keyed", methods=["GET"])
async def keyed(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.method)


@app.route(route="admin-only", methods=["GET"], auth_level=func.AuthLevel.ADMIN)
async def admin_only(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.method)


@app.route(route="request/{name}/{number:int?}", auth_level=func.AuthLevel.ANONYMOUS)
def show_request(req: func.HttpRequest) -> func.HttpResponse:
    seen = {
        "method": req.method,
        "url": req.url,
        "headers": dict(req.headers),
        "query": dict(req.params),
        "route": dict(req.route_params),
        "body": req.get_body().hex(),
    }
    return func.HttpResponse(json.dumps(seen), mimetype="application/json")


@app.route(route="files/{*path}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def files(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.route_params.get("path", "nothing"))


@app.route(route="echo", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
async def echo(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.get_body(), mimetype="application/octet-stream")


@app.route(route="length", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
def length(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(str(len(req.get_body())))


@app.route(route="answer", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def answer(req: func.HttpRequest) -> func.HttpResponse:
    headers = {"Retry-After": "7", "Set-Cookie": "a=1; Path=/"}
    return func.HttpResponse(status_code=int(req.params["status"]), headers=headers)


@app.route(route="fail", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def fail(req: func.HttpRequest) -> func.HttpResponse:
    raise RuntimeError(f"on purpose: {req.method}")


@app.route(route="fail-async", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def fail_async(req: func.HttpRequest) -> func.HttpResponse:
    raise RuntimeError(f"on purpose: {req.method}")


@app.route(route="bare", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def bare(req: func.HttpRequest) -> str:
    return str(req.method)


@app.route(route="slow", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def slow(req: func.HttpRequest) -> func.HttpResponse:
    time.sleep(float(req.params["seconds"]))
    return func.HttpResponse("slept")


@app.route(route="slow-async", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def slow_async(req: func.HttpRequest) -> func.HttpResponse:
    await asyncio.sleep(float(req.params["seconds"]))
    return func.HttpResponse("slept")


@app.route(route="thread", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def thread(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(f"{req.method} {threading.current_thread() is threading.main_thread()}")


@app.route(route="context", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
async def with_context(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    logging.info("the app logs in %s", context.function_name)
    return func.HttpResponse(f"{req.method} {context.function_name} {context.invocation_id}")


@app.route(route="enqueue", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@app.queue_output(arg_name="out", queue_name="%WORK%", connection=STORAGE)
def enqueue(req: func.HttpRequest, out: func.Out[str]) -> func.HttpResponse:
    out.set(req.get_body().decode())
    return func.HttpResponse(status_code=HTTPStatus.ACCEPTED)


@app.route(route="enqueue-many", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@app.queue_output(arg_name="out", queue_name="%SEEN%", connection=STORAGE)
def enqueue_many(req: func.HttpRequest, out: func.Out[List[str]]) -> func.HttpResponse:  # noqa: UP006 - as above
    out.set(req.get_body().decode().split(","))
    return func.HttpResponse(status_code=HTTPStatus.ACCEPTED)


@app.route(route="enqueue-nowhere", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@app.queue_output(arg_name="out", queue_name="anything", connection="HANGING_STORAGE")
async def enqueue_nowhere(req: func.HttpRequest, out: func.Out[bytes]) -> func.HttpResponse:
    out.set(req.get_body())
    return func.HttpResponse(status_code=HTTPStatus.ACCEPTED)


@app.queue_trigger(arg_name="msg", queue_name="%WORK%", connection=STORAGE)
@app.queue_output(arg_name="seen", queue_name="%SEEN%", connection=STORAGE)
def work(msg: func.QueueMessage, seen: func.Out[str]) -> None:
    """The text says what to do: `fail...` raises, `slow...` takes two seconds."""
    text = msg.get_body().decode()
    if text.startswith("fail"):
        raise RuntimeError(f"on purpose, try {msg.dequeue_count}")
    if text.startswith("slow"):
        time.sleep(2)
    inserted = msg.insertion_time.isoformat() if msg.insertion_time else None
    seen.set(json.dumps({"text": text, "count": msg.dequeue_count, "id": msg.id, "inserted": inserted}))


@app.queue_trigger(arg_name="msg", queue_name="%WORK%-async", connection=STORAGE)
@app.queue_output(arg_name="seen", queue_name="%SEEN%", connection=STORAGE)
async def work_async(msg: func.QueueMessage, seen: func.Out[str]) -> None:
    """Waits as many seconds as the text says."""
    await asyncio.sleep(float(msg.get_body().decode()))
    seen.set(json.dumps({"text": msg.get_body().decode(), "count": msg.dequeue_count}))


@app.timer_trigger(arg_name="timer", schedule="%TICK%", use_monitor=False)
@app.queue_output(arg_name="seen", queue_name="%SEEN%", connection=STORAGE)
async def tick(timer: func.TimerRequest, seen: func.Out[str]) -> None:
    seen.set(json.dumps({"text": "tick", "past_due": timer.past_due}))


@app.timer_trigger(arg_name="timer", schedule="%NOT_SET%", use_monitor=False)
@app.queue_output(arg_name="seen", queue_name="%SEEN%", connection=STORAGE)
def tock(timer: func.TimerRequest, seen: func.Out[str]) -> None:
    seen.set(json.dumps({"text": "tock", "past_due": timer.past_due}))
