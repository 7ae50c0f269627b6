from __future__ import annotations

from pytest_lxcontainer.network.names import hosts, resolv_conf


def test_hosts_has_the_loopback_and_each_peer_by_all_its_names() -> None:
    text = hosts([("10.64.0.2", ("web", "web.test")), ("10.64.0.3", ("db", "db"))])
    lines = [line.split() for line in text.splitlines()]
    assert ["127.0.0.1", "localhost"] in lines
    assert ["10.64.0.2", "web", "web.test"] in lines
    assert ["10.64.0.3", "db"] in lines
    assert text.endswith("\n")


def test_hosts_without_peers_still_has_the_loopback() -> None:
    assert hosts([]).startswith("127.0.0.1\tlocalhost\n")


def test_servers_on_the_hosts_loopback_are_left_out() -> None:
    text = (
        "# by hand\nsearch example.org\nnameserver 127.0.0.53\nnameserver 192.0.2.1\nnameserver ::1\n"
        "nameserver 2001:db8::1%eth0\noptions edns0\n"
    )
    expected = "# by hand\nsearch example.org\nnameserver 192.0.2.1\nnameserver 2001:db8::1%eth0\noptions edns0\n"
    assert resolv_conf(text) == expected


def test_what_is_no_address_is_left_as_it_is() -> None:
    assert resolv_conf("nameserver\nnameserver dns.example\n") == "nameserver\nnameserver dns.example\n"
    assert resolv_conf("") == ""
