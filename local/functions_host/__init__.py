"""Hosts `function_app.py` on one machine, like the Azure Functions host and without it.

Serves the HTTP routes, pumps the queues with retries and poison queues, runs the timers. What it does not do
like the real host is listed in `docs/functions-host.md`.
"""
