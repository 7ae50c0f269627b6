"""Hooks into pytest's life: the marker, several images, and the end of the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from .aftermath import close_aftermath
from .choice import is_parametrized, made_by_lxc_container, marked, name_of_param, note_item
from .images import check_options, prepare_worker, take_over
from .options import chosen_images
from .provisioning import begin, close
from .reset import reset_for
from .run import RUN, SharedRun, end_run, ended_by, supervisor_of
from .shell import offer_shell
from .terminal import close_terminal, open_terminal
from .times import note_times

_MARKER = (
    "container(image, **settings): image and settings of the `container` fixture for the marked test, class or module"
)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, and what adds to JUnit files."""
    config.addinivalue_line("markers", _MARKER)
    if config.getoption("xmlpath", None):
        from .junit import register  # few runs write one

        register(config)
    config.stash[RUN] = SharedRun.of(config)
    note_times(config)
    offer_shell(config)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Find the terminal while nothing is captured."""
    open_terminal(session.config)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker which run it belongs to; the run is the controller's.

    Options are checked here too: what the controller refuses is refused once.
    """
    check_options(node.config)
    node.workerinput["lxcontainer_run"] = node.config.stash[RUN].to_text()
    prepare_worker(node)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker tells; end the run, once, if it found that it cannot go on."""
    take_over(node)
    if reason := ended_by(node):
        end_run(node.config, reason)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that leaves its image to the options once for each of them."""
    test = metafunc.definition
    if "container" not in metafunc.fixturenames or marked(test)[0] is not None or is_parametrized(test, "container"):
        return
    images = chosen_images(metafunc.config)
    if len(images) > 1 and made_by_lxc_container(test, "container") is None:
        metafunc.parametrize("container", images, indirect=True)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name a parameter that is an image; settings only where they are known to be some."""
    return None if isinstance(val, Mapping) else name_of_param(val)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Refuse bad options once, not in each test, and only if a test wants a container; get ready for it."""
    if any("_lxc_provisioner" in getattr(item, "fixturenames", ()) for item in session.items):
        check_options(session.config)
        begin(session.config)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Know the test whose fixtures are to be made, and reset those that other tests have used."""
    note_item(item)
    reset_for(item)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the run that xdist's workers shared, if any of them began it.

    Without xdist the session's fixture has done so.
    """
    close_aftermath(config)
    close(config)
    close_terminal(config)
    client = None if hasattr(config, "workerinput") else supervisor_of(config)
    if client is not None:
        client.shutdown()
        client.close()
