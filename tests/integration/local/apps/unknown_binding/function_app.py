"""Uses a trigger that the local host does not offer."""

import azure.functions as func

app = func.FunctionApp()


@app.blob_trigger(arg_name="blob", path="inbox/{name}", connection="AzureWebJobsStorage")
def on_blob(blob: func.InputStream) -> None:
    del blob
