"""The package on a bare Debian, the image that pyproject.toml names."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "shortener"


def test_the_image_is_the_one_of_the_configuration(container):
    assert "VERSION_CODENAME=bookworm" in container.read_text("/etc/os-release")


def test_files_go_in_and_come_back(container):
    container.write_text("/srv/links.csv", "g8,https://example.org/\n")
    assert container.check_output("cut -d, -f2 /srv/links.csv") == "https://example.org/"
    container.exec("sed s/org/net/ /srv/links.csv > /srv/new.csv", check=True)
    assert container.read_text("/srv/new.csv") == "g8,https://example.net/\n"


def test_the_package_arrives_as_it_is(container, tmp_path):
    container.copy_in(PACKAGE, "/opt", owner="www-data")
    modules = sorted(path.name for path in PACKAGE.glob("*.py"))
    assert container.check_output("cd /opt/shortener && ls *.py").split() == modules
    assert container.check_output("stat -c %U /opt/shortener/links.py") == "www-data"
    back = container.copy_out("/opt/shortener/links.py", tmp_path)
    assert back.read_bytes() == (PACKAGE / "links.py").read_bytes()


def test_what_an_installation_changes(container):
    container.exec("mkdir /srv/shortener && touch /srv/shortener/installed && rm /etc/motd", check=True)
    assert [str(change) for change in container.diff()] == [
        "D /etc/motd",
        "A /srv/shortener",
        "A /srv/shortener/installed",
    ]


def test_a_failing_command_tells_how(container):
    result = container.exec("echo no >&2; exit 3")
    assert (result.exit_code, result.stdout, result.stderr) == (3, "", "no\n")
