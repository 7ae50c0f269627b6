"""What go-lxc and three Python peers let a tester do, beside what does it here; the pages of it are made from this.

Names of ours: ``.exec`` is a method or attribute of `Container`, ``=env`` a setting, ``--lxc-pull`` an option, anything
else what the package exports or a fixture. ``scripts/parity-pages`` writes the pages; `tests.docs.test_parity` checks that
they are up to date and that everything named here exists.
"""
# ruff: noqa: E501 - a line of a table is a line of the page

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]

MEANINGS = {
    "core": "for every test",
    "useful": "for some tests",
    "none": "without meaning for a test's container",
}

# methods | mark | ours | note
GO_LXC = """
Name String | core | .name | `repr` has the image too
Defined | core | .status errors.DestroyedError | there is no container that is only defined
Running | core | .running | also while it is frozen
Controllable | useful | errors.NotPermittedError errors.NotDelegatedError | what this user may not do says so when it is asked for
State | core | .state |
InitPid | core | .pid | `None`, not -1, unless it runs
InitPidFd | useful | .pid | `os.pidfd_open(container.pid)`
DevptsFd SeccompNotifyFd SeccompNotifyFdActive | none | | descriptors of LXC's own
Release | none | | references are Python's to count
SetTimeout | useful | --lxc-timeout =timeout | no call of ours waits for a monitor that hangs
Daemonize WantDaemonize | useful | .start | it is always in the background, and ends with the run
WantCloseAllFds | core | .start | always
SetVerbosity | none | | nothing prints
Create | none | | images take the place of templates
Start | core | .start | returns when it is ready, not when it is forked
StartWithArgs | core | =command =init | `init=False`: process 1
StartExecute | core | =command | below a small init that reaps and forwards
Execute | core | Provisioner.run wait.exit .logs | with `ready=wait.exit()` it has ended when `run` returns
Stop | core | .kill .destroy |
Shutdown | core | .stop | the image's STOPSIGNAL; after 1 s, or `timeout`, SIGKILL
Reboot | none | | an application is restarted: `restart`
Freeze Unfreeze | useful | .freeze .unfreeze |
Wait | core | .wait .wait_for | interruptible, unlike liblxc's
Destroy DestroyWithAllSnapshots | core | .destroy | the fixture does it
Clone | core | Provisioner.run .snapshot | every container is a clone of an image, or of a snapshot
Rename | none | | `hostname=` names it before it is made
CreateSnapshot | core | .snapshot | running or stopped
Snapshots | core | .snapshots |
RestoreSnapshot | core | .restore |
DestroySnapshot DestroyAllSnapshots | core | .destroy | snapshots end with the run
ConfigFileName ConfigPath SetConfigPath | useful | --lxc-store | `STORE/runs/RUN/NAME/config`
ConfigItem RunningConfigItem | core | .lxc_config_item | one method: the running value while it runs
ConfigKeys | core | .lxc_config_keys |
SetConfigItem ClearConfigItem ClearConfig | core | ContainerSettings Limits .set_limits | settings, checked and typed, in place of LXC's text
LoadConfigFile SaveConfigFile | core | ContainerSettings lxc_container | a container's description is Python
CgroupItem SetCgroupItem | core | .cgroup_item .set_cgroup_item | v1 and v2
MemoryUsage | core | Stats.memory_usage Stats.memory_peak | v1, v2 or /proc
MemoryLimit SetMemoryLimit | core | Limits.memory .limits .set_limits Stats.memory_limit |
SoftMemoryLimit SetSoftMemoryLimit | useful | Limits.soft_memory .limits .set_limits | `memory.low` on v2
KernelMemoryUsage | useful | Stats.kernel_memory_usage |
KernelMemoryLimit SetKernelMemoryLimit | none | | Linux has removed it
MemorySwapUsage | useful | Stats.swap_usage | swap alone, without memory
MemorySwapLimit SetMemorySwapLimit | useful | Limits.swap .limits .set_limits Stats.swap_limit | on top of memory
BlkioUsage | core | Stats.io_read Stats.io_write | apart; limits: `Limits.io_read`, `Limits.io_write`
CPUTime | core | Stats.cpu_time | seconds
CPUTimePerCPU | core | Stats.cpu_time_per_cpu | v1 only: v2 does not count it
CPUStats | core | Stats.cpu_user Stats.cpu_system | seconds, not ticks
Interfaces | core | .interfaces |
InterfaceStats | useful | Stats.networks InterfaceStats.rx_bytes InterfaceStats.tx_bytes | by name, as the container sees it
IPAddress IPv4Address | core | .ip |
IPAddresses IPv4Addresses | core | .ips |
IPv6Address IPv6Addresses | core | .ips | all there are; none of them is an IPv6 one
WaitIPAddresses | core | .ip | known before it is started
AttachShell | useful | .shell .exec_interactive | with a terminal of the container's
RunCommand RunCommandStatus | core | .exec .check_output ExecResult.exit_code ExecResult.stdout ExecResult.stderr |
RunCommandNoWait | core | .popen |
Console | useful | .attach | with `tty` and `stdin` among its settings
ConsoleFd | none | | `attach` takes descriptors
ConsoleLog | core | .logs .follow_logs .log_tail |
LogFile SetLogFile LogLevel SetLogLevel | core | errors.StartFailedError | LXC's log is kept, and what it says is in the error
ErrorNum | useful | .exit_code StatusField.reason |
AddDeviceNode | useful | .add_device | usable in a user namespace too
RemoveDeviceNode | useful | .remove_device |
AttachInterface | useful | .attach_interface | with an address if wanted
DetachInterface DetachInterfaceRename | useful | .detach_interface |
Checkpoint Restore Migrate | none | | CRIU, which does not work unprivileged
"""

