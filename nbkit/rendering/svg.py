"""Logos as images that can be shown anywhere: untrusted SVG rebuilt from an allow-list, or a letter on a tile.

The image is a `data:` URL for an `<img>`, in which browsers neither run scripts nor load anything; it survives
sanitizers and saved notebooks. But the page's colors do not apply in it. So a logo of a single shade, as models.dev
requires (black, white, `currentColor`), is drawn in a gray that is readable on white and on JupyterLab's dark
background; any other logo gets a white tile.
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
"""Colors of letter tiles: a contrast of at least 4.5:1 with a white letter, 3:1 with JupyterLab's dark background."""
MAX_LENGTH = 6 << 10
"""Characters of a rebuilt logo: a table repeats it in each row."""
_MAX_DEPTH = 24
_DARK, _LIGHT, _COLORED = "dark", "light", "colored"

_SVG, _XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
_SHAPES = {"path", "circle", "rect", "ellipse", "line", "polyline", "polygon"}
_STENCILS = {"clipPath", "mask"}  # their colors are not visible
_ELEMENTS = _SHAPES | _STENCILS | {"svg", "g", "defs", "linearGradient", "radialGradient", "stop"}
_INVISIBLE = {"title", "desc", "metadata"}
_ATTRIBUTES = set(
    """
    id d points x y x1 y1 x2 y2 cx cy r rx ry fx fy width height viewBox preserveAspectRatio transform
    fill fill-opacity fill-rule stroke stroke-width stroke-opacity stroke-linecap stroke-linejoin stroke-miterlimit
    opacity clip-path clip-rule clipPathUnits mask mask-type maskUnits maskContentUnits color display visibility
    href offset stop-color stop-opacity gradientUnits gradientTransform spreadMethod
    """.split()  # noqa: SIM905 - one literal a word would fill a page
)
# No quotes, colons, slashes or escapes, and url() only with an id in the same file.
_VALUE = re.compile(r"(?!.*url\(\s*[^\s#])[\w\s.,()%+#-]*", re.ASCII | re.DOTALL | re.IGNORECASE)
_NUMBER = re.compile(r"\s*(\d{1,5}(?:\.\d+)?)(?:px)?\s*")
_DECLARATION = re.compile(r"<!(?!--|\[CDATA\[)")  # <!DOCTYPE, <!ENTITY: without them no entity expands


@lru_cache(256)
def draw_logo(provider: str, logo: bytes | None) -> str:
    """Return a `data:` URL of the logo if it can be shown, else of a letter tile."""
    svg = (logo and rebuild(logo)) or draw_tile(provider)
    return f"data:image/svg+xml;base64,{b64encode(svg.encode()).decode()}"


def draw_tile(provider: str) -> str:
    """Draw the first letter of a provider's id on a color that follows from the id."""
    letter = next((character.upper() for character in provider if character.isalnum()), "?")
    color = TILE_COLORS[crc32(provider.encode(errors="backslashreplace")) % len(TILE_COLORS)]
    return (
        f'<svg xmlns="{_SVG[1:-1]}" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="{color}"/>'
        '<text x="16" y="23.5" text-anchor="middle" fill="#fff" font-family="system-ui,sans-serif" font-weight="600" '
        f'font-size="21">{letter}</text></svg>'
    )


def rebuild(logo: bytes) -> str | None:
    """Build an untrusted SVG again from the allow-list; None if the result would not show the logo.

    Any element that is not on the list (scripts, style sheets, images, texts, references ...) refuses the whole logo;
    attributes that are not on the list are left out.
    """
    try:
        source = logo.decode("utf-8-sig")
        if _DECLARATION.search(source):
            return None
        root = _copy(ElementTree.fromstring(source))  # noqa: S314 - no declarations, so no entities
    except (ValueError, ElementTree.ParseError):
        return None
    if root.tag != "svg" or not (box := _find_view_box(root)):
        return None
    shades = set(_list_shades(root, "#000", "none"))
    single = len(shades) == 1 and _COLORED not in shades
    if single:
        _use_current_color(root)
        root.attrib.setdefault("fill", "currentColor")
    for name in ("width", "height", "x", "y", "href"):
        root.attrib.pop(name, None)
    root.attrib.update(viewBox=box, color=INK if single else "#1f2328")
    svg = ElementTree.tostring(root if single else _put_on_white(root), encoding="unicode")
    svg = svg.replace("<svg", f'<svg xmlns="{_SVG[1:-1]}"', 1)
    return svg if shades and len(svg) <= MAX_LENGTH else None


