"""A LiteLLM proxy on 127.0.0.1; behind it the simulated provider, as if it were OpenAI, Anthropic and Google."""

import os
import socket
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from nbkit.demo import server

PROGRAM = os.environ.get("NBKIT_TEST_LITELLM", "")
KEY = "sk-canary-0123456789abcdef"
CONFIG = Path(__file__).parent / "proxy.yaml"


def find_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def run_proxy():
    """Run the proxy until the block is left; the block begins when it serves."""
    upstream, port = server.base_url(), find_port()
    environment = os.environ | {
        "UPSTREAM": upstream,
        "UPSTREAM_ROOT": upstream.removesuffix("/v1"),
        "UPSTREAM_GEMINI": f"{upstream}beta",
        "PROXY_KEY": KEY,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else it asks GitHub for prices
        "DISABLE_ADMIN_UI": "True",
    }
    program = subprocess.Popen(
        [PROGRAM, "--config", CONFIG, "--host", "127.0.0.1", "--port", str(port)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    lines = []
    try:
        for line in program.stdout:
            lines.append(line)
            if "Uvicorn running" in line:
                break
        else:
            pytest.fail("the proxy did not start:\n" + "".join(lines[-40:]))
        reader = threading.Thread(target=lines.extend, args=(program.stdout,))  # a full pipe would stop it
        reader.start()
        yield f"http://127.0.0.1:{port}"
        program.terminate()
        reader.join()
    finally:
        program.kill()
        program.wait()
        program.stdout.close()
