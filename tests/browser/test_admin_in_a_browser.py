from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from metering.models import Node
from tests.admin import rows
from tests.admin.rows import WEB

PASSWORD = "not a real one, but long"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def admin(browser: Chrome, live_server: LiveServer) -> Chrome:
    """A browser in which an operator has logged in, by the form."""
    User.objects.create_superuser("operator", password=PASSWORD)
    browser.get(f"{live_server.url}/admin/")
    browser.find_element(By.NAME, "username").send_keys("operator")
    browser.find_element(By.NAME, "password").send_keys(PASSWORD)
    follow(browser, By.CSS_SELECTOR, "button[type=submit]")
    browser.find_element(By.LINK_TEXT, "Samples")
    return browser


def follow(browser: Chrome, by: str, what: str) -> None:
    """Click on it, and wait until another page has taken this one's place."""
    browser.execute_script("window.left = false")
    browser.find_element(by, what).click()
    # Asked between two pages, Chromium answers with one error or another.
    WebDriverWait(browser, 20, ignored_exceptions=[WebDriverException]).until(_is_another_page)


def _is_another_page(browser: Chrome) -> bool:
    loaded = "return window.left === undefined && document.readyState === 'complete'"
    return bool(browser.execute_script(loaded))


def text(browser: Chrome) -> str:
    return browser.find_element(By.TAG_NAME, "body").text


def complaints(browser: Chrome) -> list[str]:
    """What the browser's console holds against the pages so far: missing files, broken scripts."""
    entries = browser.get_log("browser")  # type: ignore[no-untyped-call] # selenium leaves it untyped
    return [entry["message"] for entry in entries if entry["level"] == "SEVERE"]


def test_an_operator_finds_a_sample_from_the_first_page(admin: Chrome) -> None:
    rows.resource(last_sample=timezone.now())
    rows.sample(rows.series("cpu"), timezone.now(), volume=4_200_000_000.0)

    follow(admin, By.LINK_TEXT, "Samples")
    assert "Choose a resource" in admin.find_element(By.ID, "hint").text

    follow(admin, By.LINK_TEXT, "Resources")
    follow(admin, By.LINK_TEXT, "samples")
    assert "4200000000 ns" in text(admin)

    follow(admin, By.CSS_SELECTOR, "th.field-read_at a")
    shown = text(admin)
    for part in (WEB, "cumulative", "compute/host-1 (n1:k1)", "01" * 32, '"display_name": "web"'):
        assert part in shown
    assert 'name="_save"' not in admin.page_source
    assert complaints(admin) == []


def test_an_operator_sees_an_unreachable_node_and_switches_it_off(admin: Chrome) -> None:
    rows.node("host-1", guests=4)
    for minutes in (2, 3):
        rows.missed_poll(timezone.now() - timedelta(minutes=minutes))

    admin.refresh()
    assert "0 / 1" in text(admin)

    follow(admin, By.LINK_TEXT, "Nodes")
    assert "0 of 2" in text(admin)

    follow(admin, By.LINK_TEXT, "compute/host-1")
    admin.find_element(By.NAME, "enabled").click()
    follow(admin, By.NAME, "_save")
    assert "was changed successfully" in text(admin)
    assert not Node.objects.get().enabled
    assert complaints(admin) == []


def test_a_refused_body_is_read_and_does_nothing(admin: Chrome) -> None:
    rows.refused(b"<script>document.title = 'taken over'</script>", "Not JSON.", kind="notification")

    follow(admin, By.LINK_TEXT, "Quarantine")
    assert "Not JSON." in text(admin)

    follow(admin, By.CSS_SELECTOR, "th.field-last_seen a")
    assert "<script>document.title = 'taken over'</script>" in text(admin)
    assert "taken over" not in admin.title
    assert complaints(admin) == []


def test_a_token_is_made_and_shown(admin: Chrome) -> None:
    follow(admin, By.LINK_TEXT, "Tokens")
    follow(admin, By.CSS_SELECTOR, "a[href$='/token/add/']")
    admin.find_element(By.NAME, "name").send_keys("billing")
    admin.find_element(By.NAME, "project_id").send_keys("demo")
    follow(admin, By.NAME, "_save")

    assert len(admin.find_element(By.TAG_NAME, "code").text) == 43
    assert complaints(admin) == []
