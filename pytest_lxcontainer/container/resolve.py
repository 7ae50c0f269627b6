"""What a user asked for and what an image says, as the one complete `ContainerSpec` that follows from them.

Where both leave something open, Docker's rules fill it in.
https://github.com/opencontainers/image-spec/blob/main/conversion.md
"""

from __future__ import annotations

import os
import re

from ..errors import InvalidSettingsError
from ..image.config import DEFAULT_STOP_SIGNAL, ImageConfig
from ..image.image import Image
from ..rootfs.stack import Stack
from ..rootfs.users import User, resolve_user
from . import wait
from .exec import argv
from .settings import ContainerSettings
from .signals import signal_number
from .spec import ContainerSpec
from .timing import Observer
from .traits import Readiness, Traits

INITS = frozenset((
    "init", "systemd", "s6-svscan", "runit", "runit-init", "openrc-init", "tini", "tini-static", "dumb-init",
    "catatonit", "docker-init", "my_init",
))  # fmt: skip
"""Programs whose business is to be process 1: systemd, s6 (whose overlay is ``/init``), runit and the small ones."""

SYSTEMD = ("/usr/lib/systemd/systemd", "/lib/systemd/systemd")

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def resolve(
    image: Image, files: Stack, wanted: ContainerSettings, name: str | None, group: tuple[str, ...]
) -> ContainerSpec:
    """The spec of a container of *image*, whose layers hold *files*; *name* is its host name if the settings have none.

    Raises `InvalidSettingsError` for a user that the image does not know, a host name that is none, or when neither
    side says what to run.
    """
    user = _user_of(image, files, wanted.user)
    hostname = _hostname(wanted.hostname or name or image.reference.repository.rpartition("/")[2])
    aliases = tuple(wanted.aliases) + ((name,) if name and name != hostname else ())
    command = _command_of(image, wanted)
    init = _name_of(command[0]) not in INITS if wanted.init is None else wanted.init
    systemd = not init and _is_systemd(files, command[0])
    return ContainerSpec(
        hostname=hostname,
        group=group,
        lower_dirs=tuple(str(path) for path in image.lower_dirs),
        command=command,
        env=tuple(_environment(image.config, wanted, user, hostname).items()),
        cwd=wanted.cwd or image.config.working_dir,
        uid=user.uid,
        gid=user.gid,
        groups=user.groups,
        aliases=aliases,
        mounts=tuple((str(each.source), each.target, each.read_only) for each in wanted.mounts),
        tmpfs=tuple(wanted.tmpfs.items()),
        networks=wanted.networks,
        isolated="isolated" in wanted.network,
        limits=wanted.limits,
        privileged=wanted.privileged,
        cap_add=wanted.cap_add,
        stop_signal=_stop_signal(image.config, systemd),
        init=init,
        systemd=systemd,
        image=image.title,
        volumes=image.config.volumes,
        labels=tuple(wanted.labels.items()),
        tty=wanted.tty,
        stdin=wanted.stdin,
    )


def traits_of(
    image: Image, wanted: ContainerSettings, spec: ContainerSpec, timeout: float, observer: Observer | None
) -> Traits:
    """What a `Container` of *image* knows beside its *spec*; *timeout* (seconds) is for settings without one.

    Without a condition of the user's, it is ready when it is healthy, or else when its first port answers.
    """
    check = image.config.healthcheck
    healthcheck = check if check and check.is_enabled else None
    ports = tuple(dict.fromkeys((*image.config.exposed_ports, *wanted.ports)))
    conditions = wanted.ready
    if conditions is None:
        conditions = ()
        if healthcheck:
            conditions = (wait.healthy(),)
        elif image.config.exposed_ports and wanted.networks:
            conditions = (wait.port(image.config.exposed_ports[0]),)
    return Traits(
        readiness=Readiness(conditions, wanted.timeout or timeout),
        ports=ports,
        healthcheck=healthcheck,
        shell=image.config.shell,
        home=dict(spec.env).get("HOME", "/"),
        observer=observer,
        settings=wanted,
    )


def _command_of(image: Image, wanted: ContainerSettings) -> tuple[str, ...]:
    """Entrypoint and command, with Docker's rule that another entrypoint drops the image's command."""
    config = image.config
    entrypoint = config.entrypoint if wanted.entrypoint is None else tuple(wanted.entrypoint)
    if wanted.command is not None:
        command = argv(wanted.command, config.shell)
    else:
        command = config.cmd if wanted.entrypoint is None else ()
    words = (*entrypoint, *command)
    if not words:
        raise InvalidSettingsError(
            f"image {image.title} says nothing about what to run",
            hint="pass command=…, such as command=['sleep', 'infinity']",
        )
    return words


def _environment(config: ImageConfig, wanted: ContainerSettings, user: User, hostname: str) -> dict[str, str]:
    """The image's variables under those of the settings, over what every process may expect to have."""
    image = dict(entry.split("=", 1) for entry in config.env)
    basics = {"PATH": DEFAULT_PATH, "HOME": user.home, "HOSTNAME": hostname}
    if wanted.tty:
        basics["TERM"] = "xterm"
    return {**basics, **image, **wanted.env}


def _user_of(image: Image, files: Stack, wanted: str | None) -> User:
    spec = image.config.user if wanted is None else wanted
    return resolve_user(spec, files.read("etc/passwd"), files.read("etc/group"))


def _hostname(text: str) -> str:
    """*text* as a host name (RFC 1123): letters, digits and hyphens, at most 63."""
    name = re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-")[:63].strip("-")
    if not name:
        raise InvalidSettingsError(f"{text!r} is no host name", hint="use letters, digits and hyphens")
    return name


def _name_of(word: str) -> str:
    return word.rpartition("/")[2]


def _is_systemd(files: Stack, word: str) -> bool:
    """Whether *word* is systemd, or a link to it as ``/sbin/init`` often is."""
    if _name_of(word) not in ("init", "systemd"):
        return False
    found = files.stat(word)
    programs = map(files.stat, SYSTEMD)
    return found is not None and any(each is not None and os.path.samestat(found, each) for each in programs)


def _stop_signal(config: ImageConfig, systemd: bool) -> int:
    if config.stop_signal == DEFAULT_STOP_SIGNAL and systemd:
        return signal_number("SIGRTMIN+3")  # "halt", in systemd(1); on SIGTERM it executes itself anew
    try:
        return signal_number(config.stop_signal)
    except InvalidSettingsError as error:
        raise InvalidSettingsError(f"the image's stop signal cannot be used: {error.message}") from None
