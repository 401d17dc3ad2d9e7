"""What the headers of several providers say about a limit that is used up."""

import pytest

from nbkit.http.rate_headers import read_rest

NOW = 1_795_780_800.0  # 2026-11-27T12:00:00Z


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"content-type": "application/json", "retry-after": "5"}, 0),
        # OpenAI
        ({"x-ratelimit-remaining-requests": "4999", "x-ratelimit-reset-requests": "12ms"}, 0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}, 360),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "12ms"}, 0.012),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1h2m3.5s"}, 3723.5),
        # Groq: requests are those of a day
        (
            {
                "x-ratelimit-remaining-requests": "14370",
                "x-ratelimit-reset-requests": "2m59.56s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "7.66s",
            },
            7.66,
        ),
        # Azure: seconds, or no reset at all
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "10"}, 10),
        ({"x-ratelimit-remaining-requests": "0"}, 0),
        # Anthropic
        (
            {
                "anthropic-ratelimit-requests-remaining": "49",
                "anthropic-ratelimit-requests-reset": "2026-11-27T12:00:01Z",
                "anthropic-ratelimit-input-tokens-remaining": "0",
                "anthropic-ratelimit-input-tokens-reset": "2026-11-27T12:00:21Z",
                "anthropic-ratelimit-output-tokens-remaining": "0",
                "anthropic-ratelimit-output-tokens-reset": "2026-11-27T12:00:07Z",
            },
            21,
        ),
        ({"anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": "2026-11-27T11:00:00Z"}, 0),
        # Unix time, in seconds (SambaNova) and in milliseconds (OpenRouter)
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": f"{NOW + 9:.0f}"}, 9),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{NOW * 1000 + 9500:.0f}"}, 9.5),
        # Cerebras, Mistral
        ({"x-ratelimit-remaining-tokens-minute": "0", "x-ratelimit-reset-tokens-minute": "11.38"}, 11.38),
        ({"ratelimitbysize-remaining": "0", "ratelimitbysize-reset": "27"}, 27),
        # the drafts of the IETF, before and since their revision 8
        ({"ratelimit-remaining": "0", "ratelimit-reset": "30"}, 30),
        ({"ratelimit-remaining": "3", "ratelimit-reset": "30"}, 0),
        ({"ratelimit": '"default";r=0;t=30'}, 30),
        ({"ratelimit": '"default";r=50;t=30'}, 0),
        ({"ratelimit": '"hour";r=99;t=1800, "minute";r=0;pk=:c2s=:;t=20'}, 20),
        # what cannot be understood
        ({"x-ratelimit-remaining-requests": "none", "x-ratelimit-reset-requests": "10"}, 0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "soon"}, 0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": ""}, 0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "inf"}, 0),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "-5"}, 0),
        ({"x-ratelimit-remaining-requests": "nan", "x-ratelimit-reset-requests": "nan"}, 0),
    ],
)
def test_a_limit_that_is_used_up_pauses_until_it_is_renewed(headers, seconds):
    assert read_rest(headers, NOW) == pytest.approx(seconds)