# go-lxc's tests | ours, FILE:NAME below tests/, without "test_" | or why not
GO_LXC_TESTS = """
TestVersion TestRuntimeLiblxcVersionAtLeast | unit/cli/doctor_checks:lxc_4_is_the_oldest |
TestDefaultConfigPath TestSetConfigPath | system/supervisor:an_ordinary_end_leaves_nothing | configuration is in the run's directory
TestAcquire TestBackendStore | | Go's bindings only
TestConcurrentDefined_Negative TestDefined_Negative TestDefined_Positive TestConcurrentDefined_Positive | system/states:every_operation_succeeds_or_names_the_state | a container object is always defined until it is destroyed
TestSetVerbosity | | nothing prints
TestCreate TestClone TestCloneUsingOverlayfs | system/life:it_runs_until_it_is_destroyed system/snapshots:a_clone_has_what_was_written_and_shares_the_layers_below |
TestConcurrentCreate TestConcurrentStart | system/life:containers_start_from_several_threads_at_once |
TestCreateSnapshot TestCreateSnapshots TestSnapshots | system/snapshots:names_are_shown_and_numbered system/snapshots:a_running_container_goes_on |
TestRestoreSnapshot | system/snapshots:it_runs_again_with_the_files_address_and_log_it_had |
TestDestroySnapshot TestDestroyAllSnapshots | system/snapshots:it_goes_with_its_run |
TestConfigFileName TestLoadConfigFile TestSaveConfigFile | | LXC's file is written from the settings, not by a user
TestInitPid_Negative TestInitPid_Positive TestStart TestRunning TestState | contract/backend:a_created_container_has_an_address_and_does_not_run contract/backend:start_returns_the_running_container |
TestWaitIPAddresses TestIPAddress TestIPv4Address TestIPv46ddress TestIPv4Addresses | system/inside:it_has_its_address_and_reaches_the_host |
TestIPv6Addresses | | containers have IPv4 addresses only
TestControllable | system/low_level:only_root_may system/limits:without_delegation_one_error_names_it | what this user may not do is an error that says so
TestContainerNames TestDefinedContainerNames TestActiveContainerNames TestContainers TestDefinedContainers TestActiveContainers | system/life:the_table_of_a_run_lists_the_living | of the run: others are nobody's business
TestWantDaemonize | system/go_lxc:a_container_is_in_the_background_and_the_test_goes_on | always
TestWantCloseAllFds | system/go_lxc:the_command_has_its_three_streams_and_no_other_descriptor contract/backend:it_inherits_its_three_streams_and_nothing_else | always
TestSetLogLevel TestSetLogFile | system/go_lxc:what_lxc_refuses_is_said_in_its_own_words | the log is the package's
TestName | unit/container/container:it_knows_what_it_was_made_of |
TestFreeze TestUnfreeze | system/life:a_frozen_container_stands_still_until_it_is_unfrozen contract/backend:what_is_frozen_cannot_be_frozen_again |
TestConfigItem TestRunningConfigItem TestConfigKeys TestSupportedConfigItems | system/low_level:configuration_is_as_lxc_has_it |
TestSetConfigItem | plugin/choosing:settings_reach_the_container | settings take the place of LXC's keys
TestClearConfigItem | unit/container/lxc_config:all_keeps_every_one | `cap_add="ALL"` for an empty `lxc.cap.drop`
TestSetCgroupItem | system/low_level:cgroup_files_are_read_and_written_by_the_kernels_names |
TestInterfaces | unit/container/container:interfaces_have_the_loopback_first |
TestInterfaceStats | system/limits:traffic_is_counted_as_the_container_sees_it |
TestMemoryUsage TestKernelMemoryUsage TestMemorySwapUsage TestBlkioUsage TestCPUTime TestCPUStats | system/limits:the_figures_are_complete unit/container/stats:v1_and_v2_tell_the_same_of_the_same_usage |
TestCPUTimePerCPU | unit/container/stats:v1_tells_the_time_of_each_processor |
TestMemoryLimit TestSoftMemoryLimit TestMemorySwapLimit | system/limits:limits_are_enforced_and_can_be_read system/limits:swap_counts_on_top_of_memory |
TestSetMemoryLimit TestSetSoftMemoryLimit TestSetMemorySwapLimit | system/limits:limits_change_while_it_runs_and_are_lifted |
TestKernelMemoryLimit TestSetKernelMemoryLimit | | Linux has removed it
TestRunCommandNoWait | system/exec:popen_has_live_streams |
TestRunCommand | system/exec:streams_stay_apart |
TestCommandWithEnv | system/exec:its_environment_is_the_containers_with_its_own_on_top |
TestCommandWithEnvToKeep | system/exec:nothing_of_the_hosts_environment_is_in_the_container | none is ever kept
TestCommandWithCwd | system/exec:its_working_directory_is_the_one_asked_for |
TestCommandWithUIDGID | system/exec:it_runs_as_the_user_asked_for |
TestCommandWithArch | | images run on their own platform
TestConsoleFd | | no terminal
TestAddDeviceNode TestRemoveDeviceNode | system/low_level:a_device_of_the_hosts_can_be_used_inside |
TestReboot | system/life:a_restart_keeps_address_and_files | an application is restarted
TestShutdown | system/life:stop_sends_the_stop_signal_and_tells_the_exit_code |
TestConcurrentShutdown TestConcurrentDestroy | system/go_lxc:containers_stop_and_are_destroyed_from_several_threads_at_once |
TestStop | system/life:kill_sends_any_signal |
TestDestroy | contract/backend:a_destroyed_container_is_unknown |
"""

