"""Logos as pictures that can be shown anywhere: strangers' SVG rebuilt from an allow-list, or a letter on a tile.

A picture is an `<img>` with a `data:` URL. There no browser runs scripts or loads anything, and it survives sanitizers
and saved notebooks; but the page's colors do not reach it. So a logo of one shade, as models.dev asks for (black,
white, `currentColor`), is drawn in a grey that can be read on white and on JupyterLab's dark, and any other stands on a
white tile of its own.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from functools import lru_cache
from xml.etree import ElementTree
from xml.etree.ElementTree import Element
from zlib import crc32

INK = "#787878"  # 4.4:1 on white, 4.3:1 on #111
TILE_COLORS = ("#356fb8", "#b3541e", "#2a7d4f", "#b8433e", "#7f5bb5", "#8a6142", "#b0468a", "#6f7a16", "#187a86")
"""Of letter tiles: at least 4.5:1 below a white letter, 3:1 on JupyterLab's dark."""
MAX_LENGTH = 6 << 10  # of a rebuilt logo: a table repeats it in each row
_MAX_DEPTH = 24
_DARK, _LIGHT, _COLORED = "dark", "light", "colored"

_SVG, _XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
_SHAPES = {"path", "circle", "rect", "ellipse", "line", "polyline", "polygon"}
_STENCILS = {"clipPath", "mask"}  # their colors are not seen
_ELEMENTS = _SHAPES | _STENCILS | {"svg", "g", "defs", "linearGradient", "radialGradient", "stop"}
_UNSEEN = {"title", "desc", "metadata"}
_ATTRIBUTES = set(
    """
    id d points x y x1 y1 x2 y2 cx cy r rx ry fx fy width height viewBox preserveAspectRatio transform
    fill fill-opacity fill-rule stroke stroke-width stroke-opacity stroke-linecap stroke-linejoin stroke-miterlimit
    opacity clip-path clip-rule clipPathUnits mask mask-type maskUnits maskContentUnits color display visibility
    href offset stop-color stop-opacity gradientUnits gradientTransform spreadMethod
    """.split()  # noqa: SIM905 - one literal a word would fill a page
)
# No quotes, colons, slashes or escapes, and url() of nothing but an id in the same file.
_VALUE = re.compile(r"(?!.*url\(\s*[^\s#])[\w\s.,()%+#-]*", re.ASCII | re.DOTALL | re.IGNORECASE)
_NUMBER = re.compile(r"\s*(\d{1,5}(?:\.\d+)?)(?:px)?\s*")
_DECLARATION = re.compile(r"<!(?!--|\[CDATA\[)")  # <!DOCTYPE, <!ENTITY: nothing to expand


@lru_cache(256)
def picture(provider: str, logo: bytes | None) -> str:
    """A `data:` URL: the logo where there is one that can be shown, a letter tile otherwise."""
    svg = (logo and rebuilt(logo)) or letter_tile(provider)
    return f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"


def letter_tile(provider: str) -> str:
    """The first letter of a provider's id on a color that comes from the id."""
    letter = next((character.upper() for character in provider if character.isalnum()), "?")
    color = TILE_COLORS[crc32(provider.encode()) % len(TILE_COLORS)]
    return (
        f'<svg xmlns="{_SVG[1:-1]}" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="{color}"/>'
        '<text x="16" y="23.5" text-anchor="middle" fill="#fff" font-family="system-ui,sans-serif" font-weight="600" '
        f'font-size="21">{letter}</text></svg>'
    )


