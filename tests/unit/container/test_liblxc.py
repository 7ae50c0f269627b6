"""Reading LXC's log, as LXC 4 to 6 write it at the level INFO."""

from __future__ import annotations

from pytest_lxcontainer.container.liblxc import exit_code_in, problems_in, shut_down_in

HEAD = "lxc box-1 20240102030405.678 "
STARTED = HEAD + "INFO     lxccontainer - ../src/lxc/lxccontainer.c:do_lxcapi_start:954 - Set process title\n"
ENDED = HEAD + "INFO     error - ../src/lxc/error.c:lxc_error_set_and_log:28 - Child <4711> ended on error (%d)\n"
SIGNALLED = (
    HEAD + "INFO     error - ../src/lxc/error.c:lxc_error_set_and_log:32 - Child <4711> ended on signal %s(%d)\n"
)
ERROR = HEAD + "ERROR    %s - ../src/lxc/conf.c:%s:1284 - %s\n"


def test_the_exit_code_is_the_one_that_lxc_noted() -> None:
    assert exit_code_in(STARTED + ENDED % 3) == 3


def test_a_signal_counts_128_more() -> None:
    assert exit_code_in(STARTED + SIGNALLED % ("", 9)) == 137
    assert exit_code_in(STARTED + SIGNALLED % ("Terminated", 15)) == 143


def test_who_asked_the_kernel_for_its_end_was_not_killed() -> None:
    assert "reboot" in shut_down_in(STARTED + SIGNALLED % ("Hangup", 1))
    assert "halt" in shut_down_in(STARTED + SIGNALLED % ("", 2))
    for log in ("", STARTED, STARTED + SIGNALLED % ("Killed", 9), STARTED + ENDED % 1, STARTED + ENDED % 129):
        assert shut_down_in(log) == ""


def test_without_a_note_it_was_zero() -> None:
    assert exit_code_in(STARTED) == exit_code_in("") == 0


def test_the_last_start_counts() -> None:
    assert exit_code_in(STARTED + ENDED % 3 + STARTED + ENDED % 4) == 4


def test_problems_come_without_time_and_source_line() -> None:
    log = STARTED + ERROR % ("conf", "mount_entry", "No such file or directory - Failed to mount") + STARTED
    assert problems_in(log) == ["mount_entry: No such file or directory - Failed to mount"]


def test_only_the_last_problems_are_shown() -> None:
    log = "".join(ERROR % ("start", "run", f"problem {number}") for number in range(10))
    assert problems_in(log, limit=2) == ["run: problem 8", "run: problem 9"]


def test_warnings_are_no_problems() -> None:
    assert problems_in(STARTED + HEAD + "WARN     utils - ../src/lxc/utils.c:get_ns_uid:1 - Failed\n") == []
