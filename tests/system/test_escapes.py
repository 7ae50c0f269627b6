"""What a container's processes try in order to get out, and what stops each.

`ATTEMPTS` and `CALLS` are the table: what is tried, who described it, and what the refusal looks like. Each is made
with `exec` and as a container's own command, as the container's root, in root's run and in an ordinary user's. An
attempt that prints ESCAPED has got through; one that fails for another reason than the one named is no proof.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_lxcontainer import Container, wait
from pytest_lxcontainer.provision import Provisioner

from .conftest import Runner, as_root
from .test_inside import host_address

DEBIAN = "debian:bookworm-slim"
"""It has Perl, which can make any system call."""

DENIED = "denied|not permitted|are you root"
ABSENT = "No such file|nonexistent|not found"
READ_ONLY = "Read-only file system"
SECRET = "swordfish-of-the-neighbour"


@dataclass(frozen=True)
class Attempt:
    """Shell *script* prints ESCAPED if it works and else something that matches *refusal*; *source* describes it."""

    name: str
    source: str
    script: str
    refusal: str

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def reading(path: str) -> str:
    """Prints ESCAPED if *path* has content."""
    return f'test "$(cat {path} | head -c 1 | wc -c)" -gt 0 && echo ESCAPED'


def writing(path: str, text: str = "x") -> str:
    """Prints ESCAPED if *text* can be written to *path*."""
    return f"echo '{text}' > {path} && echo ESCAPED"


def mounting(arguments: str) -> str:
    """Prints ESCAPED if something can be mounted with *arguments*."""
    return f"mkdir -p /mnt /up /wk; mount {arguments} /mnt && echo ESCAPED"


MAN_CAPABILITIES = "capabilities(7)"
MAN_NAMESPACES = "namespaces(7)"
RUNC_MASKS = "https://github.com/opencontainers/runtime-spec/blob/main/config-linux.md#masked-paths"
ATTEMPTS = (
    Attempt("host file by proc root", "proc_pid_root(5)", reading("/proc/1/root$CANARY"), f"{DENIED}|{ABSENT}"),
    Attempt("host file by proc cwd", "CVE-2024-21626", reading("/proc/1/cwd/../../../..$CANARY"), f"{DENIED}|{ABSENT}"),
    Attempt("host file by own cwd", "CVE-2024-21626", f"cd /proc/self/cwd; {reading('../../../..$CANARY')}", ABSENT),
    Attempt("host file above the root", "path_resolution(7)", reading("/../../..$CANARY"), ABSENT),
    Attempt(
        "host file by descriptors",
        "CVE-2016-9962",
        "for fd in /proc/[0-9]*/fd/* /proc/[0-9]*/cwd /proc/[0-9]*/root; do "
        "cat $fd$CANARY $fd/..$CANARY $fd/../../../../..$CANARY 2>&1 | grep -q ^canary && echo ESCAPED; done; "
        "cat $CANARY",
        ABSENT,
    ),
    Attempt(
        "host file by chroot",
        "chroot(2): a second chroot leaves the first",
        "mkdir -p /jail/bin; cp /bin/busybox /jail/bin; "
        "chroot /jail /bin/busybox sh -c 'cd ../../../../..; /bin/busybox cat .$CANARY' && echo ESCAPED",
        ABSENT,
    ),
    Attempt("store by its path", "the store's layers", reading("$STORE/."), ABSENT),
    Attempt("executable of process 1", "CVE-2019-5736", reading("/proc/1/exe"), DENIED),
    Attempt("executable of process 1 to write", "CVE-2019-5736", writing("/proc/1/exe"), DENIED),
    Attempt("memory of process 1", "proc_pid_mem(5)", reading("/proc/1/mem"), DENIED),
    Attempt("descriptors of process 1", "CVE-2016-9962", "ls /proc/1/fd && echo ESCAPED", DENIED),
    Attempt("environment of process 1", "proc_pid_environ(5)", reading("/proc/1/environ"), DENIED),
    Attempt("namespaces of process 1", "setns(2)", "nsenter -t 1 -m true && echo ESCAPED", DENIED),
    Attempt("a process of the host", MAN_NAMESPACES, "kill -0 $HOST_PID && echo ESCAPED", "No such process"),
    Attempt("a user namespace within", "CVE-2022-0185", "unshare -U true && echo ESCAPED", DENIED),
    Attempt("a mount namespace within", "CVE-2022-0492", "unshare -m true && echo ESCAPED", DENIED),
    Attempt("a cgroup namespace within", "CVE-2022-0492", "unshare -C true && echo ESCAPED", f"{DENIED}|option"),
    Attempt("mount proc", MAN_CAPABILITIES, mounting("-t proc none"), DENIED),
    Attempt("mount sysfs", MAN_CAPABILITIES, mounting("-t sysfs none"), DENIED),
    Attempt("mount tmpfs", MAN_CAPABILITIES, mounting("-t tmpfs none"), DENIED),
    Attempt("mount cgroup", "CVE-2022-0492", mounting("-t cgroup -o pids none"), DENIED),
    Attempt("mount cgroup2", "CVE-2022-0492", mounting("-t cgroup2 none"), DENIED),
    Attempt("mount overlay", "CVE-2023-0386", mounting("-t overlay -o lowerdir=/,upperdir=/up,workdir=/wk x"), DENIED),
    Attempt("mount a disk", MAN_CAPABILITIES, f"mknod /d b 8 0; {mounting('-t ext4 /d')}", DENIED),
    Attempt("mount bind", MAN_CAPABILITIES, mounting("--bind /proc/1/root"), DENIED),
    Attempt("proc sys writable", RUNC_MASKS, "mount -o remount,rw /proc/sys && echo ESCAPED", DENIED),
    Attempt("sys writable", RUNC_MASKS, "mount -o remount,rw /sys && echo ESCAPED", DENIED),
    Attempt("a mask taken off", RUNC_MASKS, "umount /proc/keys && echo ESCAPED", DENIED),
    Attempt("make a disk", "mknod(2)", "mknod /disk b 8 0 && echo ESCAPED", DENIED),
    Attempt("make mem", "mknod(2)", "mknod /m c 1 1 && echo ESCAPED", DENIED),
    Attempt("make kmsg", "mknod(2)", "mknod /k c 1 11 && echo ESCAPED", DENIED),
    Attempt("open a disk", "mknod(2)", reading("/dev/sda /dev/vda /dev/nvme0n1"), ABSENT),
    Attempt("open mem", "mem(4)", reading("/dev/mem /dev/port /dev/kmem"), ABSENT),
    Attempt("open kmsg", "CVE-2017-14954 and its kind", reading("/dev/kmsg"), ABSENT),
    Attempt("read the kernel's log", "syslog(2)", "dmesg > /tmp/l && test -s /tmp/l && echo ESCAPED", DENIED),
    Attempt("physical memory", RUNC_MASKS, reading("/proc/kcore /proc/kpageflags"), f"{DENIED}|{ABSENT}"),
    Attempt("core pattern", "CVE-2022-0811", writing("/proc/sys/kernel/core_pattern", "|/bin/x"), READ_ONLY),
    Attempt("modprobe path", "proc_sys_kernel(5)", writing("/proc/sys/kernel/modprobe"), f"{READ_ONLY}|{ABSENT}"),
    Attempt("uevent helper", "CVE-2018-6559", writing("/sys/kernel/uevent_helper"), f"{READ_ONLY}|{DENIED}"),
    Attempt("sysrq", "proc_sysrq-trigger(5)", writing("/proc/sysrq-trigger"), f"{READ_ONLY}|{DENIED}|{ABSENT}"),
    Attempt("memory settings", "proc_sys_vm(5)", writing("/proc/sys/vm/panic_on_oom", "1"), READ_ONLY),
    Attempt("binfmt misc", "https://github.com/toffan/binfmt_misc", writing("/proc/sys/fs/binfmt_misc/register"),
            f"{READ_ONLY}|{DENIED}|{ABSENT}"),
    Attempt("interrupts", RUNC_MASKS, writing("/proc/irq/default_smp_affinity", "1"), f"{READ_ONLY}|{DENIED}"),
    Attempt("a block device's settings", "sysfs(5)", "for f in /sys/block/*/queue/read_ahead_kb; do echo 1 > $f && "
            "echo ESCAPED; done", f"{READ_ONLY}|{DENIED}"),
    Attempt("cgroup files", "CVE-2022-0492", "mkdir /sys/fs/cgroup/x && echo ESCAPED; "
            "for f in $(find /sys/fs/cgroup -name release_agent -o -name cgroup.procs -o -name notify_on_release); do "
            "echo 1 > $f && echo ESCAPED; done", f"{READ_ONLY}|{DENIED}|{ABSENT}"),
    Attempt("load a module", "init_module(2)", "echo x > /tmp/x.ko; insmod /tmp/x.ko && echo ESCAPED", DENIED),
    Attempt("set the clock", "settimeofday(2)",
            "date -s 2001-01-01 > /dev/null; test $(date +%Y) = 2001 && echo ESCAPED", DENIED),
    Attempt("restart the host", "reboot(2)", "reboot -f && echo ESCAPED", DENIED),
    Attempt("rename the host", "sethostname(2)", "hostname escaped && echo ESCAPED", DENIED),
    Attempt("swap", "swapon(2)", "dd if=/dev/zero of=/s bs=4096 count=16 2>/dev/null; mkswap /s >/dev/null; "
            "swapon /s && echo ESCAPED", DENIED),
    Attempt("a host's own port", MAN_NAMESPACES, "nc -w 2 127.0.0.1 $PORT </dev/null && echo ESCAPED; "
            "nc -w 2 $HOST_IP $PORT </dev/null && echo ESCAPED; echo over", "over"),
    Attempt("another interface", "ip-link(8)", "ip link add x type dummy && echo ESCAPED", DENIED),
    Attempt("sockets of the host", "unix(7)", "grep -q @ /proc/net/unix && echo ESCAPED; echo over", "over"),
    Attempt("files of LXC", "lxc.container.conf(5)", "ls /.lxc /run/lxc /dev/.lxc && echo ESCAPED", ABSENT),
)  # fmt: skip

CALLS = {
    "add_key": "CVE-2016-0728",
    "bpf": "CVE-2020-8835",
    "clock_settime": "clock_settime(2)",
    "delete_module": "init_module(2)",
    "finit_module": "init_module(2)",
    "fsconfig": "CVE-2022-0185",
    "fsopen": "CVE-2022-0185",
    "init_module": "init_module(2)",
    "io_uring_setup": "CVE-2022-2602",
    "kexec_file_load": "kexec_load(2)",
    "kexec_load": "kexec_load(2)",
    "keyctl": "CVE-2016-0728",
    "mount": "CVE-2022-0185",
    "move_mount": "mount(2)",
    "open_by_handle_at": "the shocker exploit of 2014",
    "open_tree": "mount(2)",
    "perf_event_open": "CVE-2013-2094",
    "pivot_root": "pivot_root(2)",
    "reboot": "reboot(2)",
    "request_key": "CVE-2016-0728",
    "setns": "setns(2)",
    "swapon": "swapon(2)",
    "umount2": "mount(2)",
    "unshare": "CVE-2022-0492",
    "userfaultfd": "CVE-2021-22555, which it made reliable",
}


@pytest.fixture(scope="module")
def canary() -> Iterator[Path]:
    """A file of the host that everyone may read."""
    path = Path(f"/var/tmp/lxcontainer-canary-{os.getpid()}")
    path.write_text("canary")
    path.chmod(0o644)
    yield path
    path.unlink()


@pytest.fixture
def server() -> Iterator[int]:
    """The port of a service on the host's loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def facts(canary: Path, server: int, provisioner: Provisioner) -> dict[str, str]:
    """What a well-informed attacker knows."""
    return {
        "CANARY": str(canary),
        "HOST_PID": str(os.getpid()),
        "PORT": str(server),
        "STORE": str(provisioner.layout.root),
    }