# feature | theirs | ours | or why not
TESTCONTAINERS = """
start and end | `DockerContainer(image)`, `with`, `start` `stop` | Provisioner.run .start .stop .destroy |
environment, command, name | `with_env` `with_envs` `with_command` `with_name` `with_kwargs` | =env =command =hostname =entrypoint =user =cwd |
environment from a file | `with_env_file` | =env | `dict` from any parser
image prefix | `TESTCONTAINERS_HUB_IMAGE_NAME_PREFIX` | --lxc-mirror |
registry credentials | `DOCKER_AUTH_CONFIG` | --lxc-mirror | Docker's own config file and credential helpers are read
building an image | `DockerImage(path).build` | | images come from registries and archives
compose | `DockerCompose` | Containers.run_all | several containers are started side by side from Python
exec | `exec(cmd)`, `ExecConfig` | .exec .check_output ExecResult.stdout ExecResult.stderr ExecResult.exit_code | streams apart, as text or bytes
files | `copy_into_container` `copy_from_container` `with_copy_into_container` | .copy_in .copy_out .write_text .read_text |
mounts | `with_volume_mapping` `with_tmpfs_mount` | =mounts =tmpfs Mount .mount .unmount |
address and ports | `get_container_host_ip` `get_exposed_port` `with_exposed_ports` `with_bind_ports` | .ip .url =ports .ports | the container's own address: nothing is forwarded
networks | `Network` `with_network` `with_network_aliases` | containers Containers.network =aliases =network | a network for each test, which resolves names, and further ones
waiting | `waiting_for` | =ready .wait_for |
for a line of the log | `LogMessageWaitStrategy` | wait.log |
for HTTP | `HttpWaitStrategy` | wait.http |
for a port | `PortWaitStrategy` | wait.port |
for health | `HealthcheckWaitStrategy` | wait.healthy |
for a command | `ExecWaitStrategy` | wait.exec |
for a file | `FileExistsWaitStrategy` | wait.file |
for a state | `ContainerStatusWaitStrategy` | .wait wait.exit |
for several | `CompositeWaitStrategy` | wait.all_of wait.any_of |
how often is looked | `TC_POOLING_INTERVAL` (1 s) | | milliseconds
logs | `get_logs` | .logs .log_tail .follow_logs |
limits | `with_kwargs(mem_limit=)` | =limits Limits .set_limits |
reaper | Ryuk | | the supervisor ends with the test run, by the kernel's word
types | `py.typed` | Container | `py.typed`
"""

