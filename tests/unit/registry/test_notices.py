from __future__ import annotations

import email.utils
import time

import pytest

from pytest_lxcontainer.registry.notices import RateLimit, duration, retry_after, warnings


@pytest.mark.parametrize(
    ("headers", "limit", "text"),
    [
        (
            {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600"},
            RateLimit(100, 76, 21600),
            "76 of 100 pulls per 6 h left",
        ),
        (
            {"ratelimit-limit": "200;w=21600", "ratelimit-remaining": "0;w=21600", "docker-ratelimit-source": "::1"},
            RateLimit(200, 0, 21600, "::1"),
            "0 of 200 pulls per 6 h left for ::1",
        ),
        ({"ratelimit-remaining": "7"}, RateLimit(None, 7), "7 pulls left"),
        ({"ratelimit-limit": "9 ; W = 60"}, RateLimit(9, None, 60), "an unknown number of 9 pulls per 1 min left"),
        ({"ratelimit-limit": "many", "ratelimit-remaining": ""}, None, "None"),
        ({"ratelimit-limit": "9" * 50}, None, "None"),
        ({}, None, "None"),
    ],
)
def test_limits_are_read_as_docker_hub_sends_them(headers: dict[str, str], limit: RateLimit | None, text: str) -> None:
    assert RateLimit.read(headers) == limit
    assert str(limit) == text


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "120"}, 120.0),
        ({"Retry-After": " 0 "}, 0.0),
        ({"ratelimit-reset": "60"}, 60.0),
        ({"Retry-After": "5", "ratelimit-reset": "60"}, 5.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "9" * 30}, None),
        ({"Retry-After": "Wed, 99 Oct 99999 07:28:00 GMT"}, None),
        ({}, None),
    ],
)
def test_the_time_to_wait_is_read_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_a_date_to_wait_for_becomes_seconds() -> None:
    seconds = retry_after({"Retry-After": email.utils.formatdate(time.time() + 1000, usegmt=True)})
    assert seconds is not None and 900 < seconds <= 1000


@pytest.mark.parametrize(
    ("header", "texts"),
    [
        ('299 - "Please use OCI"', ["Please use OCI"]),
        ('299 - "one, with comma", 299 - "two"', ["one, with comma", "two"]),
        ('299 - "a \\"quoted\\" word"', ['a "quoted" word']),
        ('299 - "\x1b[2Jred"', ["?[2Jred"]),
        ('199 - "other"', []),
        ('299 agent "other"', []),
        ('299 - "unclosed', []),
        ('299 - "' + "x" * 5000 + '"', []),
        ("", []),
    ],
)
def test_warnings_are_those_of_the_specification(header: str, texts: list[str]) -> None:
    assert list(warnings({"Warning": header})) == texts


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (2.4, "2 s"), (60, "1 min"), (21600, "6 h"), (21540, "5 h 59 min"), (90061, "1 d 1 h"), (-5, "0 s")],
)
def test_durations_are_told_as_people_do(seconds: float, text: str) -> None:
    assert duration(seconds) == text
