from __future__ import annotations

from pytest_lxcontainer.network.world import dropping_chains

LISTED = """\
table ip nat {
	chain POSTROUTING {
		type nat hook postrouting priority srcnat; policy accept;
	}
}
table ip filter {
	chain DOCKER {
	}
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
	}
}
table inet firewall {
	chain input {
		type filter hook input priority filter; policy drop;
	}
	chain passing {
		type filter hook forward priority filter; policy accept;
	}
	chain strict {
		type filter hook forward priority filter + 10; policy drop;
	}
}
"""


def test_chains_that_drop_what_is_forwarded_are_named_with_their_tables() -> None:
    assert dropping_chains(LISTED) == ("ip filter FORWARD", "inet firewall strict")
    assert dropping_chains("") == ()
