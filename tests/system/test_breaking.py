"""What a test does to its containers' network, and what they notice."""

from __future__ import annotations

import re
import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_lxcontainer import Container, wait
from pytest_lxcontainer.container.faults import Partition
from pytest_lxcontainer.errors import InvalidSettingsError

from .conftest import Runner, wait_until

ECHO = ["nc", "-ll", "-p", "7", "-e", "cat"]


@pytest.fixture
def pair(run: Runner) -> tuple[Container, Container]:
    return run(command=ECHO, group="g", name="one"), run(command=ECHO, group="g", name="two")


def round_trips(box: Container, other: Container | str, count: int = 3) -> list[float]:
    """Milliseconds of pings that were answered."""
    address = other if isinstance(other, str) else other.ip
    said = box.exec(["ping", "-c", str(count), "-i", "0.05", "-W", "1", address]).stdout
    return [float(time) for time in re.findall(r"time=([0-9.]+)", said)]


def connected(box: Container, timeout: float = 2.0) -> socket.socket:
    """A connection on which the container says what it is told."""
    deadline = time.monotonic() + 5
    while True:
        try:
            connection = socket.create_connection((box.ip, 7), timeout=timeout)
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert said(connection, b"x") == b"x"
    return connection


def said(connection: socket.socket, words: bytes) -> bytes:
    connection.sendall(words)
    return connection.recv(100)


