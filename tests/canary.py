"""Looks for a secret in all that a session leaves: raw, in other forms, and inside of what is packed."""

from __future__ import annotations

import base64
import gzip
import io
import re
import sqlite3
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

_DEFLATED = re.compile(rb"x[\x01\x5e\x9c\xda]")
_CODED = re.compile(rb"[A-Za-z0-9+/_-]{24,}={0,2}")
_DEPTH = 3


def write_forms(secret: str) -> set[bytes]:
    """Write a secret as it is, as in a URL, in hexadecimal, in UTF-16, and in base64 behind other bytes."""
    data = secret.encode()
    coded = [base64.b64encode(b" " * before + data)[4 if before else 0 : -4] for before in range(3)]
    texts = [*coded, *(one.translate(bytes.maketrans(b"+/", b"-_")) for one in coded)]
    return {data, quote(secret, safe="").encode(), data.hex().encode(), secret.encode("utf-16-le"), *texts}


def unpack(data: bytes, depth: int = _DEPTH) -> Iterator[bytes]:
    """List some bytes, and what is packed in them: gzip, deflate, zip, base64, to a depth of three."""
    yield data
    if not depth:
        return
    inside: list[bytes] = []
    if data.startswith(b"\x1f\x8b"):
        with suppress(OSError, EOFError, zlib.error):
            inside.append(gzip.decompress(data))
    if data.startswith(b"PK\x03\x04"):
        with suppress(zipfile.BadZipFile), zipfile.ZipFile(io.BytesIO(data)) as archive:
            inside += map(archive.read, archive.namelist())
    for match in _DEFLATED.finditer(data):
        with suppress(zlib.error):
            inside.append(zlib.decompressobj().decompress(data[match.start() :], 2**24))
    for match in _CODED.finditer(data):
        for letters in (b"+/", b"-_"):
            with suppress(ValueError):
                inside.append(base64.b64decode(match[0] + b"===", altchars=letters, validate=False))
    for one in inside:
        if len(one) > 12:
            yield from unpack(one, depth - 1)


def holds(data: bytes, secret: str) -> bool:
    """Tell whether a secret is in some bytes."""
    forms = write_forms(secret)
    return any(form in part for part in unpack(data) for form in forms)


def read_file(path: Path) -> bytes:
    """Read a file; of a database also what its rows say, because a long value lies in pieces."""
    data = path.read_bytes()
    if data.startswith(b"SQLite format 3"):
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            data += "\n".join(connection.iterdump()).encode()
    return data


def find_files(folder: Path, secret: str) -> set[str]:
    """Find the files of a folder that hold a secret, and those whose name does."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    held = [path for path in files if holds(path.name.encode(), secret) or holds(read_file(path), secret)]
    return {str(path.relative_to(folder)) for path in held}
