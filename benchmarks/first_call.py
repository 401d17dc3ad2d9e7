"""A fresh process: the import of each library, and the import with the first call. The SDK is openai.

The baseline is what people write. The server has no TLS, but a bare `httpx2.post` loads the certificates all the same,
about a third of its CPU; nbkit loads them where a server needs them.
"""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.libraries import BARE, KEY, LITELLM, ON_AIOHTTP, ON_HTTPX2, SDK, is_module
from benchmarks.runner import Fresh, Row, make_row, take_turns
from benchmarks.server import running_server
from benchmarks.wires import WIRES, WORDS, make_words

_SETUP = """
import os
os.environ |= {{"NBKIT_HTTP_ENGINE": {engine!r}, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}}
root, body, key = {root!r}, {body!r}, {key!r}
"""
_CHECK = "\nif text != {text!r}: raise RuntimeError(text)"
_NBKIT = """
import nbkit
adapter = nbkit.get_adapter("openai/gpt-4o-mini", base_url=f"{root}/v1", protocol="openai-chat", api_key=key)
"""
_IMPORTS = {
    BARE: "import httpx2, json",
    ON_HTTPX2: "import nbkit",
    SDK: "import openai",
    "anthropic": "import anthropic",
    "google-genai": "from google import genai",
    "cohere": "import cohere",
    LITELLM: "import litellm",
}
_MODULES = {  # what is installed under another name than its column
    BARE: "httpx2",
    ON_HTTPX2: "nbkit",
    ON_AIOHTTP: "aiohttp",
    SDK: "openai",
    "google-genai": "google.genai",
}
_FIRST = {
    BARE: """
import httpx2, json
answer = json.loads(httpx2.post(f"{root}/v1/chat/completions", json=body).content)
text = answer["choices"][0]["message"]["content"]
""",
    ON_HTTPX2: _NBKIT + "text = adapter.execute('Hi').text",
    SDK: """
import openai
client = openai.OpenAI(base_url=f"{root}/v1", api_key=key, max_retries=0)
text = client.chat.completions.create(**body).choices[0].message.content
""",
    "anthropic": """
import anthropic
client = anthropic.Anthropic(base_url=root, api_key=key, max_retries=0)
text = client.messages.create(model="claude-haiku-4-5", messages=body["messages"], max_tokens=100).content[0].text
""",
    "google-genai": """
from google import genai
client = genai.Client(api_key=key, http_options={"base_url": root, "api_version": "v1beta"})
text = client.models.generate_content(model="gemini-2.5-flash", contents="Hi").text
""",
    "cohere": """
import cohere
client = cohere.ClientV2(base_url=root, api_key=key, max_retries=0)
text = client.chat(model="command-a-03-2025", messages=body["messages"]).message.content[0].text
""",
    LITELLM: """
import litellm
answer = litellm.completion("openai/gpt-4o-mini", body["messages"], api_base=f"{root}/v1", api_key=key, max_retries=0)
text = answer.choices[0].message.content
""",
}
_AFIRST = {
    BARE: """
import asyncio, httpx2, json
async def main():
    async with httpx2.AsyncClient(verify=False) as client:
        answer = json.loads((await client.post(f"{root}/v1/chat/completions", json=body)).content)
        return answer["choices"][0]["message"]["content"]
text = asyncio.run(main())
""",
    ON_HTTPX2: "import asyncio" + _NBKIT + "text = asyncio.run(adapter.aexecute('Hi')).text",
    ON_AIOHTTP: "import asyncio" + _NBKIT + "text = asyncio.run(adapter.aexecute('Hi')).text",
}


def measure(rounds: int) -> Iterator[Row]:
    """Measure each in new processes."""
    with running_server() as root:
        subjects = (("import", _IMPORTS, ""), ("first call", _FIRST, "1.3"), ("first async call", _AFIRST, ""))
        for what, codes, aim in subjects:
            check = "" if codes is _IMPORTS else _CHECK.format(text="".join(make_words(WORDS)))
            works = {
                library: Fresh(code + check, _write_setup(library, root))
                for library, code in codes.items()
                if is_module(_MODULES.get(library, library))
            }
            yield make_row(what, BARE, take_turns(works, rounds, seconds=1.5, warm_up=False), aim=aim)


def _write_setup(library: str, root: str) -> str:
    engine = "aiohttp" if library == ON_AIOHTTP else "httpx2"
    body = WIRES["openai-chat"].body
    return _SETUP.format(engine=engine, root=f"{root}/10x0", body=body, key=KEY)
