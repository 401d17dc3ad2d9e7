import base64
import re
from xml.etree.ElementTree import fromstring

import pytest

from nbkit.rendering.svg import INK, MAX_LENGTH, TILE_COLORS, draw_logo, draw_tile, rebuild

NAMESPACE = "http://www.w3.org/2000/svg"
CIRCLE = '<circle cx="12" cy="12" r="9"/>'


parse = fromstring  # what these tests wrote, or what was rebuilt


def svg(inside=CIRCLE, attributes='viewBox="0 0 24 24"', before=""):
    return f'{before}<svg xmlns="{NAMESPACE}" {attributes}>{inside}</svg>'.encode()


def drawn(*given, **more):
    """The rebuilt logo as a tree, its namespace taken off."""
    root = parse(rebuild(svg(*given, **more)))
    for element in root.iter():
        assert element.tag.startswith(f"{{{NAMESPACE}}}")
        element.tag = element.tag.partition("}")[2]
    return root


# What is drawn


def test_a_plain_logo_stays_as_it_is_in_a_gray_for_light_and_dark():
    root = drawn(f'<g transform="translate(1 2)">{CIRCLE}</g>', 'viewBox="0 0 24 24" fill="currentColor" height="9"')
    assert root.attrib == {"viewBox": "0 0 24 24", "fill": "currentColor", "color": INK}
    assert root.find("g").attrib == {"transform": "translate(1 2)"}
    assert root.find("g/circle").attrib == {"cx": "12", "cy": "12", "r": "9"}


@pytest.mark.parametrize(
    "shapes",
    [
        CIRCLE,  # no fill is black
        '<path d="M0 0h9v9z" fill="#000"/>',
        '<path d="M0 0h9v9z" fill="#1a1a1a"/><path d="M9 9h9v9z" fill="currentColor"/>',
        '<path d="M0 0h9v9z" fill="white"/>',
        '<path d="M0 0h9v9z" style="fill:#FFFFFF;stroke:none"/>',
        '<g fill="none" stroke="black"><path d="M0 0h9v9z"/></g>',
        '<clipPath id="c"><rect fill="white"/></clipPath><g clip-path="url(#c)"><path d="M0 0h9v9z"/></g>',
        '<mask id="m"><rect fill="#fff"/><rect fill="#f00"/></mask><rect width="9" height="9" mask="url(#m)"/>',
    ],
)
def test_a_logo_of_one_shade_takes_the_gray(shapes):
    root = drawn(shapes)
    assert root.attrib["color"] == INK
    seen = [element for child in root if child.tag not in ("mask", "clipPath") for element in child.iter()]
    assert {element.get("fill", "currentColor") for element in [root, *seen]} <= {"currentColor", "none"}
    assert {element.get("stroke", "none") for element in seen} <= {"currentColor", "none"}


def test_a_mask_keeps_its_black_and_white():
    root = drawn('<mask id="m"><rect fill="white"/><path fill="black"/></mask><rect mask="url(#m)"/>')
    assert [part.get("fill") for part in root.find("mask")] == ["white", "black"]
    assert root.find("rect").get("mask") == "url(#m)"


@pytest.mark.parametrize(
    "shapes",
    [
        '<circle r="9" fill="#2c00ff"/>',
        '<circle r="9" fill="teal"/>',
        '<rect width="24" height="24"/><circle r="9" fill="#fff"/>',
        '<linearGradient id="a"><stop offset="0" stop-color="#f00"/></linearGradient><circle r="9" fill="url(#a)"/>',
    ],
)
def test_any_other_keeps_its_colors_on_a_white_tile(shapes):
    tile = drawn(shapes)
    assert tile.find("rect").attrib == {"width": "32", "height": "32", "rx": "6", "fill": "#fff"}
    inner = tile.find("svg")
    assert inner.get("viewBox") == "0 0 24 24"
    fills = [element.get("fill") for element in parse(svg(shapes)).iter()]
    assert [element.get("fill") for element in inner.iter()] == fills


def test_a_gradient_may_refer_to_another_in_the_file():
    link = 'xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href'
    root = drawn(f'<linearGradient id="b" {link}="#a"/><circle r="9" fill="url(#b)"/>')
    assert root.find("svg/linearGradient").attrib == {"id": "b", "href": "#a"}


def test_without_a_view_box_the_size_says_what_to_show():
    assert drawn(CIRCLE, 'width="40px" height="30.5"').get("viewBox") == "0 0 40 30.5"
    assert rebuild(svg(CIRCLE, 'width="100%" height="100%"')) is None


def test_notes_of_drawing_programs_are_left_out():
    notes = (
        '<title>T</title><desc>D</desc><metadata/><n:view xmlns:n="http://a.test"><script/></n:view><!-- <script> -->'
    )
    assert [
        child.tag for child in drawn(notes + CIRCLE, before='<?xml version="1.0"?><?xml-stylesheet href="x"?>')
    ] == ["circle"]


def test_numbers_finer_than_a_screen_are_shortened():
    assert drawn('<path d="M1.23456-.98765l9 0.5z"/>').find("path").get("d") == "M1.234-.987l9 0.5z"


