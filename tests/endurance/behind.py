"""``python -m tests.endurance.behind -m MODULE …``: ``python -m MODULE …``, behind the proxy and by another clock.

``ENDURANCE_DETOUR`` is a JSON object from ports to ports, ``ENDURANCE_CLOCK`` the file of a dial. For a host process
that knows nothing of it. What is imported here is little: the host starts often, and must not be slower for it.
"""

import json
import os
import runpy
import sys
from pathlib import Path

from tests.endurance.clocks import follow
from tests.endurance.detour import detour

if __name__ == "__main__":
    _, module, *arguments = sys.argv[1:]
    sys.argv = [module, *arguments]
    follow(Path(os.environ["ENDURANCE_CLOCK"]))
    with detour({int(port): to for port, to in json.loads(os.environ["ENDURANCE_DETOUR"]).items()}):
        runpy.run_module(module, run_name="__main__", alter_sys=True)
