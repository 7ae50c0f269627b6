"""Real images: what their configuration says is what runs."""

from __future__ import annotations

import socket
import urllib.request

import pytest

from pytest_lxcontainer import Container, wait
from pytest_lxcontainer.errors import ContainerDiedError

from .conftest import Runner


@pytest.fixture
def redis(run: Runner) -> Container:
    return run("redis:7")


def test_entrypoint_and_command_make_the_argv(redis: Container) -> None:
    config = redis.image.config
    assert redis.command == (*config.entrypoint, *config.cmd)
    assert config.entrypoint and config.cmd == ("redis-server",)
    assert redis.read_text("/proc/2/cmdline").startswith("redis-server")


def test_the_user_is_the_images_for_the_command_and_for_exec(redis: Container) -> None:
    uid = redis.check_output(["id", "-u", "redis"])
    assert uid != "0"
    assert f"Uid:\t{uid}\t{uid}\t{uid}\t{uid}" in redis.read_text("/proc/2/status")
    if redis.image.config.user:
        assert redis.check_output(["id", "-u"]) == uid


def test_the_working_directory_is_the_images(redis: Container) -> None:
    assert redis.image.config.working_dir == "/data"
    assert redis.check_output(["pwd"]) == "/data"
    assert redis.check_output(["readlink", "/proc/2/cwd"], user="redis") == "/data"


def test_the_environment_is_the_images(run: Runner) -> None:
    container = run("postgres:15", ["sleep", "60"], ready=[])
    config = dict(entry.split("=", 1) for entry in container.image.config.env)
    assert config["PG_MAJOR"] == "15"
    assert config.items() <= container.env.items()
    assert container.check_output("echo $PGDATA $PG_MAJOR") == f"{config['PGDATA']} 15"
    assert f"PATH={config['PATH']}" in container.read_text("/proc/2/environ").split("\0")


def test_an_exposed_port_answers_when_it_is_ready(redis: Container) -> None:
    assert redis.ports == (6379,)
    with socket.create_connection((redis.ip, 6379), timeout=5) as connection:
        connection.sendall(b"PING\r\n")
        assert connection.recv(100) == b"+PONG\r\n"


def test_settings_replace_what_the_image_says(run: Runner) -> None:
    container = run(
        "redis:7",
        ["sh", "-c", "pwd; id -u; echo $COLOUR; sleep 60"],
        user="daemon",
        cwd="/srv",
        env={"COLOUR": "red"},
        ready=[],
    )
    container.wait_for(wait.log("red"))
    assert container.logs() == "/srv\n1\nred\n"


def test_another_entrypoint_drops_the_images_command(run: Runner) -> None:
    assert run("redis:7", entrypoint=["sleep", "60"], ready=[]).command == ("sleep", "60")


def test_nginx_logs_through_dev_stdout(run: Runner) -> None:
    container = run("nginx:1", ready=wait.http("/", 80))
    with urllib.request.urlopen(container.url(80), timeout=5) as answer:
        assert answer.status == 200
    urllib.request.urlopen(container.url(80) + "/?seen", timeout=5).close()
    container.wait_for(wait.log(r"GET /\?seen"), timeout=5)


def test_postgres_is_ready_when_it_answers_and_stops_cleanly_on_its_own_signal(run: Runner) -> None:
    container = run("postgres:15", env={"POSTGRES_PASSWORD": "x"})
    assert container.image.config.stop_signal == "SIGINT"
    # Over TCP: what runs during its initialisation has no such socket.
    query = ["psql", "-h", container.ip, "-U", "postgres", "-Atc", "select 40 + 2"]
    assert container.check_output(query, env={"PGPASSWORD": "x"}) == "42"
    container.stop()
    assert container.exit_code == 0
    assert "received fast shutdown request" in container.logs()
    assert container.logs().rstrip().endswith("database system is shut down")


def test_an_image_that_refuses_to_run_shows_why(run: Runner) -> None:
    with pytest.raises(ContainerDiedError, match="POSTGRES_PASSWORD") as caught:
        run("postgres:15", ready=wait.port(5432))
    assert caught.value.exit_code == 1
    assert "POSTGRES_PASSWORD" in caught.value.log