def check(attempt: Attempt, said: str) -> None:
    assert "ESCAPED" not in said
    assert re.search(attempt.refusal, said, re.IGNORECASE), said


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=str)
def test_from_an_exec(box: Container, facts: dict[str, str], attempt: Attempt) -> None:
    result = box.exec(attempt.script, env={**facts, "HOST_IP": host_address(box)}, timeout=20)
    check(attempt, result.stdout + result.stderr)


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=str)
def test_as_the_command(run: Runner, facts: dict[str, str], attempt: Attempt) -> None:
    script = f"{attempt.script}; exit 0"
    container = run(command=script, env={**facts, "HOST_IP": "10.0.0.1"}, ready=wait.exit(0), timeout=30)
    check(attempt, container.logs())


class TestCalls:
    @pytest.fixture
    def debian(self, run: Runner) -> Container:
        return run(DEBIAN, ["sleep", "600"])

    def test_the_kernel_is_not_asked(self, debian: Container) -> None:
        numbers = {call: number_of(call) for call in CALLS}
        lines = [
            f'print "{call} ", (syscall({number}, 0, 0, 0, 0, 0) < 0 ? $!+0 : 0), "\\n";'
            for call, number in numbers.items()
        ]
        said = debian.exec(["perl", "-e", "\n".join(lines)]).check().stdout
        assert dict(line.split() for line in said.splitlines()) == dict.fromkeys(CALLS, "1")

    def test_new_namespaces_by_clone(self, debian: Container) -> None:
        flags = {"NEWUSER": 0x10000000, "NEWNS": 0x20000, "NEWPID": 0x20000000, "NEWNET": 0x40000000}
        lines = [
            f'print "{name} ", (syscall({number_of("clone")}, {flag | 17}, 0, 0, 0, 0) < 0 ? $!+0 : 0), "\\n";'
            for name, flag in flags.items()
        ]
        lines.append(f'print "clone3 ", (syscall({number_of("clone3")}, 0, 0) < 0 ? $!+0 : 0), "\\n";')
        said = debian.exec(["perl", "-e", "$|=1;" + "\n".join(lines)]).check().stdout
        assert dict(line.split() for line in said.splitlines()) == {**dict.fromkeys(flags, "1"), "clone3": "38"}

    def test_typing_into_a_terminal(self, debian: Container) -> None:
        script = 'open(T, "+<", "/dev/ptmx"); $c = "x"; print ioctl(T, 0x5412, $c) ? "ESCAPED" : $!+0, "\\n"'
        assert debian.exec(["perl", "-e", script]).check().stdout == "1\n"

    def test_tracing_process_1(self, debian: Container) -> None:
        script = f'print syscall({number_of("ptrace")}, 16, 1, 0, 0) < 0 ? $!+0 : "ESCAPED", "\\n"'
        assert debian.exec(["perl", "-e", script]).check().stdout == "1\n"

    def test_the_supervisors_socket(self, debian: Container) -> None:
        names = [line.split()[-1][1:] for line in Path("/proc/net/unix").read_text().splitlines() if " @" in line]
        ours = [name for name in names if "lxcontainer" in name]
        assert ours
        lines = [
            "socket(S, PF_UNIX, SOCK_STREAM, 0);"
            f'print connect(S, pack_sockaddr_un("\\0{name}")) ? "ESCAPED" : $!+0, "\\n";'
            for name in ours
        ]
        said = debian.exec(["perl", "-MSocket", "-e", "\n".join(lines)]).check().stdout
        assert set(said.split()) == {"111"}

    def test_the_commands_own_filter_is_the_same(self, run: Runner) -> None:
        calls = {"bpf": 1, "clone3": 38, "keyctl": 1}
        lines = [f'print "{call} ", syscall({number_of(call)}, 0, 0, 0) < 0 ? $!+0 : 0, "\\n";' for call in calls]
        # FIOASYNC (0x5452) has TIOCSTI's bits and is allowed: nginx needs it.
        for name, request in {"typing": 0x5412, "async": 0x5452}.items():
            lines.append(f'$c = pack("i", 0); print "{name} ", ioctl(STDIN, {request}, $c) ? 0 : $!+0, "\\n";')
        container = run(DEBIAN, ["perl", "-e", "\n".join(lines)], ready=wait.exit(0))
        found = {name: int(code) for name, code in map(str.split, container.logs().splitlines())}
        assert found == {**calls, "typing": 1, "async": 0}

    def test_no_hypervisors_socket(self, debian: Container) -> None:
        script = 'print socket(S, 40, 1, 0) ? "ESCAPED" : $!+0, "\\n"'
        assert debian.exec(["perl", "-e", script]).check().stdout == "1\n"


