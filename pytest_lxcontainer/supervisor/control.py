"""The supervisor's side of `Control`: what is done to the machinery of one container."""

from __future__ import annotations

import errno
import os
import re
import stat
import subprocess
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from ..container import liblxc
from ..container.device import device_node
from ..container.limits import Limits, read_limits, write_limits
from ..errors import (
    InvalidSettingsError,
    KernelRefusedError,
    NotPermittedError,
    SupervisorError,
    UnknownItemError,
)
from ..network.links import give_address, into_namespace, out_of_namespace, switch_on
from . import network_control, refusals
from .life import Life
from .loop import until_gone
from .work import put, take_away

CONFIG_TIMEOUT = 5.0
"""Seconds LXC's monitor has to tell its configuration."""

_FILE_NAME = re.compile(r"[\w-]+(\.[\w-]+)+")


async def perform(life: Life, operation: str, arguments: Mapping[str, Any]) -> Any:
    """Do *operation*, of `Control` or `NetworkControl`, to *life*'s container; what it gives travels as JSON."""
    handler = _OPERATIONS.get(operation) or network_control.OPERATIONS.get(operation)
    if handler is None:
        raise SupervisorError(f"the supervisor knows no operation {operation!r}")
    return await handler(life, **arguments)


async def _limits(life: Life) -> dict[str, Any]:
    life.notice_end()
    if life.boot is None or not life.boot.executed:
        return asdict(life.spec.limits)
    cgroups = life.own_cgroups()
    return read_limits(cgroups, life.host.hierarchies.limits_on_v1, life.host.disks)


async def _set_limits(life: Life, changes: dict[str, Any]) -> dict[str, Any]:
    known = {field.name for field in fields(Limits)}
    if unknown := changes.keys() - known:
        raise InvalidSettingsError(
            f"limits: no such limit: {', '.join(sorted(unknown))}", hint=f"there are: {' '.join(sorted(known))}"
        )
    limits = replace(life.spec.limits, **changes)
    refusals.check_limits(life.name, limits, changes, life.host)
    life.notice_end()
    if life.boot is not None and life.boot.executed:
        try:
            write_limits(limits, set(changes), life.own_cgroups(), life.host.hierarchies.limits_on_v1, life.host.disks)
        except OSError as error:
            raise _refused(life, f"{Path(str(error.filename or 'limits')).name} cannot be changed", error) from None
        life.spec = replace(life.spec, limits=limits)
        life.guard_memory()
    else:
        life.spec = replace(life.spec, limits=limits)
    return await _limits(life)


async def _cgroup_item(life: Life, key: str) -> str:
    path = _cgroup_file(life, key)
    try:
        return path.read_text().removesuffix("\n")
    except OSError as error:
        raise _refused(life, f"cgroup file {key} cannot be read", error) from None


async def _set_cgroup_item(life: Life, key: str, value: str) -> None:
    path = _cgroup_file(life, key)
    try:
        path.write_text(value)
    except OSError as error:
        raise _refused(life, f"cgroup file {key} does not take {value!r}", error) from None


def _cgroup_file(life: Life, key: str) -> Path:
    life.running()
    cgroups = life.own_cgroups()
    if not cgroups:
        raise refusals.not_delegated(life.name, f"cgroup file {key}", life.host)
    named = [cgroups[each] for each in (key.partition(".")[0], "") if each in cgroups]
    for directory in dict.fromkeys([*named, *cgroups.values()]):
        if _FILE_NAME.fullmatch(key) and (directory / key).is_file():
            return directory / key
    alike = sorted(each.name for directory in named[:1] for each in directory.glob("*.*"))
    raise UnknownItemError(
        f"container {life.name}: no file {key} in its cgroup",
        container=life.name,
        details=f"there are: {' '.join(alike)}",
        hint="names differ between cgroup v1 and v2",
    )


async def _config_item(life: Life, key: str) -> str:
    found = await _ask_lxc(life, key)
    if found is None:
        raise UnknownItemError(
            f"LXC knows no configuration key {key}", container=life.name, hint="see lxc.container.conf(5)"
        )
    return str(found)


async def _config_keys(life: Life) -> list[str]:
    return list(await _ask_lxc(life, None) or ())


async def _ask_lxc(life: Life, key: str | None) -> Any:
    life.notice_end()
    if life.boot is None:
        life.write_config()
    return await _answer(liblxc.start_reader(life.name, life.lxcpath, key, dict(life.spec.env)))


async def _answer(reader: liblxc.Reader) -> Any:
    """Of a process of its own: LXC asks the monitor, and nothing may hold the loop up."""
    if not await until_gone(reader.pid, CONFIG_TIMEOUT):
        reader.kill()
    return reader.result()


