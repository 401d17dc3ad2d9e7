"""Amounts of USD: added, blended, written."""

import pytest

from nbkit.billing.money import blend_prices, format_usd, sum_usd


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (None, "unknown"),
        (0, "$0"),
        (0.00012, "$0.00012"),
        (0.0000004, "$0.00000040"),
        (0.0012345, "$0.0012"),
        (0.0996, "$0.100"),
        (0.5, "$0.50"),
        (1.234, "$1.23"),
        (1234.5, "$1,234.50"),
    ],
)
def test_money_never_rounds_a_cost_to_nothing(usd, text):
    assert format_usd(usd) == text


@pytest.mark.parametrize(
    ("amounts", "total"),
    [([], 0), ([0.1, 0.2], 0.3), ([1e-7] * 10, 1e-6), ([0.1, None], None)],
)
def test_sums_are_decimal_and_unknown_where_a_part_is(amounts, total):
    assert sum_usd(amounts) == total


def test_the_blended_price_reads_three_for_one_written():
    assert blend_prices(1.0, 5.0) == 2.0
