#!/usr/bin/env python3
"""Compare how long it takes until an image is there: this plugin, Docker, Podman, and skopeo with umoci.

Runs as root, with the plugin installed for this interpreter; everything else it installs or starts itself
(scripts/host-setup --bench, scripts/with-registry). See README.md beside it for what is measured.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from docker_daemon import docker_daemon
from memory import PeakMemory, running_with
from surroundings import HERE, linux, prepare, registry_address, said, scratch_directory

LARGE = "bench/postgis:15"
PLUGIN, REFERENCE = "lxcontainer pull", "docker pull"


@dataclass(frozen=True)
class Pull:
    """*seconds* of the whole command, and *memory*: the most bytes its processes held at once, page cache left out."""

    seconds: float
    memory: int


Subjects = Mapping[str, Callable[[], Pull]]


def main(argv: Sequence[str]) -> int:
    options = parse(argv)
    prepare()
    with scratch_directory() as scratch:
        reference = served(options.image, scratch)
        with subjects(reference, scratch) as chosen:
            pulls = interleaved(chosen, options.rounds)
    report(options, pulls)
    return 0


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="measured rounds (default: 5)")
    parser.add_argument("--image", default=LARGE, help="image of all, built if it is the default (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every single figure there too")
    return parser.parse_args(argv)


# The image


def served(image: str, scratch: Path) -> str:
    """The reference under which the loopback registry serves *image*, after building it where that is needed."""
    address = registry_address()
    reference = f"{address}/{image if '/' in image else 'library/' + image}"
    if image == LARGE and not is_served(reference):
        print(f"Building {image}, once ...", file=sys.stderr)
        build(reference, f"{address}/library/postgres:15", scratch / "build")
    return reference


def is_served(reference: str) -> bool:
    command = ["skopeo", "inspect", "--tls-verify=false", f"docker://{reference}"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def build(reference: str, base: str, work: Path) -> None:
    """Build and push the image, in a mount namespace whose mounts end with it."""
    work.mkdir()
    store = f"--storage-driver overlay --root {work}/storage --runroot {work}/run"
    script = f"""
        set -e
        mount --make-rslave /
        buildah {store} bud --isolation chroot --network host --format docker --tls-verify=false --quiet \
            --build-arg BASE={base} --tag {reference} {HERE}/images/postgis
        buildah {store} push --quiet --tls-verify=false {reference}
    """
    environment = {**os.environ, "TMPDIR": str(work), "DEBIAN_FRONTEND": "noninteractive"}
    built = subprocess.run(
        ["unshare", "--mount", "bash", "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    if built.returncode != 0:
        raise SystemExit(f"pull: the image could not be built:\n{built.stdout[-2000:]}{built.stderr[-2000:]}")
    shutil.rmtree(work)


# What is compared


@contextlib.contextmanager
def subjects(reference: str, scratch: Path) -> Iterator[Subjects]:
    """Give what is compared by name; each call pulls into a place where there is nothing yet."""
    with contextlib.ExitStack() as stack:
        number = iter(range(1_000_000))

        def fresh() -> Path:
            directory = scratch / f"pull-{next(number)}"
            directory.mkdir(mode=0o755)
            return directory

        def plugin() -> Pull:
            environment = {**os.environ, "LXCONTAINER_STORE": str(fresh() / "store")}
            return timed(sys.executable, "-m", "pytest_lxcontainer.cli", "pull", reference, env=environment)

        def docker() -> Pull:
            directory = fresh()
            with docker_daemon(directory) as host:
                env = {**os.environ, "DOCKER_HOST": host}
                return timed("docker", "pull", "--quiet", reference, env=env, also=running_with(directory))

        def podman() -> Pull:
            directory = fresh()
            place = ("--storage-driver", "overlay", "--root", f"{directory}/graph", "--runroot", f"{directory}/run")
            stack.callback(subprocess.run, ["umount", f"{directory}/graph/overlay"], capture_output=True, check=False)
            return timed("podman", *place, "pull", "--quiet", "--tls-verify=false", reference)

        def skopeo_umoci() -> Pull:
            directory = fresh()
            layout = f"{directory}/oci:image"
            source = ("--src-tls-verify=false", f"docker://{reference}")
            copied = timed("skopeo", "copy", "--quiet", *source, f"oci:{layout}")
            unpacked = timed("umoci", "unpack", "--image", layout, f"{directory}/bundle")
            return Pull(copied.seconds + unpacked.seconds, max(copied.memory, unpacked.memory))

        yield {PLUGIN: plugin, REFERENCE: docker, "podman pull": podman, "skopeo copy, umoci unpack": skopeo_umoci}


def timed(*command: str, env: Mapping[str, str] | None = None, also: Sequence[int] = ()) -> Pull:
    """Run *command* to its end; the memory of the processes *also* counts too."""
    # What was written before is none of its business; what it leaves to be written, neither.
    os.sync()
    begin = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    with PeakMemory([process.pid, *also]) as memory:
        output, _ = process.communicate()
    seconds = time.perf_counter() - begin
    if process.returncode != 0:
        raise SystemExit(f"pull: {' '.join(command)} failed:\n{output[-2000:]}")
    return Pull(seconds, memory.peak)


def interleaved(chosen: Subjects, rounds: int) -> dict[str, list[Pull]]:
    """A B C A B C ...: what disturbs the machine for a while disturbs all of them. One round more goes before."""
    pulls: dict[str, list[Pull]] = {name: [] for name in chosen}
    for number in range(rounds + 1):
        for name, measure in chosen.items():
            pull = measure()
            if number:
                pulls[name].append(pull)
    return pulls


# What is told


def report(options: argparse.Namespace, pulls: Mapping[str, Sequence[Pull]]) -> None:
    print(f"{options.image} from a registry on loopback into nothing; medians of {options.rounds} rounds")
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    print(f"\n{'':<30}{'seconds':>9}{'fastest':>9}{'slowest':>9}{'ratio':>8}{'peak memory':>14}")
    reference = statistics.median(pull.seconds for pull in pulls[REFERENCE])
    for name, measured in pulls.items():
        seconds = [pull.seconds for pull in measured]
        median = statistics.median(seconds)
        memory = max(pull.memory for pull in measured) / 2**20
        figures = "".join(f"{value:>9.2f}" for value in (median, min(seconds), max(seconds)))
        print(f"{name:<30}{figures}{median / reference:>8.2f}{memory:>10.0f} MiB")
    print(
        f"\nratio: the median by that of {REFERENCE}; peak memory: of the command's processes, and of Docker's daemon"
    )
    if options.json:
        every = {name: [vars(pull) for pull in measured] for name, measured in pulls.items()}
        options.json.write_text(json.dumps({"machine": machine(), "pulls": every}, indent=1) + "\n")


def machine() -> dict[str, str]:
    """What the figures depend on."""
    return {
        "cores": str(os.cpu_count()),
        "Linux": linux(),
        "Python": platform.python_version(),
        **{tool: said(tool, "--version") for tool in ("dockerd", "podman", "skopeo", "umoci")},
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
