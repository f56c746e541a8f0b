"""What an operator does in a browser, and what is to be seen there."""

from __future__ import annotations

from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

PASSWORD = "not a real one, but long"


def log_in(browser: Chrome) -> None:
    """By the form that is shown."""
    browser.find_element(By.NAME, "username").send_keys("operator")
    browser.find_element(By.NAME, "password").send_keys(PASSWORD)
    follow(browser, By.CSS_SELECTOR, "button[type=submit]")


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
