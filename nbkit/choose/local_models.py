"""The models that run on this machine, as rows of the catalog."""

from __future__ import annotations

import time
from collections.abc import Mapping

import pandas as pd

from nbkit.arguments import check_arguments
from nbkit.choose.frame import build_frame
from nbkit.modelsdev.snapshot import Meta, build
from nbkit.providers.local_servers import find_local_models


@check_arguments
def local_models(ports: Mapping[str, int] | None = None, *, seconds: float = 1.0) -> pd.DataFrame:
    """Find the models that Ollama, LM Studio, llama.cpp and vLLM serve on this machine: catalog rows of cost 0.

    From then on `get_adapter("ollama/llama3.2")` can call them, without a key. The frame is empty where no server
    listens. All servers are asked at once, and each request waits at most `seconds`. `ports` gives the port of a server
    that does not listen on its usual one: `{"vllm": 8001}`; Ollama's may also stand in OLLAMA_HOST. For a server on
    another machine pass `base_url=` to `get_adapter`, and for Ollama `protocol="ollama-chat"` as well.

    Raises ConfigError for an unknown server in `ports`.
    """
    records = find_local_models(ports or {}, seconds)
    return build_frame(build(records, Meta(url="", date=time.strftime("%Y-%m-%d"))))
