"""Messages to the kernel's network configuration, and what it answers."""

from __future__ import annotations

import errno
import struct

import pytest

from pytest_lxcontainer.network.netlink import NLM_F_CREATE, answers, attribute, exchange, message

RTM_GETLINK = 18


def test_a_message_tells_its_length_kind_and_flags() -> None:
    body = b"body"
    size, kind, flags, serial, port = struct.unpack_from("=IHHII", message(32, NLM_F_CREATE, body))
    assert (size, kind, flags, serial, port) == (20, 32, 0x405, 0, 0)
    assert message(32, 0, body)[16:] == body


@pytest.mark.parametrize("length", range(9))
def test_an_attribute_is_filled_up_to_four_bytes(length: int) -> None:
    made = attribute(6, b"x" * length)
    assert struct.unpack_from("=HH", made) == (4 + length, 6)
    assert len(made) == 4 + length + -length % 4
    assert made[4 : 4 + length] == b"x" * length


def test_every_message_is_answered_in_its_order() -> None:
    nonsense = message(0xFFF, 0, b"")
    assert answers((nonsense, nonsense)) == [errno.EOPNOTSUPP, errno.EOPNOTSUPP]
    assert answers(()) == []


def test_what_is_refused_is_an_error() -> None:
    with pytest.raises(OSError, match="not supported") as caught:
        exchange((message(0xFFF, 0, b""),))
    assert caught.value.errno == errno.EOPNOTSUPP