# What is refused


HOSTILE = {
    "script": f"<script>alert(1)</script>{CIRCLE}",
    "foreignObject": '<foreignObject><body xmlns="http://www.w3.org/1999/xhtml"/></foreignObject>' + CIRCLE,
    "image": f'<image href="https://evil.test/x.png"/>{CIRCLE}',
    "use": f'<use href="https://evil.test/x.svg#a"/>{CIRCLE}',
    "many uses": f'<g id="a">{CIRCLE}</g><use href="#a"/>',
    "style": f"<style>@import 'https://evil.test'</style>{CIRCLE}",
    "animation": f'<animate attributeName="href" to="javascript:alert(1)"/>{CIRCLE}',
    "link": f'<a href="javascript:alert(1)">{CIRCLE}</a>',
    "handler": f'<handler type="text/ecmascript">x</handler>{CIRCLE}',
    "deep": "<g>" * 5000 + "</g>" * 5000,
    "huge path": f'<path d="M0 0{"L9 9" * MAX_LENGTH}"/>',
    "nothing to see": "<g/>",
    "nothing painted": '<circle r="9" fill="none"/>',
}


@pytest.mark.parametrize("inside", HOSTILE.values(), ids=HOSTILE)
def test_a_logo_with_any_other_element_is_not_shown(inside):
    assert rebuild(svg(inside)) is None


BOMB = '<!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {after} "{f"&{name};" * 10}">' for name, after in zip("abcdefgh", "bcdefghi", strict=True)
)
FILES = {
    "entity bomb": svg(f"<title>&i;</title>{CIRCLE}", before=f"{BOMB}]>"),
    "external entity": svg("<title>&x;</title>", before='<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]>'),
    "external DTD": svg(before='<!DOCTYPE svg PUBLIC "x" "https://evil.test/x.dtd">'),
    "an entity that is never used": svg(before='<!DOCTYPE svg [<!ENTITY a "b">]>'),
    "a declaration without entities": svg(before="<!DOCTYPE svg>"),
    "UTF-16": svg(before='<!DOCTYPE svg [<!ENTITY a "b">]>').decode().encode("utf-16"),
    "UTF-7": b'<?xml version="1.0" encoding="UTF-7"?>+ADw-script+AD4-',
    "HTML": b"<!doctype html><title>not found</title>",
    "no XML": b"\x89PNG\r\n",
    "cut off": svg()[:-4],
    "another root": b"<html/>",
    "empty": b"",
}


@pytest.mark.parametrize("logo", FILES.values(), ids=FILES)
def test_a_file_that_is_not_plain_svg_is_not_shown(logo):
    assert rebuild(logo) is None


@pytest.mark.parametrize(
    "attribute",
    [
        'onload="alert(1)"',
        'ONCLICK="alert(1)"',
        'class="x"',
        'style="background:url(https://evil.test)"',
        'style="fill:url(https://evil.test#a)"',
        'fill="url(//evil.test/x.svg#a)"',
        'fill="url( evil.svg#a)"',
        'fill="URL(evil.svg#a)"',
        'fill="url(#a) url(evil.svg#a)"',
        "fill=\"url('evil.svg#a')\"",
        'fill="u\\72l(evil.svg#a)"',
        'href="https://evil.test"',
        'href="evil"',
        'stroke-dasharray="0.00001"',
        'filter="url(#f)"',
        'xml:base="https://evil.test"',
        'id="&quot;&gt;&lt;script&gt;"',
    ],
)
def test_attributes_that_reach_out_or_act_are_left_out(attribute):
    assert drawn(f'<circle r="9" {attribute}/>').find("circle").attrib == {"r": "9"}


# What it becomes


def test_a_picture_is_a_data_url_of_the_logo_or_of_the_tile():
    def read(url):
        head, _, data = url.partition(",")
        assert head == "data:image/svg+xml;base64"
        return base64.b64decode(data).decode()

    assert read(draw_logo("acme", svg())) == rebuild(svg())
    for logo in (None, b"", svg(HOSTILE["script"])):
        assert read(draw_logo("acme", logo)) == draw_tile("acme")


@pytest.mark.parametrize(
    ("provider", "letter"), [("acme", "A"), ("302ai", "3"), ("-x", "X"), ("", "?"), ("<&>", "?"), ("éa", "É")]
)
def test_a_tile_shows_the_first_letter(provider, letter):
    assert parse(draw_tile(provider)).findtext(f"{{{NAMESPACE}}}text") == letter


def test_tiles_of_different_providers_differ_in_color():
    colors = {re.search('fill="(#......)"', draw_tile(f"provider-{number}"))[1] for number in range(200)}
    assert colors == set(TILE_COLORS)


def contrast(one, other):
    def luminance(color):
        parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05

    return max(luminance(one) / luminance(other), luminance(other) / luminance(one))


def test_contrast_is_enough_in_light_and_dark():
    assert contrast(INK, "#ffffff") > 4.3 < contrast(INK, "#111111") + 0.1
    for color in TILE_COLORS:
        assert contrast(color, "#ffffff") >= 4.5
        assert contrast(color, "#111111") >= 3
