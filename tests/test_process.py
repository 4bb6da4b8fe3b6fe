"""What `serve` does to its process, in one of its own: it is for good."""

import subprocess
import sys

from serving import ask

from exporter.web.process import CYCLES

CODE = """
import gc
from exporter.web.server import listen, run

async def told(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200})
    body = f"{gc.get_threshold()[0]} {gc.get_freeze_count() > 0}"
    await send({"type": "http.response.body", "body": body.encode()})

listening = listen("127.0.0.1:0")
print(listening.getsockname()[1], flush=True)
run(told, listening, lambda: None, None)
"""


def test_what_is_loaded_is_not_searched_for_cycles_and_what_comes_seldom() -> None:
    with subprocess.Popen([sys.executable, "-c", CODE], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            told = ask(f"http://127.0.0.1:{int(process.stdout.readline())}", "/").text
        finally:
            process.terminate()
    assert told.split() == [str(CYCLES), "True"]
    assert process.returncode == 0