def say_for(connection: socket.socket, seconds: float) -> None:
    """Say something again and again."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        connection.sendall(b"x")
        time.sleep(0.01)


def test_a_delay_is_met_once_in_a_round_trip(pair: tuple[Container, Container]) -> None:
    one, two = pair
    one.network.delay("100ms")
    assert all(100 <= trip < 120 for trip in round_trips(one, two))
    assert all(100 <= trip < 120 for trip in round_trips(two, one))
    one.network.clear()
    assert all(trip < 20 for trip in round_trips(one, two))


def test_faults_add_up_and_end_with_their_block(pair: tuple[Container, Container]) -> None:
    one, two = pair
    with one.network.delay(0.05) as faults:
        faults.delay("60ms", direction="in")
        assert all(110 <= trip < 130 for trip in round_trips(one, two))
    assert all(trip < 20 for trip in round_trips(one, two))


def test_one_peer_is_cut_off_and_others_are_not(pair: tuple[Container, Container], run: Runner) -> None:
    one, two = pair
    three = run(group="g")
    with one.network.partition(two):
        assert not round_trips(one, two) and not round_trips(two, one)
        assert round_trips(one, three) and round_trips(two, three)
    assert round_trips(one, two)


def test_groups_are_parted(pair: tuple[Container, Container], run: Runner) -> None:
    one, two = pair
    three = run(group="g")
    with Partition([[one, two], three]):
        assert round_trips(one, two)
        assert not round_trips(one, three) and not round_trips(three, two)
    assert round_trips(one, three) and round_trips(three, two)
    with pytest.raises(InvalidSettingsError, match="between whom"):
        Partition([[one, two]])


def test_down_is_down_and_up_leaves_other_faults(pair: tuple[Container, Container]) -> None:
    one, two = pair
    one.network.delay("50ms")
    one.network.down()
    assert not round_trips(one, two, count=1) and round_trips(one, "127.0.0.1")
    one.network.up()
    assert all(50 <= trip < 70 for trip in round_trips(one, two))


def test_a_port_of_a_peer_is_lost_and_others_are_not(pair: tuple[Container, Container]) -> None:
    one, _ = pair
    with one.network.loss(100, port=7, direction="both"), pytest.raises(TimeoutError):
        socket.create_connection((one.ip, 7), timeout=0.2)
    connected(one).close()


def test_what_is_in_force_is_shown(pair: tuple[Container, Container]) -> None:
    one, two = pair
    network = one.network.delay("100ms", jitter="10ms").loss(5, to=two, port=[80, 443])
    whole = f"delay 100 ms ± 10 ms, out; loss 5 %, out, to {two.ip} ports 80, 443"
    assert repr(network) == f"<Faults: {whole}>"
    assert repr(one.network) == f"<Network of {one.id} at {one.ip}: {whole}>"
    assert repr(network.down().up()) == f"<Faults: {whole}>"
    network.clear()
    assert repr(one.network).endswith(": no faults>")
    assert repr(network) == "<Faults: none>"


def test_a_restart_changes_nothing_of_them(pair: tuple[Container, Container]) -> None:
    one, two = pair
    one.network.delay("50ms")
    one.restart()
    assert all(50 <= trip < 70 for trip in round_trips(one, two))


def test_what_is_put_on_before_the_start_is_there_after_it(run: Runner) -> None:
    box, other = run.clone(group="g"), run(group="g")
    box.network.down()
    box.start()
    assert not round_trips(box, other, count=1)


@pytest.mark.needs_root
def test_root_has_it_met_from_the_first_packet(run: Runner) -> None:
    other = run(group="g")
    tries = f"ping -c 1 -W 1 {other.ip} > /dev/null && echo reached || echo missed; sleep 1000"
    box = run.clone(command=tries, group="g")
    box.network.partition(other)
    box.start()
    box.wait_for(wait.log("reached|missed"), timeout=5)
    assert box.logs() == "missed\n"


def test_what_is_put_on_while_it_starts_is_there_after_it(run: Runner) -> None:
    other = run(group="g")
    for delay in (0.001, 0.005, 0.01, 0.015, 0.02):
        box = run.clone(group="g")
        with ThreadPoolExecutor(1) as threads:
            starting = threads.submit(box.start)
            time.sleep(delay)
            box.network.down()
            starting.result()
        assert not round_trips(box, other, count=1)


def test_a_reset_ends_connections_at_once_for_both_ends(pair: tuple[Container, Container]) -> None:
    one, two = pair
    with connected(one) as first, connected(two) as other:
        begin = time.monotonic()
        one.network.reset(port=7)
        with pytest.raises(ConnectionResetError):
            say_for(first, seconds=1)
        assert time.monotonic() - begin < 0.5
        assert said(other, b"z") == b"z"
    with connected(one) as again:
        assert said(again, b"x") == b"x"


@pytest.mark.parametrize(
    ("attempt", "problem"),
    [
        (lambda network: network.delay("soon"), "'soon' is no duration"),
        (lambda network: network.loss("120%"), "more than everything"),
        (lambda network: network.rate("fast"), "'fast' is no rate"),
        (lambda network: network.loss(1, port=70000), "a port is a number"),
        (lambda network: network.loss(1, to="db"), "'db' has no IPv4 address"),
        (lambda network: network.loss(1, to=5), "5 has no IPv4 address"),
        (lambda network: network.delay("1ms", direction="up"), "no such direction"),
        (lambda network: network.delay("1ms", jitter="2ms"), "jitter"),
        (lambda network: network.partition(), "from whom"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(box: Container, attempt, problem: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidSettingsError, match=re.escape(problem)):
        attempt(box.network)
    assert box.network.faults == ()


# under a client


def test_a_client_finds_a_restarted_server_at_its_address(run: Runner) -> None:
    server = run(command=ECHO)
    with connected(server) as before:
        server.restart()
        with connected(server) as after:
            assert said(after, b"again") == b"again"
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            say_for(before, seconds=1)


def test_a_client_of_a_stopped_server_is_not_let_in(run: Runner) -> None:
    server = run(command=ECHO)
    connected(server).close()
    server.stop(timeout=0.1)
    with pytest.raises(OSError, match=r"timed out|No route|refused"):
        socket.create_connection((server.ip, 7), timeout=0.3)
    server.start()
    connected(server).close()


@pytest.mark.needs_cgroups
def test_a_client_of_a_frozen_server_waits_until_it_goes_on(run: Runner) -> None:
    server = run(command=ECHO)
    with connected(server, timeout=0.2) as connection:
        server.freeze()
        connection.sendall(b"late")
        with pytest.raises(TimeoutError):
            connection.recv(10)
        server.unfreeze()
        connection.settimeout(2)
        assert connection.recv(10) == b"late"


# recordings


def packets_of(path: Path) -> Iterator[bytes]:
    """Of a pcap file as Wireshark reads it."""
    data = path.read_bytes()
    magic, major, minor, _, _, _, link = struct.unpack_from("=IHHiIII", data)
    assert (magic, major, minor, link) == (0xA1B23C4D, 2, 4, 1)
    at = 24
    while at < len(data):
        seconds, nanoseconds, kept, length = struct.unpack_from("=IIII", data, at)
        assert abs(seconds - time.time()) < 60 and nanoseconds < 10**9 and kept <= length
        yield data[at + 16 : at + 16 + kept]
        at += 16 + kept
    assert at == len(data)


def test_a_recording_has_all_that_passed_and_nothing_else(pair: tuple[Container, Container], tmp_path: Path) -> None:
    one, two = pair
    with connected(one) as connection:
        said(connection, b"before")
        with one.network.capture(tmp_path / "x.pcap") as capture:
            said(connection, b"meanwhile")
            round_trips(one, two)
        said(connection, b"after")
    packets = list(packets_of(tmp_path / "x.pcap"))
    assert capture.packets == len(packets)
    assert sum(b"meanwhile" in packet for packet in packets) == 2  # there and back
    assert not any(b"before" in packet or b"after" in packet for packet in packets)
    echoes = [packet for packet in packets if packet[12:14] == b"\x08\x00" and packet[23] == 1]
    assert len(echoes) == 6


def test_the_end_of_its_container_ends_a_recording(run: Runner, tmp_path: Path) -> None:
    box, other = run(group="g"), run(group="g")
    capture = box.network.capture(tmp_path / "x.pcap")
    round_trips(box, other)
    wait_until(lambda: len(list(packets_of(capture.path))) >= 6)
    box.destroy()
    assert capture.stop() == tmp_path / "x.pcap"
    assert capture.packets is None


def test_a_container_with_faults_and_recordings_goes_as_fast_as_any(run: Runner, tmp_path: Path) -> None:
    box = run()
    box.network.delay("10s").rate("8kbit")
    box.network.capture(tmp_path / "x.pcap")
    begin = time.monotonic()
    box.destroy()
    again = run()
    assert time.monotonic() - begin < 2 and again.running
