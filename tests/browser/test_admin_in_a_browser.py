from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from metering.models import Node
from tests.admin import rows
from tests.admin.rows import WEB
from tests.browser.steps import PASSWORD, complaints, follow, log_in, text

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def admin(browser: Chrome, live_server: LiveServer) -> Chrome:
    """A browser in which an operator has logged in, by the form."""
    User.objects.create_superuser("operator", password=PASSWORD)
    browser.get(f"{live_server.url}/admin/")
    log_in(browser)
    browser.find_element(By.LINK_TEXT, "Samples")
    return browser


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
