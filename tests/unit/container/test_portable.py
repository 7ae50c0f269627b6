"""Conditions on their way to another process."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from pytest_lxcontainer import wait
from pytest_lxcontainer.container.demand import Demand
from pytest_lxcontainer.container.pooled import may_be_started_ahead, preparation_of, traits_for
from pytest_lxcontainer.container.portable import from_plain, to_plain
from pytest_lxcontainer.container.spec import ContainerSpec
from pytest_lxcontainer.container.traits import Readiness, Traits
from pytest_lxcontainer.image.config import Healthcheck

OWN = [
    wait.port(80),
    wait.log("ready", times=2),
    wait.log(re.compile("Ready.", re.IGNORECASE | re.DOTALL)),
    wait.http("/status", port=8080, status=204),
    wait.exec("true"),
    wait.exec(["pg_isready", "-q"]),
    wait.healthy(),
    wait.file("/run/ready"),
    wait.any_of(wait.port(1), wait.all_of(wait.log("a"), wait.exec(["b"]))),
]


@pytest.mark.parametrize("condition", OWN, ids=str)
def test_a_condition_of_the_package_arrives_as_it_was(condition: Any) -> None:
    plain = to_plain([condition])
    assert plain is not None
    assert from_plain(json.loads(json.dumps(plain))) == (condition,)


class Port:
    """A user's own, called as one of ours."""

    def __call__(self, container: object) -> bool:
        return True


@pytest.mark.parametrize(
    "condition",
    [
        lambda container: True,
        Port(),
        wait.exit(),
        wait.all_of(wait.port(80), Port()),
        wait.any_of(wait.all_of(wait.exit(0))),
    ],
    ids=["lambda", "class", "exit", "inside", "deep inside"],
)
def test_any_other_stays(condition: Any) -> None:
    assert to_plain([wait.port(80), condition]) is None


def test_a_demand_arrives_as_it_was() -> None:
    traits = Traits(
        Readiness((wait.healthy(), wait.port(80)), 7.5),
        healthcheck=Healthcheck(("CMD", "true"), timeout=3),
        shell=("/bin/ash", "-c"),
        home="/home/me",
    )
    demand = Demand(3, None, preparation_of(traits))
    arrived = Demand.from_dict(json.loads(json.dumps(demand.to_dict())))
    assert arrived == demand
    assert traits_for(arrived.preparation) == traits


@pytest.mark.parametrize(
    ("conditions", "fields", "may"),
    [
        ((), {}, True),
        ((wait.port(80), Port()), {}, True),
        ((wait.exit(),), {}, False),
        ((wait.any_of(wait.port(80), wait.exit(None)),), {}, False),
        ((), {"mounts": (("/host", "/here", True),)}, False),
    ],
    ids=["nothing", "readiness", "end", "end inside", "mounts"],
)
def test_what_changes_until_it_is_asked_for_is_not_started_ahead(
    conditions: Any, fields: dict[str, Any], may: bool
) -> None:
    spec = ContainerSpec("box", "", (), ("true",), **fields)
    assert may_be_started_ahead(spec, Traits(Readiness(conditions))) is may
