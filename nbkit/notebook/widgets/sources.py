"""The scripts and styles of the widgets: several files of this folder make one module, or one style."""

from __future__ import annotations

import re
import zlib
from base64 import b64encode
from pathlib import Path

_FOLDER = Path(__file__).parent
_LOADER = """
const bytes = Uint8Array.from(atob("PACKED"), (char) => char.charCodeAt(0));
const script = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
const { default: widget } = await import(address);
URL.revokeObjectURL(address);
export default widget;
"""
_STRING = re.compile(r'("[^"]*")')


def read_script(*names: str) -> str:
    """Join scripts to one module, without indentation and lines of comment: each widget's state carries its own."""
    lines = (line.strip() for line in _read(names).splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def pack_script(*names: str) -> str:
    """Join scripts to one module, and deflate it to a third: a small module that inflates and imports it.

    As with every module that is not a file, its address is a Blob's.
    """
    packed = b64encode(zlib.compress(read_script(*names).encode(), 9)).decode()
    return _LOADER.replace("PACKED", packed)


def read_style(*names: str) -> str:
    """Join styles, without comments and the spaces that say nothing."""
    text = re.sub(r"/\*.*?\*/", "", _read(names), flags=re.DOTALL)
    return "".join(part if _STRING.match(part) else _squeeze(part) for part in _STRING.split(text)).strip()


def _squeeze(style: str) -> str:
    style = re.sub(r"\s*([{};,])\s*|\s+", lambda space: space[1] or " ", style)
    return style.replace(": ", ":").replace(";}", "}")


def _read(names: tuple[str, ...]) -> str:
    return "\n".join((_FOLDER / name).read_text("utf-8") for name in names)