def number_of(call: str) -> int:
    """The number of a system call on this machine."""
    number = int(ctypes.CDLL("libseccomp.so.2").seccomp_syscall_resolve_name(call.encode()))
    assert number >= 0, call
    return number


@pytest.mark.parametrize("user", ["root", "nobody"])
def test_every_process_is_confined(box: Container, user: str) -> None:
    for path in ("/proc/1/status", "/proc/2/status", "/proc/self/status"):
        status = dict(line.split(":", 1) for line in box.exec(["cat", path], user=user).stdout.splitlines())
        assert status["Seccomp"].strip() == "2", path
        assert status["CapBnd"].strip() == "00000000a80425fb", path
        assert status["CapAmb"].strip() == "0" * 16, path


def test_masked_files_are_empty(box: Container) -> None:
    for path in ("keys", "key-users", "timer_list", "interrupts"):
        assert box.check_output(["cat", f"/proc/{path}"]) == ""
    assert box.listdir("/proc/acpi") == box.listdir("/sys/firmware") == []


def test_a_capability_is_there_when_it_is_asked_for(run: Runner) -> None:
    container = run(cap_add=["NET_ADMIN", "sys_admin"])
    container.exec(
        "ip link add x type dummy; ip link set lo mtu 1000 && mkdir -p /mnt && mount -t tmpfs x /mnt"
    ).check()
    assert container.exec("mknod /d b 8 0").exit_code != 0


