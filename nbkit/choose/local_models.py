"""The models that run on this machine, as rows of the catalog."""

from __future__ import annotations

import time
from collections.abc import Mapping

import pandas as pd

from nbkit.choose.frame import build_frame
from nbkit.modelsdev.snapshot import Meta, build
from nbkit.providers.local_servers import find_local_models


def local_models(ports: Mapping[str, int] | None = None, *, seconds: float = 1.0) -> pd.DataFrame:
    """The models that Ollama, LM Studio, llama.cpp and vLLM serve on this machine, as catalog rows of cost 0.

    `get_adapter("ollama/llama3.2")` can call them from then on, without a key. `ports` says where a server listens that
    is not on its usual port: `{"vllm": 8001}`; Ollama's may stand in OLLAMA_HOST. All are asked at once, each request
    waits at most `seconds`, and the frame is empty where none listens. For a server on another machine pass
    `base_url=` to `get_adapter`, and for Ollama `protocol="ollama-chat"`. Raises ConfigError for a name in `ports` that
    is none of these servers.
    """
    records = find_local_models(ports or {}, seconds)
    return build_frame(build(records, Meta(url="", date=time.strftime("%Y-%m-%d"))))