PYTEST_DOCKER_TOOLS = """
containers as fixtures | `container(image=..., scope=...)` | lxc_container | also `scope="run"`
pulling | `fetch(repository=)` | Images.pull --lxc-pull |
images by digest, locally | `image` `image_or_build` | Provisioner.pull |
building an image | `build(path=)` | | images come from registries and archives
networks | `network()` | containers Containers.network =network |
volumes with content | `volume(initial_content=)` | =mounts =tmpfs .copy_in .write_text |
Docker's client | `docker_client` | Provisioner |
fixtures' values in settings | `'{redis.ips.primary}'` `fxtr()` | lxc_container | `env=lambda redis: {"HOST": redis.ip}`
readiness | `ready()`: listening sockets | wait.port =ready |
exec | `exec_run` | .exec |
files | `get_files` `get_text` | .read_text .read_bytes .copy_out .listdir |
address | `ips.primary` `ips[network]` | .ip .ips |
ports | `ports['80/tcp'][0]` `get_addr('80/tcp')` | .ports .url |
environment, name | `env` `name` `id` `status` | .env .name .state |
life | `restart` `kill` `remove` | .restart .kill .destroy |
logs | `logs()`, and a section of the report | .logs | of every container of a failed test
scopes | `scope=`, also a function | lxc_container | also a function, and `"run"`
reuse between runs | `--reuse-containers` | | a fresh clone costs milliseconds
leftovers | a label to find them by | | the supervisor removes them, and the next run what it left
"""

