"""``python -m tests.endurance.behind -m MODULE …``: ``python -m MODULE …``, its connections led through the proxy.

``ENDURANCE_DETOUR`` is a JSON object from ports to ports. For a host process that knows nothing of it.
"""

import json
import os
import runpy
import sys

from tests.endurance.worker import detour

if __name__ == "__main__":
    _, module, *arguments = sys.argv[1:]
    sys.argv = [module, *arguments]
    with detour({int(port): to for port, to in json.loads(os.environ["ENDURANCE_DETOUR"]).items()}):
        runpy.run_module(module, run_name="__main__", alter_sys=True)
