"""What a `Container` knows beside its spec, in plain values: for whoever finds it when its maker has gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ..image.config import Healthcheck, ImageConfig
from ..image.digest import Digest
from ..image.image import Image
from ..image.name import parse_name
from ..image.platform import Platform
from .settings import ContainerSettings
from .traits import Traits

_IMAGE, _PORTS, _SHELL, _HOME, _SETTINGS = "image", "ports", "shell", "home", "settings"

_OF_AN_IMAGE = ("command", "entrypoint", "env", "user", "cwd", "labels", "ports")
"""Settings that an image made of the container has, too."""


def to_note(image: Image, traits: Traits) -> dict[str, Any]:
    """*image* and what does not change of *traits*, for `from_note`."""
    wanted = traits.settings
    return {
        _IMAGE: _plain_image(image),
        _PORTS: traits.ports,
        _SHELL: traits.shell,
        _HOME: traits.home,
        _SETTINGS: {name: getattr(wanted, name) for name in _OF_AN_IMAGE} if wanted else None,
    }


def from_note(note: Mapping[str, Any]) -> tuple[Image, Traits]:
    """What `to_note` was given, but for what its container was waited for."""
    image = _image_of(note[_IMAGE])
    check = image.config.healthcheck
    healthcheck = check if check and check.is_enabled else None
    return image, Traits(
        ports=tuple(note[_PORTS]),
        healthcheck=healthcheck,
        shell=tuple(note[_SHELL]),
        home=str(note[_HOME]),
        settings=ContainerSettings.of(**note[_SETTINGS]) if note.get(_SETTINGS) else None,
    )


def _plain_image(image: Image) -> dict[str, Any]:
    return {
        "reference": str(image.reference),
        "digest": str(image.digest),
        "config_digest": str(image.config_digest),
        "config": _plain_config(image.config),
        "size": image.size,
        "lower_dirs": [str(path) for path in image.lower_dirs],
        "snapshot": image.snapshot,
        "privileged": image.privileged,
    }


def _image_of(plain: Mapping[str, Any]) -> Image:
    return Image(
        parse_name(plain["reference"]),
        Digest.parse(plain["digest"]),
        Digest.parse(plain["config_digest"]),
        _config_of(plain["config"]),
        int(plain["size"]),
        tuple(map(Path, plain["lower_dirs"])),
        str(plain["snapshot"]),
        bool(plain["privileged"]),
    )


def _plain_config(config: ImageConfig) -> dict[str, Any]:
    return {
        **{field.name: getattr(config, field.name) for field in fields(config)},
        "healthcheck": asdict(config.healthcheck) if config.healthcheck else None,
        "labels": dict(config.labels),
        "diff_ids": [str(digest) for digest in config.diff_ids],
        "platform": [config.platform.os, config.platform.architecture, config.platform.variant],
    }


def _config_of(plain: Mapping[str, Any]) -> ImageConfig:
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}
    check = plain["healthcheck"]
    values["healthcheck"] = Healthcheck.from_dict(check) if check else None
    values["diff_ids"] = tuple(map(Digest.parse, plain["diff_ids"]))
    values["platform"] = Platform(*plain["platform"])
    return ImageConfig(**values)