PYTEST_CONTAINER = """
containers as fixtures | `container` `container_per_test` `auto_container` `auto_container_per_test` | container lxc_container |
over several images | `CONTAINER_IMAGES` `auto_container_parametrize` | --lxc-image lxc_container | `pytest.mark.parametrize` and fixture parameters
pods | `pod` `pod_per_test` | containers | one network, names that resolve
engine | `container_runtime` | | LXC
pulling | `PULL_ALWAYS` | --lxc-pull |
building an image | `DerivedContainer` `MultiStageBuild` | .snapshot .diff | a prepared container's snapshot is an image
command, entry point | `extra_launch_args` `extra_entrypoint_args` `custom_entry_point` `entry_point` | =command =entrypoint |
environment | `extra_environment_variables` | =env |
exec | `connection.run` `connection.check_output` `connection.run_expect` | .exec .check_output ExecResult.check |
files of the image | `connection.file` | .read_text .exists .listdir |
mounts | `BindMount` `ContainerVolume` `volume_mounts` | =mounts =tmpfs Mount |
ports | `forwarded_ports` `forwarded_ports[i].host_port` | .ports .url | nothing is forwarded
address | `inspect.network.ip_address` | .ip |
health | HEALTHCHECK `healthcheck_timeout_ms` | wait.healthy .healthcheck =timeout |
inspect | `inspect.state.oom_killed` `inspect.config` | StatusField.reason Stats.oom_kills .labels .env .command |
logs | `read_container_logs` | .logs |
one container for all xdist workers | | lxc_container | `scope="run"`
locks between workers | `filelock` on pull and build | Provisioner.pull | each blob and layer is fetched and unpacked by one process
images that boot systemd | `auto_container`, with Podman | =init | the image's init is process 1
rootless | Podman | Container | the same containers, for root and for ordinary users
"""

OTHERS = """
services of a compose file | pytest-docker `docker_services` `docker_compose_file` `docker_setup` `docker_cleanup`; lovely-pytest-docker | Containers.run_all lxc_container | settings in Python
address and port | pytest-docker `docker_ip` `docker_services.port_for`; lovely-pytest-docker `wait_for_service` | .ip .url | nothing is forwarded
waiting for a service | pytest-docker `wait_until_responsive(check, timeout, pause)` | =ready .wait_for | any function that takes the container
scope of the services | pytest-docker `--container-scope` | lxc_container | `scope=`, which may be a function of the options
a database of a test's own | pytest-databases `xdist_postgres_isolation_level` | lxc_container .snapshot | `scope="run"` and a fixture on it, or a clone of a snapshot
databases as fixtures | pytest-databases `postgres_service` `postgres_connection` `redis_service` ... | lxc_container | one line for each; clients and passwords are the project's
keeping containers for the next run | pytest-xdocker `--keepalive`, `--xrestart` | | a fresh clone costs milliseconds
commands | lovely-pytest-docker `execute`; testinfra `host.run` `check_output` `run_test` `run_expect` | .exec .check_output ExecResult.check |
files | testinfra `host.file(path)` | .read_text .exists .listdir | owners and modes: `exec` of `stat`
ports and sockets | testinfra `host.addr(...).port(n)` `host.socket` | wait.port |
services of a system | testinfra `host.service` | .exec | of `systemctl`
several hosts | testinfra `--hosts` | --lxc-image lxc_container | parameters
"""

PEERS = (
    ("testcontainers-python", TESTCONTAINERS),
    ("pytest-docker-tools", PYTEST_DOCKER_TOOLS),
    ("pytest-container", PYTEST_CONTAINER),
    ("pytest-docker, pytest-databases, lovely-pytest-docker, pytest-xdocker, testinfra", OTHERS),
)


class Row(NamedTuple):
    """Cells of a line."""

    first: str
    second: str
    ours: tuple[str, ...]
    note: str


def rows(table: str) -> list[Row]:
    """The lines of a table with four cells."""
    cells = [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]
    return [Row(first, second, tuple(ours.split()), note) for first, second, ours, note in cells]


def walked() -> list[tuple[tuple[str, ...], tuple[str, ...], str]]:
    """go-lxc's tests with ours, as (their names, FILE:NAME, note)."""
    cells = [[cell.strip() for cell in line.split("|")] for line in GO_LXC_TESTS.strip().splitlines()]
    return [(tuple(theirs.split()), tuple(ours.split()), note) for theirs, ours, note in cells]