def _copy(source: Element, depth: int = 0) -> Element:
    """Copy an element and its children by the allow-list. Raises ValueError for an element that is not on it."""
    tag = source.tag.removeprefix(_SVG)
    if tag not in _ELEMENTS or depth > _MAX_DEPTH:
        raise ValueError(tag)
    copy = Element(tag, dict(_filter_attributes(source)))
    for child in source:
        if child.tag.removeprefix(_SVG) not in _INVISIBLE and not _is_foreign(child.tag):
            copy.append(_copy(child, depth + 1))
    return copy


def _is_foreign(tag: str) -> bool:
    """Tell whether an element has another namespace: drawing programs leave notes in their own."""
    return tag.removeprefix(_SVG).startswith("{")


def _filter_attributes(source: Element) -> Iterator[tuple[str, str]]:
    declared = (declaration.partition(":") for declaration in source.get("style", "").split(";"))
    values = {**source.attrib, **{name.strip(): value.strip() for name, _, value in declared}}
    values["href"] = values.get("href", values.get(f"{_XLINK}href", ""))
    for name, value in values.items():
        if name in _ATTRIBUTES and _VALUE.fullmatch(value) and (name != "href" or value.startswith("#")):
            # Three decimals are finer than a screen shows a logo.
            yield name, re.sub(r"(\.\d{3})\d+", r"\1", value) if name in ("d", "points") else value


def _classify(paint: str) -> str | None:
    """Classify a paint as dark, light or colored; None if it paints nothing."""
    paint = {"black": "#000", "white": "#fff", "currentcolor": "#000"}.get(paint.lower(), paint.lower())
    if paint in ("none", "transparent"):
        return None
    if not re.fullmatch("#[0-9a-f]{3}|#[0-9a-f]{6}", paint):
        return _COLORED
    width = len(paint) // 3
    parts = [int((paint[1 + place * width :][:width] * 2)[:2], 16) for place in range(3)]
    return _COLORED if max(parts) - min(parts) > 24 else _DARK if max(parts) < 128 else _LIGHT


def _list_shades(element: Element, fill: str, stroke: str) -> Iterator[str]:
    """Yield the shades of all visible shapes, with the fill and stroke that they inherit."""
    fill, stroke = element.get("fill", fill), element.get("stroke", stroke)
    if element.tag in _SHAPES:
        yield from filter(None, map(_classify, (fill, stroke)))
    for child in element:
        if child.tag not in _STENCILS | {"defs"}:
            yield from _list_shades(child, fill, stroke)


def _use_current_color(element: Element) -> None:
    for name in ("fill", "stroke"):
        if _classify(element.get(name, "none")):
            element.set(name, "currentColor")
    for child in element:
        if child.tag not in _STENCILS:
            _use_current_color(child)


def _find_view_box(root: Element) -> str | None:
    """Return the part of the plane to show: the logo's own viewBox, else its width and height."""
    if "viewBox" in root.attrib:
        return root.attrib["viewBox"]
    sizes = [_NUMBER.fullmatch(root.get(name, "")) for name in ("width", "height")]
    return "0 0 " + " ".join(size[1] for size in sizes if size) if all(sizes) else None


def _put_on_white(logo: Element) -> Element:
    tile = Element("svg", viewBox="0 0 32 32")
    tile.append(Element("rect", width="32", height="32", rx="6", fill="#fff"))
    logo.attrib.update(x="3", y="3", width="26", height="26")
    tile.append(logo)
    return tile
