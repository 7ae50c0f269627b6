"""What is known of a container when a test has failed, as plain values: for the report, and whatever else reads it.

A report's attribute ``lxcontainer`` is a list of these, one for each container; with xdist it goes to the controller.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from .network import captures_of, faults_of

if TYPE_CHECKING:
    from ..container.container import Container
    from ..container.history import Ran

T = TypeVar("T")
Evidence = dict[str, Any]

ATTRIBUTE = "lxcontainer"
"""Of a `pytest.TestReport`: the list of `Evidence`."""

_SURROGATES = re.compile("[\ud800-\udfff]")
_THREADS = 4


@dataclass(frozen=True, slots=True)
class Detail:
    """How much is told: lines of the log, commands, lines of a file's diff (``None``: all), `rootfs.changes.Bounds`."""

    log_lines: int | None = 50
    commands: int | None = 20
    diff_lines: int | None = 20
    bounds: Mapping[str, Any] = field(default_factory=dict)


SHORT = Detail()
WHOLE = Detail(None, None, None, {"seconds": 2.0, "entries": 100_000, "lines": 1000, "crowd": 0, "texts": 100})


def gathered(containers: Sequence[Container], test: str, detail: Detail) -> list[Evidence]:
    """The evidence of *containers* for the report of *test* (its node id), which is never without because of one."""
    if len(containers) < 2:
        return [evidence_of(each, test, detail) for each in containers]
    # Here, since every project that has the plugin pays for what is imported above.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(_THREADS, len(containers)), "lxcontainer-report") as threads:
        return list(threads.map(lambda each: evidence_of(each, test, detail), containers))


def evidence_of(container: Container, test: str, detail: Detail) -> Evidence:
    """What is known of one container.

    ``commands`` are those that *test* ran, and with `WHOLE` all; ``commands_left_out`` counts the others, and
    ``commands_of_others`` those of them that it did not run. Of ``changes`` those with a ``count`` stand for so many
    below their path. ``kept`` is what to paste into a shell to walk in, ``not_kept`` why there is no way. ``problems``
    are what kept from learning something.
    """
    learnt = _Learnt(container)
    no_faults: list[str] = []
    spoken = {
        "name": container.name,
        "id": container.id,
        "image": container.image.title,
        "digest": str(container.image.digest),
        "command": list(container.command),
        "ips": list(container.ips),
        "started_at": container.started_at,
        "waited_for": container.history.late_in(test),
        "faults": learnt.try_to("its network's faults", lambda: faults_of(container), no_faults),
        "captures": captures_of(container),
        "kept": "",
        "not_kept": "",
        **learnt.ended(),
        **learnt.logged(detail),
        **_commands(container, test, detail),
        **learnt.changed(detail),
        "problems": learnt.problems,
    }
    return {key: _plain(value) for key, value in spoken.items()}


class _Learnt:
    """What is asked of a container that may be gone, or whose supervisor may be."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._log = b""
        self.problems: list[str] = []

    def try_to(self, what: str, learn: Callable[[], T], otherwise: T) -> T:
        """What *learn* gives, *otherwise* where it fails: a report must not fail where its subject did."""
        try:
            return learn()
        except Exception as error:
            message = getattr(error, "message", "") or f"{type(error).__name__}: {error}"
            self.problems.append(f"{what}: {message}")
            return otherwise

    def ended(self) -> Evidence:
        """Its state, how it ended if it did, and what it used."""
        from ..container.backend import Status
        from ..container.container import reason_of
        from ..container.stats import Usage

        container, remains = self._container, self._container.remains
        unknown = Status(container.id, "UNKNOWN")
        status = self.try_to("its state", lambda: remains.status if remains else container.status(), unknown)
        self._log = self.try_to("its log", container.log_end, b"")
        usage = self.try_to("what it used", container.usage, Usage())
        return {
            "state": status.state,
            "exit_code": status.exit_code,
            "reason": self.try_to("why it ended", lambda: reason_of(container, status, self._log), status.reason),
            "memory_peak": None if usage.memory_peak is None else int(usage.memory_peak),
            "cpu_time": usage.cpu_time,
        }

    def logged(self, detail: Detail) -> Evidence:
        """Its last log lines; to be asked after `ended`."""
        lines = self._log.decode("utf-8", "replace").splitlines()
        shown = lines if detail.log_lines is None else lines[-detail.log_lines :]
        return {"log": "\n".join(shown), "log_left_out": len(lines) - len(shown)}

    def changed(self, detail: Detail) -> Evidence:
        """The files that differ from its image's, while it is there."""
        from ..container.snapshots import changes_of

        nothing: dict[str, Any] = {"changes": [], "left_out": 0, "complete": False}
        is_gone = self._container.remains is not None
        if is_gone:
            found = nothing
        else:
            found = self.try_to("its files", lambda: changes_of(self._container, detail.bounds), nothing)
        return {
            "changes": [_change(each, detail) for each in found["changes"]],
            "changes_left_out": found["left_out"],
            "changes_complete": found["complete"],
            "is_gone": is_gone,
        }


def _change(each: Mapping[str, Any], detail: Detail) -> Evidence:
    from ..container.unified import unified

    before, after = each["before"], each["after"]
    is_text = before is not None and after is not None
    return {
        "kind": each["kind"],
        "path": _plain(each["path"]),
        "size": each["size"],
        "old_size": each["old_size"],
        "count": each["count"],
        "is_file": each["is_file"],
        "diff": unified(before, after, detail.diff_lines) if is_text else "",
    }


def _commands(container: Container, test: str, detail: Detail) -> Evidence:
    history = container.history
    every = history.ran
    own = [each for each in every if each.test == test]
    chosen = every if detail.commands is None else own[-detail.commands :]
    left_out = history.left_out + sum(each.times for each in every) - sum(each.times for each in chosen)
    return {
        "commands": [_command(each) for each in chosen],
        "commands_left_out": left_out,
        "commands_of_others": 0 if detail.commands is None else sum(each.times for each in every if each.test != test),
    }


def _command(ran: Ran) -> Evidence:
    return {
        "args": list(ran.args),
        "exit_code": ran.exit_code,
        "seconds": ran.seconds,
        "output": ran.output,
        "problem": ran.problem,
        "test": ran.test,
        "times": ran.times,
        "began": ran.began,
        "ok": ran.succeeded,
    }


def _plain(value: Any) -> Any:
    """*value* as execnet and JSON take it: names of files need not be UTF-8, and make surrogates."""
    if isinstance(value, str):
        return value if value.isascii() else _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value
