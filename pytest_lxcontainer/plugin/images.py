"""Which images a run is to use, and did use, by their digests: in its header, its summary and the lock file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from .choice import IMAGE_OF_FIXTURE, made_by_lxc_container, marked, with_param
from .options import any_setting, chosen_images, is_chosen, on_failure_of, settings_of

if TYPE_CHECKING:
    from ..lockfile import Uses

_USES = pytest.StashKey["Uses"]()
_TOLD = pytest.StashKey[dict[str, None]]()
"""Lines of the header, so that the summary need not repeat them."""
_OF_WORKERS = pytest.StashKey[dict[str, None]]()
_NOTICES_OF_WORKERS = pytest.StashKey[dict[str, None]]()
_MODE, _USED, _NOTICES = "lxcontainer_lock", "lxcontainer_used", "lxcontainer_notices"


def uses_of(config: pytest.Config) -> Uses:
    """What pins and notes the run's images in this process; `pytest.UsageError` for a lock file that cannot be used."""
    if _USES not in config.stash:
        from .. import provision
        from ..errors import LockFileError

        try:
            mode = getattr(config, "workerinput", {}).get(_MODE)
            config.stash[_USES] = provision.uses_of(settings_of(config), mode)
        except LockFileError as error:
            raise pytest.UsageError(str(error)) from None
    return config.stash[_USES]


def check_options(config: pytest.Config) -> None:
    """Raise `pytest.UsageError` for an option that cannot be used; free where none is given."""
    if any_setting(config):
        on_failure_of(config)
        uses_of(config)


def prepare_worker(node: Any) -> None:
    """Tell an xdist worker how the run uses its lock file: one worker may write it before another begins."""
    if is_chosen(node.config, "lock"):
        node.workerinput[_MODE] = getattr(uses_of(node.config), "mode", None)


def hand_over(config: pytest.Config) -> None:
    """Save what was used in the lock file, and in a worker tell the controller of it."""
    uses = uses_of(config)
    if hasattr(config, "workeroutput"):
        config.workeroutput[_USED] = list(_used(uses))
        config.workeroutput[_NOTICES] = list(uses.notices)
    uses.save()


def take_over(node: Any) -> None:
    """Remember what the worker that ended has used."""
    output = getattr(node, "workeroutput", {})
    for key, name in ((_OF_WORKERS, _USED), (_NOTICES_OF_WORKERS, _NOTICES)):
        node.config.stash.setdefault(key, {}).update(dict.fromkeys(output.get(name, ())))


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Tell of the lock file and of the images that were given as options."""
    if not is_chosen(config, "image", "lock"):
        return []
    # What is wrong is said once, by `check_options`, and only if a test wants a container.
    with suppress(pytest.UsageError):
        images = chosen_images(config) if is_chosen(config, "image") else []
        return [*_lock_lines(uses_of(config)), *_told(config, images)]
    return []


def pytest_report_collectionfinish(config: pytest.Config, items: list[pytest.Item]) -> list[str]:
    """Tell of the images that are known from the tests themselves."""
    users = [item for item in items if "_lxc_provisioner" in getattr(item, "fixturenames", ())]
    if not users or config.get_verbosity() < 0:
        return []
    with suppress(pytest.UsageError):
        return _told(config, dict.fromkeys(image for item in users for image in _images_of(item)))
    return []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell of the images that were used, unless the header has; all of them where they were written to a lock file."""
    uses = config.stash.get(_USES, None)
    used = dict.fromkeys([*(_used(uses) if uses else ()), *config.stash.get(_OF_WORKERS, {})])
    notices = dict.fromkeys([*(uses.notices if uses else ()), *config.stash.get(_NOTICES_OF_WORKERS, {})])
    if not (used or notices) or config.get_verbosity() < 0:
        return
    from ..lockfile import LockFile

    written = f", pinned in {uses.path}" if isinstance(uses, LockFile) and uses.mode != "locked" else ""
    told = {} if written or config.get_verbosity() > 0 else config.stash.get(_TOLD, {})
    lines = [line for line in map(_line, used) if line not in told]
    lines += [f"lxc notice: {notice}" for notice in notices]
    if lines:
        terminalreporter.write_sep("=", "lxc images" + written)
        for line in lines:
            terminalreporter.write_line(line)


def _used(uses: Uses) -> Iterator[str]:
    from ..lockfile import full_name

    for name, digest in uses.used.items():
        yield full_name(name, digest)


def _line(name: str) -> str:
    return f"lxc image: {name}"


def _lock_lines(uses: Uses) -> list[str]:
    from ..lockfile import LockFile

    if not isinstance(uses, LockFile):
        return []
    count = f"{len(uses.pins)} tag{'s' * (len(uses.pins) != 1)}"
    how = {"locked": f"pins {count}", "new": "to be written", "update": f"pins {count}, to be updated"}
    return [f"lxc lock: {uses.path}: {how[uses.mode]}"]


def _told(config: pytest.Config, images: Iterable[str]) -> list[str]:
    """Lines for those *images* that no line was for yet."""
    told = config.stash.setdefault(_TOLD, {})
    lines = [line for line in dict.fromkeys(_line(_known(config, image)) for image in images) if line not in told]
    told.update(dict.fromkeys(lines))
    return lines


def _known(config: pytest.Config, image: str) -> str:
    """What is known of *image* before anything is pulled, from the lock file, else the store."""
    from ..errors import LxContainerError
    from ..image import Reference, parse_name
    from ..lockfile import full_name
    from ..store.images import ImageStore
    from ..store.layout import Layout

    uses, settings = uses_of(config), settings_of(config)
    try:
        name = parse_name(image)
        if not isinstance(name, Reference):
            return name.familiar
        images = ImageStore(Layout(settings.store))
        record = images.find_record(name, settings.platform)
        if record and record.local:
            return full_name(name, record.digest)
        pinned = uses.pin(name)
    except LxContainerError as error:
        return f"{image} ({error.message})"
    if pinned.digest:
        return full_name(name, pinned.digest)
    return full_name(name, record.resolved) if record else f"{name.familiar} (not pulled yet)"


def _images_of(item: pytest.Item) -> Iterator[str]:
    """The images that *item*'s marker, options and `lxc_container` fixtures name; an `Image` is pulled already."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    for name in getattr(item, "fixturenames", ()):
        made = made_by_lxc_container(item, name)
        if made is None and name != "container":
            continue
        own = marked(item) if made is None else (getattr(made, IMAGE_OF_FIXTURE), {})
        image, _ = with_param(own, params.get(name))
        yield from chosen_images(item.config) if image is None and made is None else _names(image)


def _names(image: Any) -> list[str]:
    from ..image import ArchiveReference, Reference

    return [str(image)] if isinstance(image, (str, Reference, ArchiveReference)) else []
