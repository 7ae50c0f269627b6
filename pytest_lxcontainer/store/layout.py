"""Every path in the store, and only paths.

::

    ROOT/                    0710, traversable by the group of the containers' root
      version                "1"
      blobs/sha256/HEX       bytes as transferred
      images/ID.json         which manifest a reference named when it was last pulled
      templates/KEY.json     which layer a template added to its image
      saved/ID.json          a failed test whose containers were saved as images
      l/KEY/                 an unpacked layer; short, since a stack's lower dirs must fit one page
      layers/KEY             what KEY stands for
      locks/NAME.lock        never unlinked
      marks/MACHINE-BOOT     there is more in the store than on the disk; see `power`
      tmp/                   files being written
      trash/                 what awaits its removal
      runs/RUN/              a test run's containers; `layers` lists the keys it uses
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidSettingsError, StoreError
from ..image.digest import Digest, sha256_of
from ..image.name import ImageName
from ..image.platform import Platform
from .disk import disk_errors, write_whole
from .lock import pulling

VERSION = 1

_NAME = "pytest-lxcontainer"
# overlayfs parts layers with ":", mount(2) parts options with ",", both escape with "\".
_FORBIDDEN = ":,\\"
# Directories that a container's root passes on its way to its own files.
_TRAVERSED = ("l", "runs", "tmp", "trash")
_PRIVATE = ("blobs", "images", "layers", "locks", "marks", "saved", "templates")


def default_root() -> Path:
    """Return where the store is when nobody says otherwise: the system's cache for root, else the user's."""
    if os.geteuid() == 0:
        return Path("/var/cache") / _NAME
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / _NAME


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths under *root*, which must be absolute and free of what overlayfs and LXC give a meaning."""

    root: Path

    def __post_init__(self) -> None:
        if not self.root.is_absolute():
            raise InvalidSettingsError(f"the store's path must be absolute, not {self.root}")
        if any(char in _FORBIDDEN or char.isspace() for char in str(self.root)):
            raise InvalidSettingsError(
                f"the store cannot be in {str(self.root)!r}",
                details="overlayfs and LXC give a meaning to colons, commas, backslashes and white space",
                hint="choose another directory with --lxc-store",
            )

    def create(self, owner_gid: int | None = None) -> None:
        """Make the directories, and refuse a store that another user or a newer version of this package made.

        *owner_gid* is the host's group id of the containers' root, which must pass through the store's root.
        Where this user may not give the directory to that group, everyone may pass (but list nothing).
        """
        with disk_errors("create the store", self.root):
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_owner(self.root)
            for name in _PRIVATE:
                _directory(self.root / name, 0o700)
            for name in _TRAVERSED:
                _directory(self.root / name, 0o711)
            self._check_version()
            if owner_gid is not None:
                _let_pass(self.root, owner_gid)

    @property
    def locks_dir(self) -> Path:
        """Where lock files are."""
        return self.root / "locks"

    @property
    def marks_dir(self) -> Path:
        """Where a boot that put more into the store than is on the disk has its mark."""
        return self.root / "marks"

    @property
    def tmp_dir(self) -> Path:
        """Where files are written before they are renamed into place."""
        return self.root / "tmp"

    @property
    def trash_dir(self) -> Path:
        """Where things are moved that take a while to remove."""
        return self.root / "trash"

    @property
    def runs_dir(self) -> Path:
        """Where each test run has a directory."""
        return self.root / "runs"

    @property
    def blobs_dir(self) -> Path:
        """Where each digest algorithm has a directory of blobs."""
        return self.root / "blobs"

    @property
    def images_dir(self) -> Path:
        """Where the image records are."""
        return self.root / "images"

    @property
    def templates_dir(self) -> Path:
        """Where the template records are."""
        return self.root / "templates"

    @property
    def saved_dir(self) -> Path:
        """Where the records of saved tests are."""
        return self.root / "saved"

    @property
    def layers_dir(self) -> Path:
        """Where the unpacked layers are."""
        return self.root / "l"

    @property
    def layer_records_dir(self) -> Path:
        """Where each layer has a file that tells what its key stands for."""
        return self.root / "layers"

    def blob(self, digest: Digest) -> Path:
        """Return the path of a blob."""
        return self.blobs_dir / digest.algorithm / digest.hex

    def image_record(self, reference: ImageName, platform: Platform) -> Path:
        """Return the path of the record of what *reference* named for *platform*."""
        return self.images_dir / f"{sha256_of(f'{reference} {platform}'.encode()).hex[:40]}.json"

    def template_record(self, key: str) -> Path:
        """Return the path of the record of template *key*."""
        return self.templates_dir / f"{key}.json"

    def saved_record(self, saved_id: str) -> Path:
        """Return the path of the record of a saved test."""
        return self.saved_dir / f"{saved_id}.json"

    def layer(self, key: str) -> Path:
        """Return the path of an unpacked layer; its presence means that it is complete."""
        return self.layers_dir / key

    def layer_record(self, key: str) -> Path:
        """Return the path of the file that tells what a layer's key stands for."""
        return self.layer_records_dir / key

    def unfinished_layer(self) -> Path:
        """Return a fresh path to fill a layer in, or to move one to before its removal.

        It has the finished layer's parent: moving a directory to another parent takes write permission on the
        directory itself, which an ordinary user lacks once the container's root owns it (rename(2)).
        """
        return self.layers_dir / f".{_unique()}"

    def temporary(self) -> Path:
        """Return a fresh path in `tmp_dir`."""
        return self.tmp_dir / _unique()

    def trashed(self) -> Path:
        """Return a fresh path in `trash_dir`."""
        return self.trash_dir / _unique()

    def lock(self, name: str) -> Path:
        """Return the path of the lock file for *name*."""
        return self.locks_dir / f"{name}.lock"

    def mark(self, name: str) -> Path:
        """Return the path of a mark."""
        return self.marks_dir / name

    def run_dir(self, run_id: str) -> Path:
        """Return a test run's directory."""
        return self.runs_dir / run_id

    def run_layers(self, run_id: str) -> Path:
        """Return the file that lists the layer keys a run uses, one a line."""
        return self.run_dir(run_id) / "layers"

    def stand_in(self, run_id: str) -> Path:
        """Return the program that waits in place of what ended, in containers that were saved."""
        return self.run_dir(run_id) / "wait"

    def upper_dir(self, run_id: str, container: str) -> Path:
        """Return the upper dir of a run's container; `work` and its other files are beside it."""
        return self.run_dir(run_id) / container / "upper"

    def _check_version(self) -> None:
        path = self.root / "version"
        try:
            text = path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            with pulling(self):
                write_whole(self.temporary(), path, f"{VERSION}\n".encode("ascii"))
            return
        if text != str(VERSION):
            raise StoreError(
                f"the store {self.root} has version {text!r}, and this package knows {VERSION}",
                hint="upgrade pytest-lxcontainer, or choose another directory with --lxc-store",
            )


def _unique() -> str:
    return f"{os.getpid()}-{os.urandom(5).hex()}"


def _directory(path: Path, mode: int) -> None:
    with suppress(FileExistsError):
        path.mkdir()
    # mkdir's own mode is subject to the umask; and whoever made the directory may have been killed here.
    if stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)


def _check_owner(root: Path) -> None:
    """Refuse another's directory, root too: whoever owns it could turn what is written there elsewhere."""
    owner = root.stat().st_uid
    if owner != os.geteuid():
        raise StoreError(
            f"the store {root} belongs to user {owner}, and this is user {os.geteuid()}",
            hint="each user needs a store of their own: choose another directory with --lxc-store",
        )


def _let_pass(root: Path, gid: int) -> None:
    try:
        os.chown(root, -1, gid)
    except PermissionError:
        root.chmod(0o711)
    else:
        root.chmod(0o710)
