"""Chromium, without a window and without a word to anybody outside."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

ARGUMENTS = (
    "--headless",
    "--no-sandbox",  # a test machine may run everything as root
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1000",
)


def program(*names: str) -> str:
    """The first of these programs that the machine has: Debian and Ubuntu call the browser by two names."""
    found = next(filter(None, map(shutil.which, names)), None)
    assert found, f"{names[0]} is not installed: run bin/install test"
    return found


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chrome]:
    options = ChromeOptions()
    options.binary_location = program("chromium", "chromium-browser")
    for argument in (*ARGUMENTS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = Service(program("chromedriver"))
    with Chrome(options=options, service=service) as driver:
        driver.implicitly_wait(10)  # seconds
        yield driver
