"""A container's `evidence` as text: what a failed test's report has in a section."""

from __future__ import annotations

import re
import shlex
import signal
from collections.abc import Iterator, Mapping
from typing import Any

_WIDTH = 300
"""Characters of a command that are shown, unless all is."""

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_LETTERS = {"added": "A", "changed": "C", "deleted": "D"}


def title_of(evidence: Mapping[str, Any]) -> str:
    """The heading of its section."""
    return f"lxc container {evidence['name']} ({evidence['image']})"


def text_of(evidence: Mapping[str, Any], *, whole: bool = False) -> str:
    """The section: a line for each thing that is known; the last are the log's, as they are, and how to walk in."""
    lines = [
        *_head(evidence, whole),
        *_network(evidence),
        *_commands(evidence, whole),
        *_changes(evidence),
        *(f"not known: {problem}" for problem in evidence["problems"]),
        *_log(evidence),
        *filter(None, (evidence["kept"], evidence["not_kept"])),
    ]
    return "\n".join(lines)


def properties_of(evidence: Mapping[str, Any]) -> dict[str, str]:
    """What machines that read reports of tests may have use for, by name."""
    named = {
        "id": evidence["id"],
        "image": evidence["image"],
        "digest": evidence["digest"],
        "command": shlex.join(evidence["command"]),
        "state": evidence["state"],
        "exit_code": evidence["exit_code"],
        "reason": evidence["reason"],
        "memory_peak": evidence["memory_peak"],
        "cpu_time": evidence["cpu_time"],
        "faults": "; ".join(evidence["faults"]),
        "kept": evidence["kept"],
    }
    return {name: str(value) for name, value in named.items() if value not in (None, "")}


def _head(evidence: Mapping[str, Any], whole: bool) -> Iterator[str]:
    yield f"state: {_state(evidence)}"
    yield f"command: {_words(evidence['command'], whole)}"
    yield f"image: {evidence['image']}, {evidence['digest']}"
    if whole:
        yield f"id: {evidence['id']}" + "".join(f"; address: {ip}" for ip in evidence["ips"])
    if used := _used(evidence):
        yield f"used: {used}"
    if evidence["waited_for"]:
        yield f"waited for: {evidence['waited_for']}"


def _state(evidence: Mapping[str, Any]) -> str:
    code, reason = evidence["exit_code"], evidence["reason"]
    told = f", exit code {code}" if code is not None else ""
    return f"{evidence['state']}{told}" + (f" ({reason})" if reason else "")


def _used(evidence: Mapping[str, Any]) -> str:
    peak, seconds = evidence["memory_peak"], evidence["cpu_time"]
    told = [f"{_size(peak)} of memory at most"] if peak is not None else []
    told += [f"{seconds:.2f} s of processor time"] if seconds is not None else []
    return ", ".join(told)


def _network(evidence: Mapping[str, Any]) -> Iterator[str]:
    if evidence["faults"]:
        yield f"network faults: {'; '.join(evidence['faults'])}"
    yield from (f"packets: {path}" for path in evidence["captures"])


def _commands(evidence: Mapping[str, Any], whole: bool) -> Iterator[str]:
    left_out, of_others = evidence["commands_left_out"], evidence["commands_of_others"]
    hidden = left_out - of_others
    if not (evidence["commands"] or left_out):
        return
    notes = [f"{of_others} that other tests ran"] if of_others else []
    notes += [f"{hidden} more"] if hidden > 0 else []
    yield "commands:" + (f" (not shown: {', '.join(notes)})" if notes else "")
    test = None
    for each in evidence["commands"]:
        if whole and each["test"] != test:
            test = each["test"]
            yield f"  in {test or 'no test'}:"
        yield f"  {_outcome(each)}: {_typed(each['args'], whole)}"
        yield from (f"      {_printable(line)}" for line in _ends(each["output"], whole))


def _outcome(ran: Mapping[str, Any]) -> str:
    code, seconds = ran["exit_code"], ran["seconds"]
    if ran["problem"]:
        how = ran["problem"].splitlines()[0]
    elif code is None:
        return "still running"
    else:
        how = f"exit code {code}" if code >= 0 else f"killed by {_signal(-code)}"
    times = f", the last of {ran['times']} times" if ran["times"] > 1 else ""
    return f"{how}, {seconds:.3f} s{times}" if seconds is not None else how


def _ends(output: str, whole: bool, most: int = 5) -> list[str]:
    lines = output.splitlines()
    return lines if whole else lines[-most:]


def _changes(evidence: Mapping[str, Any]) -> Iterator[str]:
    if evidence["is_gone"]:
        yield "changed files: not known, since it is gone"
    if not evidence["changes"]:
        return
    yield "changed files:"
    for each in evidence["changes"]:
        if each["count"]:
            yield f"  ... {each['count']} more under {_printable(each['path'])} ({_size(each['size'])})"
            continue
        yield f"  {_LETTERS[each['kind']]} {_printable(each['path'])}{_sizes(each)}"
        yield from (f"      {_printable(line)}" for line in each["diff"].split("\n") if each["diff"])
    if evidence["changes_left_out"]:
        yield f"  ... {evidence['changes_left_out']} more"
    if not evidence["changes_complete"]:
        yield "  ... and those that were not looked at: there are too many"


def _sizes(change: Mapping[str, Any]) -> str:
    if not change["is_file"]:
        return ""
    if change["kind"] == "changed" and change["old_size"] != change["size"]:
        return f" ({_size(change['old_size'])} -> {_size(change['size'])})"
    return f" ({_size(change['size'])})"


def _log(evidence: Mapping[str, Any]) -> Iterator[str]:
    if not evidence["log"]:
        yield "log: (it wrote nothing)"
        return
    yield "log:"
    if evidence["log_left_out"]:
        yield f"... {evidence['log_left_out']} earlier lines"
    yield evidence["log"]


def _typed(args: list[str], whole: bool) -> str:
    """A command as whoever ran it wrote it: what a shell was given without the shell."""
    if len(args) == 3 and args[0] == "/bin/sh" and args[1] == "-c":
        return _line(args[2], whole)
    return _words(args, whole)


def _words(args: list[str], whole: bool) -> str:
    return _line(shlex.join(args), whole)


def _line(text: str, whole: bool) -> str:
    line = _printable(text.replace("\n", "\\n"))
    return line if whole or len(line) <= _WIDTH else f"{line[:_WIDTH]} ..."


def _printable(text: str) -> str:
    """*text* with what a terminal would take for its own made visible."""
    return _UNPRINTABLE.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def _size(size: int) -> str:
    value = float(size)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{int(value)} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
