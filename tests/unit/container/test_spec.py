from __future__ import annotations

import json

from pytest_lxcontainer import Limits
from pytest_lxcontainer.container.spec import ContainerSpec


def test_a_spec_comes_through_json_as_it_was() -> None:
    spec = ContainerSpec(
        hostname="box",
        group=("run", "session", "tests/a.py::test"),
        lower_dirs=("/l/a", "/l/b"),
        command=("sh", "-c", "echo 'ä\n'"),
        env=(("A", "b=c\n"), ("EMPTY", "")),
        cwd="/srv",
        uid=1,
        gid=2,
        groups=(3, 4),
        aliases=("one", "two"),
        mounts=(("/host dir", "/in", True),),
        tmpfs=(("/run", "size=1m"),),
        networks=("default", "back"),
        isolated=True,
        limits=Limits(memory="1MiB", cpus=0.5, pids=None),
        privileged=True,
        cap_add=("SYS_TIME",),
        stop_signal=2,
        init=False,
        image="box:1",
        labels=(("a", "b"),),
    )
    assert ContainerSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


def test_defaults_come_through_too() -> None:
    spec = ContainerSpec("box", "", (), ("true",))
    assert ContainerSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