def exists(name: str) -> bool:
    """Whether *name*, as the tables write it, is there."""
    import pytest_lxcontainer
    from pytest_lxcontainer.container.backend import Status
    from pytest_lxcontainer.container.settings import ContainerSettings
    from pytest_lxcontainer.container.stats import InterfaceStats
    from pytest_lxcontainer.plugin import fixtures

    if name.startswith("--"):
        return f"`{name}" in (ROOT / "docs" / "reference" / "options.md").read_text(encoding="utf-8")
    if name.startswith("="):
        return name[1:] in {field.name for field in dataclasses.fields(ContainerSettings)}
    home, _, attribute = name.rpartition(".") if "." in name else (name, "", "")
    if not home:
        return hasattr(pytest_lxcontainer.Container, attribute)
    homes: dict[str, Any] = {"StatusField": Status, "InterfaceStats": InterfaceStats, **vars(fixtures)}
    found = homes.get(home) or getattr(pytest_lxcontainer, home)
    return not attribute or hasattr(found, attribute)


_SHOWN = {"StatusField": "status()", "Stats": "stats()", "InterfaceStats": "stats().networks[name]"}


def shown(name: str) -> str:
    """*name* as a reader knows it."""
    if name.startswith("."):
        return f"`{name[1:]}`"
    if name.startswith("="):
        return f"`{name[1:]}=`"
    home, dot, attribute = name.rpartition(".")
    return f"`{_SHOWN.get(home, home)}{dot}{attribute}`"


def pages() -> Iterator[tuple[Path, str]]:
    """Every page with its text."""
    yield ROOT / "docs" / "reference" / "go-lxc.md", _go_lxc()
    yield ROOT / "docs" / "reference" / "peers.md", _peers()


def _go_lxc() -> str:
    lines = [
        "# go-lxc's methods and ours",
        "",
        "Made by `scripts/parity-pages`. Every exported method of [go-lxc](https://github.com/lxc/go-lxc)'s `Container`,",
        "and what does the same for a test here. Plain names are [`Container`](container.md)'s; `name=` is a",
        "[setting](fixtures.md#settings).",
        "",
        "| go-lxc | meaning | here | note |",
        "|---|---|---|---|",
    ]
    for row in rows(GO_LXC):
        theirs = ", ".join(f"`{name}`" for name in row.first.split())
        lines.append(f"| {theirs} | {MEANINGS[row.second]} | {', '.join(map(shown, row.ours)) or '-'} | {row.note} |")
    lines += ["", "## Its tests", "", "| go-lxc | here | note |", "|---|---|---|"]
    for theirs, ours, note in walked():
        links = ", ".join(_test_link(each) for each in ours)
        lines.append(f"| {', '.join(f'`{name}`' for name in theirs)} | {links or '-'} | {note} |")
    return "\n".join(lines) + "\n"


def _test_link(test: str) -> str:
    path, name = place_of(test)
    relative = path.relative_to(ROOT)
    return f"[{name or relative.name}](../../{relative})"


def place_of(test: str) -> tuple[Path, str]:
    """File and function of ``DIRECTORY/FILE:NAME``; no name stands for the whole file."""
    place, _, name = test.partition(":")
    directory, _, file = place.rpartition("/")
    return ROOT / "tests" / directory / f"test_{file}.py", f"test_{name}" if name else ""


def _peers() -> str:
    lines = [
        "# Coming from another tool",
        "",
        "Made by `scripts/parity-pages`. What testcontainers-python, pytest-docker-tools, pytest-container and others let a",
        "test do, and what does the same here. Plain names are [`Container`](container.md)'s; `name=` is a",
        "[setting](fixtures.md#settings).",
    ]
    for peer, table in PEERS:
        lines += ["", f"## {peer}", "", "| to do | there | here | note |", "|---|---|---|---|"]
        for row in rows(table):
            lines.append(
                f"| {row.first} | {row.second or '-'} | {', '.join(map(shown, row.ours)) or '-'} | {row.note} |"
            )
    return "\n".join(lines) + "\n"


def functions_in(path: Path) -> set[str]:
    """Names of the tests in a file."""
    return set(re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8")))
