from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdwatch.core.quantity import canonical_quantity, parse_quantity

SUFFIXES = ["", "n", "u", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti", "e3", "E-2", "e0"]
quantities = st.builds(
    "{}{}{}".format,
    st.sampled_from(["", "+", "-"]),
    st.one_of(st.integers(0, 9999).map(str), st.decimals(0, 999, places=3).map(str)),
    st.sampled_from(SUFFIXES),
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("100m", Fraction(1, 10)),
        ("0.5", Fraction(1, 2)),
        (".5", Fraction(1, 2)),
        ("5.", Fraction(5)),
        ("-1", Fraction(-1)),
        ("64Mi", Fraction(64 * 2**20)),
        ("64M", Fraction(64 * 10**6)),
        ("1e3", Fraction(1000)),
        ("1E", Fraction(10**18)),
        ("1E3", Fraction(1000)),
        ("1n", Fraction(1, 1000)),
        ("1500u", Fraction(2, 1000)),
        ("-1500u", Fraction(-2, 1000)),
    ],
)
def test_a_quantity_has_the_value_that_kubernetes_gives_it(text: str, value: Fraction) -> None:
    assert parse_quantity(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "m", ".", "1 Gi", " 1", "1mi", "1K", "0x10", "1e", "1.2.3", "--1", "1Gi ", "٣", "10E", "1e30"],
)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"quantity|more than Kubernetes"):
        parse_quantity(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("100m", "100m"),
        ("1000m", "1"),
        ("0.5", "500m"),
        ("1500m", "1500m"),
        ("64Mi", "64Mi"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("0.1Gi", "107374182400m"),
        ("0.5Ki", "512"),
        ("1025", "1025"),
        ("2048", "2048"),
        ("100000", "100k"),
        ("1e3", "1e3"),
        ("10e2", "1e3"),
        ("100e-2", "1"),
        ("0Mi", "0"),
        ("-1024Mi", "-1Gi"),
        ("1n", "1m"),
        ("1e-9", "1e-3"),
    ],
)
def test_a_quantity_is_written_as_the_api_server_writes_it(text: str, canonical: str) -> None:
    assert canonical_quantity(text) == canonical


@given(quantities)
def test_the_canonical_form_has_the_same_value_and_is_its_own_canonical_form(text: str) -> None:
    canonical = canonical_quantity(text)
    assert parse_quantity(canonical) == parse_quantity(text)
    assert canonical_quantity(canonical) == canonical
