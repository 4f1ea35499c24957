"""Fails while it loads, as a missing dependency does."""

import azure.functions as func

app = func.FunctionApp()
settings: dict[str, str] = {}
missing = settings["no such key"]
