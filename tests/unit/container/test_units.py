from __future__ import annotations

import pytest

from pytest_lxcontainer import ByteSize, GiB, KiB, MiB
from pytest_lxcontainer.errors import InvalidSettingsError


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (0, 0),
        (4096, 4096),
        ("4096", 4096),
        ("1k", KiB),
        ("256MiB", 256 * MiB),
        ("256M", 256 * MiB),
        ("256 mb", 256 * MiB),
        ("1.5g", 3 * GiB // 2),
        ("2T", 2048 * GiB),
        (" 7 B ", 7),
    ],
)
def test_sizes_are_read_in_binary_units(value: int | str, size: int) -> None:
    parsed = ByteSize.parse(value)
    assert parsed == size
    assert isinstance(parsed, ByteSize)


@pytest.mark.parametrize("value", ["", "MiB", "-1", "1 XB", "1e9", "0x10", "1,5g", "1 2", -1, True, 1.5, None])
def test_what_is_no_size_is_refused_by_its_own_text(value: object) -> None:
    with pytest.raises(InvalidSettingsError) as caught:
        ByteSize.parse(value)  # type: ignore[arg-type]  # what a test may write
    assert repr(value) in caught.value.message


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (KiB, "1.0 KiB"),
        (3 * MiB // 2, "1.5 MiB"),
        (2 * GiB, "2.0 GiB"),
        (5000 * GiB, "4.9 TiB"),
        (-2 * MiB, "-2.0 MiB"),
    ],
)
def test_a_size_prints_in_the_largest_unit_that_fits(size: int, text: str) -> None:
    assert str(ByteSize(size)) == f"{ByteSize(size)}" == text


def test_a_size_is_a_number_and_formats_as_one() -> None:
    assert ByteSize(2048) + 1 == 2049
    assert f"{ByteSize(2048):d} {ByteSize(5):>4} {ByteSize(2048):,}" == "2048    5 2,048"
    assert f"{ByteSize(2048)!r}" == "ByteSize(2048)"