def rebuilt(logo: bytes) -> str | None:
    """A stranger's SVG, drawn anew with what the allow-list has; None where that would not show the logo.

    Scripts, style sheets, pictures, texts, references and any other element it does not know make the whole logo None;
    attributes are left out one by one.
    """
    try:
        source = logo.decode("utf-8-sig")
        if _DECLARATION.search(source):
            return None
        root = _copy(ElementTree.fromstring(source))  # noqa: S314 - without declarations there is no entity
    except (ValueError, ElementTree.ParseError):
        return None
    if root.tag != "svg" or not (box := _view_box(root)):
        return None
    shades = set(_shades(root, "#000", "none"))
    single = len(shades) == 1 and _COLORED not in shades
    if single:
        _use_current_color(root)
        root.attrib.setdefault("fill", "currentColor")
    for name in ("width", "height", "x", "y", "href"):
        root.attrib.pop(name, None)
    root.attrib.update(viewBox=box, color=INK if single else "#1f2328")
    drawn = ElementTree.tostring(root if single else _on_white(root), encoding="unicode")
    drawn = drawn.replace("<svg", f'<svg xmlns="{_SVG[1:-1]}"', 1)
    return drawn if shades and len(drawn) <= MAX_LENGTH else None


def _copy(source: Element, depth: int = 0) -> Element:
    """The element and what is in it, as far as the allow-list goes. Raises ValueError for what it does not know."""
    tag = source.tag.removeprefix(_SVG)
    if tag not in _ELEMENTS or depth > _MAX_DEPTH:
        raise ValueError(tag)
    copy = Element(tag, dict(_attributes(source)))
    for child in source:
        if child.tag.removeprefix(_SVG) not in _UNSEEN and not _foreign(child.tag):
            copy.append(_copy(child, depth + 1))
    return copy


def _foreign(tag: str) -> bool:
    """Whether an element is of another vocabulary: drawing programs leave notes of their own."""
    return tag.removeprefix(_SVG).startswith("{")


def _attributes(source: Element) -> Iterator[tuple[str, str]]:
    declared = (declaration.partition(":") for declaration in source.get("style", "").split(";"))
    said = {**source.attrib, **{name.strip(): value.strip() for name, _, value in declared}}
    said["href"] = said.get("href", said.get(f"{_XLINK}href", ""))
    for name, value in said.items():
        if name in _ATTRIBUTES and _VALUE.fullmatch(value) and (name != "href" or value.startswith("#")):
            # Three decimals are finer than any screen shows a logo.
            yield name, re.sub(r"(\.\d{3})\d+", r"\1", value) if name in ("d", "points") else value


def _shade(paint: str) -> str | None:
    """Dark, light or colored; None where nothing is painted."""
    paint = {"black": "#000", "white": "#fff", "currentcolor": "#000"}.get(paint.lower(), paint.lower())
    if paint in ("none", "transparent"):
        return None
    if not re.fullmatch("#[0-9a-f]{3}|#[0-9a-f]{6}", paint):
        return _COLORED
    width = len(paint) // 3
    parts = [int((paint[1 + place * width :][:width] * 2)[:2], 16) for place in range(3)]
    return _COLORED if max(parts) - min(parts) > 24 else _DARK if max(parts) < 128 else _LIGHT


def _shades(element: Element, fill: str, stroke: str) -> Iterator[str]:
    """The shades of all shapes that are seen, with the fill and stroke that they inherit."""
    fill, stroke = element.get("fill", fill), element.get("stroke", stroke)
    if element.tag in _SHAPES:
        yield from filter(None, map(_shade, (fill, stroke)))
    for child in element:
        if child.tag not in _STENCILS | {"defs"}:
            yield from _shades(child, fill, stroke)


def _use_current_color(element: Element) -> None:
    for name in ("fill", "stroke"):
        if _shade(element.get(name, "none")):
            element.set(name, "currentColor")
    for child in element:
        if child.tag not in _STENCILS:
            _use_current_color(child)


def _view_box(root: Element) -> str | None:
    """The part of the plane to show: as it says, else its width and height."""
    if "viewBox" in root.attrib:
        return root.attrib["viewBox"]
    sizes = [_NUMBER.fullmatch(root.get(name, "")) for name in ("width", "height")]
    return "0 0 " + " ".join(size[1] for size in sizes if size) if all(sizes) else None


def _on_white(logo: Element) -> Element:
    tile = Element("svg", viewBox="0 0 32 32")
    tile.append(Element("rect", width="32", height="32", rx="6", fill="#fff"))
    logo.attrib.update(x="3", y="3", width="26", height="26")
    tile.append(logo)
    return tile
