"""Binds a queue message to the type of a request: the worker refuses to load that function."""

import azure.functions as func

app = func.FunctionApp()


@app.queue_trigger(arg_name="msg", queue_name="work", connection="AzureWebJobsStorage")
def mistaken(msg: func.HttpRequest) -> None:
    del msg
