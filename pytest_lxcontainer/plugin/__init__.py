"""What pytest sees: every hook and fixture of the plugin is named here.

pytest imports this in every project that has the plugin installed, so it imports nothing of the other rooms.
"""

from .fixtures import _lxc_provisioner, container, containers, lxc_images
from .hooks import (
    pytest_collection_finish,
    pytest_configure,
    pytest_configure_node,
    pytest_generate_tests,
    pytest_make_parametrize_id,
    pytest_runtest_setup,
    pytest_sessionstart,
    pytest_testnodedown,
    pytest_unconfigure,
)
from .images import pytest_report_collectionfinish, pytest_report_header, pytest_terminal_summary
from .options import pytest_addoption
from .report import pytest_runtest_makereport

__all__ = [
    "_lxc_provisioner",
    "container",
    "containers",
    "lxc_images",
    "pytest_addoption",
    "pytest_collection_finish",
    "pytest_configure",
    "pytest_configure_node",
    "pytest_generate_tests",
    "pytest_make_parametrize_id",
    "pytest_report_collectionfinish",
    "pytest_report_header",
    "pytest_runtest_makereport",
    "pytest_runtest_setup",
    "pytest_sessionstart",
    "pytest_terminal_summary",
    "pytest_testnodedown",
    "pytest_unconfigure",
]
