"""Templates: each name once, values as they are."""

import pytest

from nbkit.conversation.template import fill, list_names
from nbkit.errors import ConfigError

VALUES = {"text": "Hello {{language}} {x}", "language": "French", "first name": "Ada", "n": 5}


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("Translate {{text}} into {{ language }}", "Translate Hello {{language}} {x} into French"),
        ("{{n}}{{n}} for {{first name}}", "55 for Ada"),
        ('{"a": {"b": 1}} {text} {{}} {{ }} {{x + 1}} {{\n}}', '{"a": {"b": 1}} {text} {{}} {{ }} {{x + 1}} {{\n}}'),
        ("{{{n}}}", "{5}"),
        ("no name", "no name"),
    ],
)
def test_each_name_is_replaced_once_and_other_braces_are_text(template, filled):
    assert fill(template, VALUES) == filled


def test_the_names_of_a_template_stand_in_its_order():
    assert list_names("{{text}} {{n}} {{ text }} {{a b}}", VALUES) == ("text", "n")


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{txet}}", "{{txet}}: the column 'txet' is not defined; did you mean {{text}}?"),
        ("{{fist name}}", "{{fist name}}: the column 'fist name' is not defined; did you mean {{first name}}?"),
        ("{{nope}}", "{{nope}}: the column 'nope' is not defined"),
    ],
)
def test_an_unknown_name_is_an_error_with_the_nearest_one(template, message):
    for function in (fill, list_names):
        with pytest.raises(ConfigError) as error:
            function(template, VALUES, "column")
        assert str(error.value) == message


def test_private_names_are_not_suggested():
    with pytest.raises(ConfigError, match=r"'texts' is not defined$"):
        fill("{{texts}}", {"_text": "", "__texts": ""}, "variable")