def test_a_neighbours_secrets_are_not_in_reach(run: Runner) -> None:
    """CVE-2016-9962's kind: what forks for a container is a copy of what forked for the others."""
    run(name="neighbour", env={"PASSWORD": SECRET})
    curious = run(name="curious")
    found = curious.exec(f"grep -l {SECRET} /proc/[0-9]*/environ /proc/1/mem /proc/1/fd/* 2>&1").stdout
    assert "/proc/1/environ: Permission denied" in found
    assert not re.search(r"^/proc/1\S*$", found, re.MULTILINE)


def test_the_interpreter_of_exec_is_not_overwritten(box: Container) -> None:
    """CVE-2019-5736: a program that is a script for whoever executes it, and somebody who waits to write there."""
    interpreter = Path(sys.executable).resolve()
    before = hashlib.sha256(interpreter.read_bytes()).digest()
    box.write_text("/evil", "#!/proc/self/exe\n")
    box.exec(["chmod", "755", "/evil"]).check()
    waiting = box.popen("while :; do for exe in /proc/[0-9]*/exe; do echo x >> $exe; done; done 2>/dev/null")
    with waiting:
        for _ in range(20):
            box.exec(["/evil"])
    assert hashlib.sha256(interpreter.read_bytes()).digest() == before


@pytest.mark.needs_root
def test_privileged_is_said_to_be(run: Runner) -> None:
    assert as_root()
    container = run(privileged=True)
    assert container.check_output("mkdir -p /mnt && mount -t tmpfs x /mnt && echo mounted") == "mounted"
    assert container.pid is not None
    assert os.readlink(f"/proc/{container.pid}/ns/user") == os.readlink("/proc/self/ns/user")


@pytest.mark.parametrize("init", [True, False])
def test_the_images_variables_reach_no_program_of_the_host(run: Runner, tmp_path: Path, init: bool) -> None:
    """Such as LD_PRELOAD, which names what a shell that LXC runs would load."""
    # ld.so(8) writes a file for each program that is started with these, before the program does anything.
    env = {"LD_DEBUG": "libs", "LD_DEBUG_OUTPUT": f"{tmp_path}/trace"}
    box = run(env=env, cap_add=["SYS_BOOT"], init=init)
    assert box.check_output("echo $LD_DEBUG_OUTPUT") == env["LD_DEBUG_OUTPUT"]
    box.lxc_config_item("lxc.uts.name")
    box.restart()
    box.stop()
    assert list(tmp_path.iterdir()) == []
