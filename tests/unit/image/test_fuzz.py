"""Whatever comes, a parser gives a value or an error of ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_lxcontainer.errors import CorruptImageError, LxContainerError
from pytest_lxcontainer.image import Digest, ImageConfig, Index, Platform, Reference, parse_manifest
from pytest_lxcontainer.image.manifest import INDEX_TYPES, MANIFEST_TYPES, available, candidates, no_platform
from tests.fakes.documents import JSON, mutations, nested
from tests.fakes.images import image, index, layer

BUILT = image(
    [layer({"a": "1"}), layer({"b": "2"}, compression="")],
    variant="v8",
    Env=["A=b"],
    ExposedPorts={"80-90/tcp": {}},
    Healthcheck={"Test": ["CMD", "true"], "Interval": 1, "Retries": 3},
    Labels={"a": "b"},
    Volumes={"/data": {}},
)
LISTED = index(BUILT, image([], architecture="arm"), attestation=True)
CONTENT_TYPES = st.sampled_from([None, "text/plain", *MANIFEST_TYPES, *INDEX_TYPES]) | st.text()
FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)


def survives(parse: Callable[..., Any], *args: Any) -> Any:
    """Return what *parse* makes of *args*; its refusal can be printed."""
    try:
        return parse(*args)
    except LxContainerError as error:
        said = str(error).encode()
    assert len(said) < 4000
    return None


def use(found: Any) -> None:
    """Do with a parsed manifest what a client does."""
    if isinstance(found, Index):
        assert str(no_platform(Platform("linux", "s390x"), available(found))).encode()
        assert set(candidates(found, Platform("linux", "amd64"))) <= set(found.manifests)
    elif found is not None:
        assert found.size >= 0


@FUZZ
@given(mutations(BUILT.manifest, LISTED.manifest), CONTENT_TYPES)
def test_a_mutated_manifest_is_read_or_refused(data: bytes, content_type: str | None) -> None:
    use(survives(parse_manifest, data, content_type))


@FUZZ
@given(JSON, CONTENT_TYPES)
def test_any_json_is_a_manifest_or_refused(value: Any, content_type: str | None) -> None:
    use(survives(parse_manifest, json.dumps(value).encode(), content_type))


@FUZZ
@given(st.binary(), CONTENT_TYPES)
def test_any_bytes_are_a_manifest_or_refused(data: bytes, content_type: str | None) -> None:
    use(survives(parse_manifest, data, content_type))


@FUZZ
@given(mutations(BUILT.config) | JSON.map(lambda value: json.dumps(value).encode()) | st.binary())
def test_a_config_is_read_or_refused(data: bytes) -> None:
    survives(ImageConfig.from_json, data)


@FUZZ
@given(st.text() | st.from_regex(r"[a-zA-Z0-9./:@_-]{0,60}", fullmatch=True))
def test_a_reference_is_read_or_refused_and_survives_printing(text: str) -> None:
    found = survives(Reference.parse, text)
    assert found is None or Reference.parse(str(found)) == found


@FUZZ
@given(JSON)
def test_anything_is_a_digest_or_refused(value: object) -> None:
    survives(Digest.parse, value)


@FUZZ
@given(st.text())
def test_a_platform_is_read_or_refused(text: str) -> None:
    survives(Platform.parse, text)


@pytest.mark.parametrize("depth", [500, 900, 5_000, 100_000])
@pytest.mark.parametrize("key", ["", "config", "layers"])
def test_nesting_without_end_is_refused(depth: int, key: str) -> None:
    for parse in (parse_manifest, ImageConfig.from_json):
        survives(parse, nested(depth, key=key))


@pytest.mark.parametrize("depth", [500, 900, 2_000])
@pytest.mark.parametrize("place", ["mediaType", "digest", "size", "platform", "annotations", "data", "urls"])
def test_nesting_in_a_descriptor_is_refused(depth: int, place: str) -> None:
    entry = json.dumps({**json.loads(BUILT.manifest)["layers"][0], place: "HERE"})
    manifest = json.dumps({**json.loads(BUILT.manifest), "layers": ["ENTRY"]})
    data = manifest.replace('"ENTRY"', entry).encode().replace(b'"HERE"', nested(depth))
    with pytest.raises(CorruptImageError):
        parse_manifest(data)


@pytest.mark.parametrize("depth", [500, 900, 2_000])
@pytest.mark.parametrize("key", ["User", "Env", "Cmd", "Labels", "ExposedPorts", "Volumes", "Healthcheck"])
def test_nesting_in_a_config_is_refused(depth: int, key: str) -> None:
    with pytest.raises(CorruptImageError):
        ImageConfig.from_json(b'{"config": {"%s": %s}}' % (key.encode(), nested(depth)))
