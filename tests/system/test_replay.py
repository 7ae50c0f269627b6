"""A failure with its database, handed over: the row that made the test fail is there wherever it is replayed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_lxcontainer import Container, Provisioner, Settings, wait
from pytest_lxcontainer.store.saved import SavedTest

from .conftest import Runner
from .docker import Docker, docker_daemon

pytestmark = pytest.mark.exhaustive

POSTGRES = "postgres:15"
READY = wait.exec(["pg_isready", "-h", "127.0.0.1", "-U", "postgres"])
SELECT = ["psql", "-U", "postgres", "-At", "-c", "select customer, amount from orders"]
ROW = "O'Brien|-1"


@pytest.fixture
def saved(run: Runner, provisioner: Provisioner) -> Iterator[SavedTest]:
    """What a test's database was when it failed: running, with what has been committed to it."""
    db = run(POSTGRES, name="db", env={"POSTGRES_HOST_AUTH_METHOD": "trust", "LANG": "C.UTF-8"}, ready=READY)
    insert = "create table orders (customer text, amount int); insert into orders values ('O''Brien', -1)"
    db.exec(["psql", "-U", "postgres", "-c", insert], check=True)
    begin = time.monotonic()
    saved = provisioner.save("tests/test_orders.py::test_total", [db], "assert -1 >= 0")
    assert time.monotonic() - begin < 10
    yield saved
    provisioner.forget_saved(saved)


def rows(container: Container) -> str:
    container.wait_for(READY)
    return container.check_output(SELECT)


def test_it_runs_again_from_the_store(saved: SavedTest, settings: Settings) -> None:
    with Provisioner(Settings(store=settings.store, pull="never")) as later:
        again = later.run_saved(saved.id)
        assert rows(again["db"]) == ROW and not again["db"].is_stand_in


@pytest.mark.parametrize("form", ["oci:{}/layout", "oci-archive:{}/db.tar", "docker-archive:{}/db.tar"])
def test_it_runs_elsewhere_from_files(
    saved: SavedTest, provisioner: Provisioner, own_store: Path, where: Path, form: str
) -> None:
    (named,) = provisioner.export(saved, form.format(where))
    with Provisioner(Settings(store=own_store)) as elsewhere, elsewhere.run(named, ready=READY) as again:
        assert rows(again) == ROW
        assert again.env["POSTGRES_HOST_AUTH_METHOD"] == "trust"


@pytest.mark.needs_root
def test_it_runs_in_docker(saved: SavedTest, provisioner: Provisioner, where: Path) -> None:
    """PGDATA is a volume, which Docker fills with what the image has there."""
    provisioner.export(saved, f"docker-archive:{where}/db.tar:failed:1")
    with docker_daemon() as docker:
        assert docker("load", "--input", where / "db.tar") == "Loaded image: failed:1"
        assert docker("image", "inspect", "--format", "{{.Config.Volumes}}", "failed:1") != "map[]"
        docker("run", "--detach", "--network=none", "--name=db", "failed:1")
        try:
            assert _rows_in(docker) == ROW
        finally:
            docker("rm", "--force", "--volumes", "db")


def _rows_in(docker: Docker) -> str:
    deadline = time.monotonic() + 60
    while "accepting connections" not in docker("exec", "db", "pg_isready", "-h", "127.0.0.1", check=False):
        assert time.monotonic() < deadline, docker("logs", "db")
        time.sleep(0.1)
    return docker("exec", "db", *SELECT)
