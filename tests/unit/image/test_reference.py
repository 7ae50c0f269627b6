from __future__ import annotations

import pytest

from pytest_lxcontainer.errors import InvalidReferenceError
from pytest_lxcontainer.image import Digest, Reference

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20"),
        ("docker://alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("library/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("bitnami/redis", "docker.io/bitnami/redis:latest", "bitnami/redis:latest"),
        ("docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("index.docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("localhost:5000/app:1", "localhost:5000/app:1", "localhost:5000/app:1"),
        ("127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c:latest", "127.0.0.1:5000/a/b/c:latest"),
        ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"),
        ("ghcr.io/o/r:v1", "ghcr.io/o/r:v1", "ghcr.io/o/r:v1"),
        ("Host/app", "Host/app:latest", "Host/app:latest"),
        (f"alpine@{DIGEST}", f"docker.io/library/alpine@{DIGEST}", f"alpine@{DIGEST}"),
        (f"alpine:3@{DIGEST}", f"docker.io/library/alpine:3@{DIGEST}", f"alpine:3@{DIGEST}"),
        ("a__b/c.d/e---f", "docker.io/a__b/c.d/e---f:latest", "a__b/c.d/e---f:latest"),
        ("app:5000", "docker.io/library/app:5000", "app:5000"),
        (f"x/{HEX}", f"docker.io/x/{HEX}:latest", f"x/{HEX}:latest"),
        (HEX[1:], f"docker.io/library/{HEX[1:]}:latest", f"{HEX[1:]}:latest"),
    ],
)
def test_references_are_read_as_docker_reads_them(text: str, canonical: str, familiar: str) -> None:
    reference = Reference.parse(text)
    assert (str(reference), reference.familiar) == (canonical, familiar)
    assert Reference.parse(canonical) == reference


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":tag",
        "@" + DIGEST,
        "docker.io/",
        "alpine:",
        "alpine@",
        "alpine@sha256:abc",
        "alpine:a b",
        "alpine:.hidden",
        "alpine:" + "t" * 129,
        "a//b",
        "/a",
        "a/",
        "-a",
        "a..b",
        "a___b",
        "https://alpine",
        "../../etc/passwd",
        "ghcr.io/../x",
        "host-.x/app",
        "host.x:port/app",
        "alpine\n",
        "a" * 256,
        HEX,
    ],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(InvalidReferenceError):
        Reference.parse(text)


def test_an_upper_case_repository_is_told_to_be_lower_case() -> None:
    for text in ("Alpine", "ghcr.io/Owner/repo"):
        with pytest.raises(InvalidReferenceError, match="use lower case"):
            Reference.parse(text)


def test_a_name_of_255_characters_is_the_longest() -> None:
    longest = "a" * (255 - len("docker.io/library/"))
    assert Reference.parse(longest).repository == f"library/{longest}"
    with pytest.raises(InvalidReferenceError, match="longer than 255"):
        Reference.parse(longest + "a")


def test_the_digest_wins_over_the_tag() -> None:
    pinned = Reference.parse("alpine:3").with_digest(Digest.parse(DIGEST))
    assert pinned.target == DIGEST
    assert pinned.tag == "3"
    assert Reference.parse("alpine:3").target == "3"
