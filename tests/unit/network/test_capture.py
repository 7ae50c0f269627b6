"""The format of recordings; that they have what passes, system tests show."""

from __future__ import annotations

import struct

from pytest_lxcontainer.network.capture import SNAPLEN, file_header, record


def test_the_file_says_that_times_are_in_nanoseconds_and_frames_are_ethernets() -> None:
    assert struct.unpack("=IHHiIII", file_header()) == (0xA1B23C4D, 2, 4, 0, 0, SNAPLEN, 1)


def test_a_packet_has_its_time_and_length_before_it() -> None:
    written = record(b"frame", (7, 999_999_999))
    assert struct.unpack_from("=IIII", written) == (7, 999_999_999, 5, 5)
    assert written[16:] == b"frame"


def test_of_a_packet_beyond_measure_the_beginning_is_kept() -> None:
    written = record(bytes(SNAPLEN + 1), (7, 0))
    assert struct.unpack_from("=IIII", written)[2:] == (SNAPLEN, SNAPLEN + 1)
    assert len(written) == 16 + SNAPLEN
