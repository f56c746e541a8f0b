from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from pytest_django.live_server_helper import LiveServer
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from tests.browser.steps import PASSWORD, complaints, follow, log_in, text
from tests.factories import reading, store

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_api_is_read_and_asked_in_a_browser(browser: Chrome, live_server: LiveServer) -> None:
    store(*(reading(number, 60 * number) for number in range(3)), reading(77, resource="db-1"))
    User.objects.create_superuser("operator", password=PASSWORD)

    browser.get(f"{live_server.url}/v2/samples?limit=50")
    assert "Authentication credentials were not provided." in text(browser)
    assert [line for line in complaints(browser) if "401" not in line] == []
    follow(browser, By.CSS_SELECTOR, "main a.button")
    log_in(browser)
    assert browser.current_url.endswith("/v2/samples?limit=50")
    assert "4 rows" in text(browser)

    browser.find_element(By.ID, "q-field-0").send_keys("timestamp")
    Select(browser.find_element(By.ID, "q-op-0")).select_by_value("gt")
    browser.find_element(By.ID, "q-value-0").send_keys("2026-11-23T12:00:00")
    follow(browser, By.CSS_SELECTOR, ".buttons button")
    assert "2 rows" in text(browser)
    assert "77.0" not in text(browser)
    assert browser.find_element(By.ID, "q-value-0").get_attribute("value") == "2026-11-23T12:00:00"

    follow(browser, By.LINK_TEXT, "web-1")
    follow(browser, By.LINK_TEXT, "cpu")
    follow(browser, By.LINK_TEXT, "Statistics of it")
    assert "max" in text(browser)

    follow(browser, By.LINK_TEXT, "Description")
    browser.find_element(By.CSS_SELECTOR, "[id$=get_v2_meters] button").click()
    assert "Each meter once, whatever its resource." in browser.find_element(By.CSS_SELECTOR, ".opblock-body").text

    follow(browser, By.CSS_SELECTOR, ".who button")
    assert "Log in" in text(browser)
    assert complaints(browser) == []
