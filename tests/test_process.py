"""What `serve` does to its process, in one of its own: it is for good."""

import subprocess
import sys

from serving import ask

from exporter.web.process import GC_THRESHOLD

CODE = """
import asyncio
import gc
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 200))
from exporter.web.server import listen, run

async def told(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200})
    body = f"{gc.get_threshold()[0]} {gc.get_freeze_count() > 0} {resource.getrlimit(resource.RLIMIT_NOFILE)[0]}"
    await send({"type": "http.response.body", "body": body.encode()})

listening = listen("127.0.0.1:0")
print(listening.getsockname()[1], flush=True)
run(told, listening, lambda: None, None, asyncio.Event(), lambda: None)
"""


def test_the_garbage_collector_runs_seldom_and_the_descriptors_are_as_many_as_allowed() -> None:
    with subprocess.Popen([sys.executable, "-c", CODE], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            told = ask(f"http://127.0.0.1:{int(process.stdout.readline())}", "/").text
        finally:
            process.terminate()
            process.communicate(timeout=10)
    assert told.split() == [str(GC_THRESHOLD), "True", "200"]
    assert process.returncode == 0
