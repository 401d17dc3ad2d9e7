"""Amounts of USD: added, blended, written."""

from decimal import Decimal

import pytest

from nbkit.billing.money import blend_prices, format_price, format_usd, sum_usd


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (None, "unknown"),
        (0, "$0"),
        (0.00012, "$0.00012"),
        (0.0000004, "$0.00000040"),
        (0.0012345, "$0.0012"),
        (0.00996, "$0.010"),
        (0.0996, "$0.10"),
        (0.5, "$0.50"),
        (1.234, "$1.23"),
        (1234.5, "$1,234.50"),
    ],
)
def test_money_never_rounds_a_cost_to_nothing(usd, text):
    assert format_usd(usd) == text


@pytest.mark.parametrize(
    ("usd", "text"),
    [
        (None, "unknown"),
        (0, "$0.00"),
        (3, "$3.00"),
        (0.4, "$0.40"),
        (7.5, "$7.50"),
        (0.0375, "$0.0375"),
        (0.19999999999999998, "$0.20"),
        (0.15625, "$0.1563"),
        (0.041667, "$0.04167"),
        (163.6364, "$163.64"),
        (1e-7, "$0.0000001"),
        (1234.5, "$1,234.50"),
        (Decimal("2.475384"), "$2.475"),
    ],
)
def test_prices_have_two_decimals_or_the_digits_that_count(usd, text):
    assert format_price(usd) == text


@pytest.mark.parametrize(
    ("amounts", "total"),
    [([], 0), ([0.1, 0.2], 0.3), ([1e-7] * 10, 1e-6), ([0.1, None], None)],
)
def test_sums_are_decimal_and_unknown_where_a_part_is(amounts, total):
    assert sum_usd(amounts) == total


def test_the_blended_price_reads_three_for_one_written():
    assert blend_prices(1.0, 5.0) == 2.0
