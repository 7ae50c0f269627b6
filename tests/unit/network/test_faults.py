"""Faults as values, and who does which."""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from typing import Any

import pytest

from pytest_lxcontainer.errors import HostNotReadyError, InvalidSettingsError
from pytest_lxcontainer.network.faults import Abilities, Fault, bits_per_second, fraction, seconds
from pytest_lxcontainer.network.faults.serve import divide
from pytest_lxcontainer.network.faults.treatment import Treatment

A, B = IPv4Address("10.64.0.3"), IPv4Address("10.64.0.4")
EVERYTHING = Abilities(**dict.fromkeys(Abilities().to_dict(), True))


@pytest.mark.parametrize(
    ("text", "expected"), [(0.1, 0.1), (0, 0), ("100ms", 0.1), ("1.5s", 1.5), ("2 secs", 2), ("500us", 0.0005)]
)
def test_a_duration_is_seconds(text: Any, expected: float) -> None:
    assert seconds(text) == pytest.approx(expected)


@pytest.mark.parametrize(("text", "expected"), [(30, 0.3), ("30%", 0.3), ("0.5 %", 0.005), ("100", 1), (0, 0)])
def test_a_share_is_per_cent(text: Any, expected: float) -> None:
    assert fraction(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (1_000_000, 1e6),
        ("1mbit", 1e6),
        ("500kbit", 5e5),
        ("2.5Gbit", 2.5e9),
        ("1mibit", 1048576),
        ("100kbps", 8e5),
        ("64000", 64000),
    ],
)
def test_a_rate_has_the_units_of_tc(text: Any, expected: float) -> None:
    assert bits_per_second(text) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("parse", "value"),
    [
        (seconds, "100"),
        (seconds, "ms"),
        (seconds, -1),
        (seconds, float("nan")),
        (seconds, True),
        (seconds, None),
        (fraction, 101),
        (fraction, "-1%"),
        (fraction, "x"),
        (bits_per_second, 0),
        (bits_per_second, "1mb"),
        (bits_per_second, float("inf")),
    ],
)
def test_what_is_no_amount_is_told_what_is(parse: Any, value: Any) -> None:
    with pytest.raises(InvalidSettingsError, match="hint: write"):
        parse(value)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault("delay", "out", (A,), (5432,), 0.1, 0.01), "delay 100 ms ± 10 ms, out, to 10.64.0.3 port 5432"),
        (Fault("loss", "in", (A, B), amount=0.3), "loss 30 %, in, from 10.64.0.3, 10.64.0.4"),
        (Fault("rate", "both", ports=(80, 443), amount=1e6), "rate 1 Mbit/s, both ways, ports 80, 443"),
        (Fault("partition", "both", (A,)), "partition, both ways, to and from 10.64.0.3"),
        (Fault("down", "both"), "down, both ways"),
    ],
)
def test_a_fault_reads_as_what_it_does(fault: Fault, expected: str) -> None:
    assert str(fault) == expected
    assert Fault.from_dict(json.loads(json.dumps(fault.to_dict()))) == fault


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "hiccup"},
        {"direction": "up"},
        {"ports": (0,)},
        {"ports": tuple(range(1, 102))},
        {"amount": -1.0},
        {"amount": float("nan")},
        {"jitter": 0.2},
        {"kind": "loss", "amount": 1.5},
        {"kind": "loss", "amount": 0.5, "jitter": 0.1},
        {"kind": "rate", "amount": 0.0},
        {"kind": "down", "amount": 0.0, "peers": (A,)},
    ],
)
def test_what_cannot_be_is_no_fault(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidSettingsError):
        Fault(**{"kind": "delay", "direction": "out", "amount": 0.1, **wrong})


def test_delays_add_up_shares_compound_and_the_lowest_rate_rules() -> None:
    treatment = Treatment.of(
        [
            Fault("delay", "out", amount=0.1, jitter=0.02),
            Fault("delay", "out", amount=0.05, jitter=0.01),
            Fault("loss", "out", amount=0.5),
            Fault("loss", "out", amount=0.2),
            Fault("corrupt", "out", amount=0.1),
            Fault("rate", "out", amount=2e6),
            Fault("rate", "out", amount=1e6),
        ]
    )
    assert treatment.delay == pytest.approx(0.15) and treatment.jitter == pytest.approx(0.03)
    assert treatment.lost == pytest.approx(0.6) and treatment.corrupted == pytest.approx(0.1)
    assert treatment.rate == 1e6 and treatment.overtaking == 0


def test_traffic_control_does_what_it_can_and_a_process_the_rest() -> None:
    delay, loss, twice = (
        Fault("delay", "out", amount=0.1),
        Fault("loss", "out", amount=0.1),
        Fault("duplicate", "out", amount=0.1),
    )
    everything = divide([delay, loss, twice], EVERYTHING)
    assert (everything.shaped, everything.held, everything.doubled) == ([delay, loss], [], [twice])
    no_netem = divide([delay, loss], Abilities.from_dict({**EVERYTHING.to_dict(), "netem": False}))
    assert (no_netem.shaped, no_netem.held) == ([loss], [delay])
    no_ifb = divide([delay, loss], Abilities.from_dict({**EVERYTHING.to_dict(), "ifb": False}))
    assert (no_ifb.shaped, no_ifb.held) == ([], [delay, loss])


@pytest.mark.parametrize("kind", ["delay", "loss", "duplicate", "rate"])
def test_what_nobody_can_do_is_an_error_that_names_the_modules(kind: Any) -> None:
    with pytest.raises(HostNotReadyError, match=f"can do no {kind}(?s:.*)kernel modules"):
        divide([Fault(kind, "out", amount=1 if kind != "rate" else 1e6)], Abilities())
