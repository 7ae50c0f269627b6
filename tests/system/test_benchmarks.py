"""The comparison with peers, without them: they need more of the host than tests may ask for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

PEERS = Path(__file__).resolve().parents[2] / "benchmarks" / "peers.py"
SVG = "{http://www.w3.org/2000/svg}"
PARTS = ("suite", "start", "memory", "flat")


def test_the_comparison_of_the_plugin_alone_writes_and_draws_every_figure(tmp_path: Path, mirror: str) -> None:
    figures, picture = tmp_path / "figures.json", tmp_path / "figures.svg"
    command = [sys.executable, PEERS, "--quick", "--alone", "--parts", *PARTS, "--json", figures, "--svg", picture]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    lines = json.loads(figures.read_text())["lines"]
    flat = [line for line in lines if line["name"].startswith("flat: ")]
    assert [line["name"] for line in lines[:3]] == ["suite", "start", "memory"] and len(flat) == 4 == len(lines) - 3
    subjects = [(name, subject) for line in lines for name, subject in line["subjects"].items()]
    assert all(figure > 0 for _, subject in subjects for figure in subject["figures"])
    assert all(next(iter(line["subjects"].values()))["ratio"] == 1 for line in flat)

    drawn = ElementTree.parse(picture).getroot()
    texts = {element.text for element in drawn.iter(f"{SVG}text")}
    assert drawn.tag == f"{SVG}svg"
    assert texts >= {line["work"] for line in lines} | {name for name, _ in subjects}
    assert len(list(drawn.iter(f"{SVG}rect"))) == len(subjects)
    assert all(line["work"] in done.stdout for line in lines)