async def _add_device(life: Life, host_path: str, path: str) -> None:
    boot = life.running()
    stage = life.stage
    if stage is None:
        raise _not_permitted(life, "add_device")
    if not path.startswith("/"):
        raise InvalidSettingsError(f"add_device: {path!r} is no absolute path")
    try:
        life.thawed()
        device = os.stat(host_path)
        node = stage / f"{life.name}.{uuid.uuid4().hex}"
        with device_node(device, node, life.idmap):
            await put(life, str(node), {"path": path, "is_dir": False, "is_new": True})
        if life.spec.privileged:
            await _allow(life, boot.cgroups, device)
    except OSError as error:
        raise _refused(life, f"device {host_path} cannot be added as {path}", error) from None
    boot.devices.add(path)


async def _allow(life: Life, cgroups: Mapping[str, Path], device: os.stat_result) -> None:
    """Its cgroup keeps a privileged container from devices: on v1 by a file, on v2 by a program that LXC wrote."""
    kind = "b" if stat.S_ISBLK(device.st_mode) else "c"
    item = f"{kind} {os.major(device.st_rdev)}:{os.minor(device.st_rdev)} rwm"
    if "devices" in cgroups:
        (cgroups["devices"] / "devices.allow").write_text(item)
    elif not life.host.hierarchies.limits_on_v1 and not await _answer(
        liblxc.start_allowing(life.name, life.lxcpath, item, dict(life.spec.env))
    ):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))


async def _remove_device(life: Life, path: str) -> None:
    boot = life.running()
    if life.stage is None:
        raise _not_permitted(life, "remove_device")
    if path not in boot.devices:
        raise UnknownItemError(f"container {life.name}: {path} is not from add_device", container=life.name)
    try:
        life.thawed()
        await take_away(life, path)
    except OSError as error:
        raise _refused(life, f"device {path} cannot be removed", error) from None
    boot.devices.discard(path)


async def _attach_interface(life: Life, host_name: str, inside: str, address: str | None) -> None:
    boot = life.running()
    if not life.host.is_root:
        raise _not_permitted(life, "attach_interface")
    if "/" in host_name or not Path("/sys/class/net", host_name).exists():
        raise UnknownItemError(f"the host has no network interface {host_name!r}", container=life.name)
    assert boot.entry is not None  # running implies it
    what = f"interface {host_name} cannot be attached as {inside}"
    # The kernel would move it first and then find the name taken.
    if f"{inside}:" in Path(f"/proc/{boot.entry}/net/dev").read_text().split():
        raise _refused(life, what, OSError(errno.EEXIST, os.strerror(errno.EEXIST)))
    await _run(life, what, into_namespace(host_name, boot.entry, inside))
    boot.interfaces[inside] = host_name
    if address is not None:
        await _run(life, what, give_address(boot.entry, inside, address))
    await _run(life, what, switch_on(boot.entry, inside))


async def _detach_interface(life: Life, inside: str, host_name: str | None) -> None:
    boot = life.running()
    if not life.host.is_root:
        raise _not_permitted(life, "detach_interface")
    if inside not in boot.interfaces:
        raise UnknownItemError(f"container {life.name}: {inside!r} is not from attach_interface", container=life.name)
    assert boot.entry is not None  # running implies it
    back = host_name or boot.interfaces[inside]
    await _run(life, f"interface {inside} cannot be detached", out_of_namespace(inside, boot.entry, back))
    del boot.interfaces[inside]


async def _run(life: Life, what: str, command: list[str]) -> None:
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    await until_gone(process.pid)
    _, complaint = process.communicate()
    if process.returncode:
        raise KernelRefusedError(f"container {life.name}: {what}", container=life.name, details=complaint.strip())


def _refused(life: Life, what: str, error: OSError) -> KernelRefusedError:
    return KernelRefusedError(
        f"container {life.name}: {what}: {error.strerror}", errno=error.errno or 0, container=life.name
    )


def _not_permitted(life: Life, what: str) -> NotPermittedError:
    return NotPermittedError(
        f"{what}: only root may, and this run is {life.host.user}'s", container=life.name, hint="run pytest as root"
    )


_OPERATIONS: Mapping[str, Callable[..., Awaitable[Any]]] = {
    "limits": _limits,
    "set_limits": _set_limits,
    "cgroup_item": _cgroup_item,
    "set_cgroup_item": _set_cgroup_item,
    "config_item": _config_item,
    "config_keys": _config_keys,
    "add_device": _add_device,
    "remove_device": _remove_device,
    "attach_interface": _attach_interface,
    "detach_interface": _detach_interface,
}
