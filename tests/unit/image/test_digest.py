from __future__ import annotations

import hashlib
import pickle

import pytest

from pytest_lxcontainer.errors import CorruptImageError
from pytest_lxcontainer.image import Digest, chain_ids, sha256_of

A = "a" * 64


def test_text_survives_parsing() -> None:
    for text in (f"sha256:{A}", f"sha512:{A}{A}"):
        assert str(Digest.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        A,
        "sha256:",
        f"sha256:{A[1:]}",
        f"sha256:{A}a",
        f"sha256:{A.upper()}",
        f"sha256:{A[2:]}/.",
        f"sha256:{A}\n",
        f"sha512:{A}",
        f"md5:{A[:32]}",
        f"../sha256:{A}",
        None,
        1,
    ],
)
def test_what_is_no_digest_is_refused(text: object) -> None:
    with pytest.raises(CorruptImageError):
        Digest.parse(text)


def test_verifier_tells_whether_the_bytes_are_the_ones() -> None:
    verifier = sha256_of(b"hello").verifier()
    verifier.update(b"hel")
    assert not verifier.matches
    verifier.update(b"lo")
    assert verifier.matches
    assert verifier.actual == verifier.expected


def test_verifier_hashes_with_the_digests_own_algorithm() -> None:
    verifier = Digest.parse("sha512:" + hashlib.sha512(b"x").hexdigest()).verifier()
    verifier.update(b"x")
    assert verifier.matches


def test_chain_ids_are_those_of_the_specification() -> None:
    one, two, three = (sha256_of(text) for text in (b"1", b"2", b"3"))
    pair = sha256_of(f"{one} {two}".encode())
    assert chain_ids([one, two, three]) == (one, pair, sha256_of(f"{pair} {three}".encode()))
    assert chain_ids([]) == ()


def test_a_digest_can_be_sent_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(sha256_of(b""))) == sha256_of(b"")
