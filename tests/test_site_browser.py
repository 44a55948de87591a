"""The site in a real browser: sorting, filtering, keyboard, themes, narrow screens, console and axe."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
import sites

from zoo.board.site import build, serve

CHROMIUM, DRIVER = (shutil.which(name, path="/usr/bin") for name in ("chromium", "chromedriver"))
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="Chromium and chromedriver are not in /usr/bin")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("site")
    return build.build(sites.write(root / "records", *sites.records(), sites.hostile()), root / "out").parent


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    with serve.server(folder, 0) as running:
        Thread(target=running.serve_forever, daemon=True).start()
        yield serve.url(running)
        running.shutdown()


@pytest.fixture(scope="module")
def board(folder: Path, address: str) -> str:
    """The page with inductive and transductive rows, shots and explanations."""
    return address + one(folder, "boards/toy_3way_5shot-*.html")


@pytest.fixture(scope="module")
def crafted(folder: Path, address: str) -> str:
    return address + one(folder, "boards/toy_2way_5shot-*.html")


@pytest.fixture(scope="module")
def kinds(folder: Path, address: str, board: str, crafted: str) -> list[str]:
    """One page of every kind."""
    lists = ("index", "methods", "explainers", "gallery", "reported", "about", "methods/stn", "explainers/siamcam")
    row = min(file.relative_to(folder).as_posix() for file in folder.glob("rows/stn-*.html"))
    return [*(f"{address}{name}.html" for name in lists), board, address + row, crafted]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,1000"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    yield driver
    driver.quit()


def go(browser: Any, address: str) -> None:
    """Open a page and wait until all of it is there: on a busy machine the driver may answer before."""
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(address)
    WebDriverWait(browser, 30).until(
        lambda driver: driver.current_url.partition("#")[0] == address.partition("#")[0]
        and driver.find_elements("css selector", "main + footer")
    )


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """The first page, fresh; what the page says on the console fails the test."""
    go(browser, address)
    browser.execute_script("localStorage.clear(); history.replaceState(null, '', location.pathname)")
    go(browser, address)
    yield browser
    assert [entry["message"] for entry in browser.get_log("browser")] == []


def one(folder: Path, pattern: str) -> str:
    (found,) = folder.glob(pattern)
    return found.relative_to(folder).as_posix()


def column(driver: Any, number: int, table: str = "table") -> list[str]:
    """Texts of a column of measured rows that are shown."""
    return driver.execute_script(
        "return [...document.querySelector(arguments[0]).tBodies[0].rows].filter((row) => !row.hidden)"
        ".map((row) => row.cells[arguments[1]].textContent.trim())",
        table, number,
    )  # fmt: skip


def theme(driver: Any, scheme: str) -> None:
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )


def test_sorting_by_mouse_and_keyboard(page: Any, board: str) -> None:
    from selenium.webdriver.common.keys import Keys

    go(page, board)
    before = column(page, 1)
    heads = page.find_elements("css selector", "table:first-of-type thead th")
    labels = heads[8].find_element("css selector", "button")
    assert "labels seen" in labels.text
    labels.click()
    values = [int(value) for value in column(page, 8)]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) > 1
    assert heads[8].get_attribute("aria-sort") == "descending"
    labels.send_keys(Keys.ENTER)
    assert [int(value) for value in column(page, 8)] == sorted(values)
    assert heads[8].get_attribute("aria-sort") == "ascending"
    name = heads[1].find_element("css selector", "button")
    name.send_keys(Keys.SPACE)
    assert heads[8].get_attribute("aria-sort") is None
    assert column(page, 1) == sorted(before)
    heads[0].find_element("css selector", "button").click()
    assert column(page, 1) == before


def test_reported_rows_stay_where_they_are(page: Any) -> None:
    board = "section[data-dataset=pbc] "
    before = page.find_element("css selector", f"{board}tbody.reported").text
    for head in page.find_elements("css selector", f"{board}thead button"):
        head.click()
        last = page.find_elements("css selector", f"{board}tbody")[-1]
        assert last.get_attribute("class") == "reported"
        assert last.text == before


def test_filters_by_dataset_shot_kind_and_explainer(page: Any) -> None:
    from selenium.webdriver.support.select import Select

    def shown() -> list[str]:
        rows = page.find_elements("css selector", "section.board tbody:not(.reported) tr")
        return [row.find_element("css selector", "th a").text for row in rows if row.is_displayed()]

    def choose(name: str, text: str) -> None:
        Select(page.find_element("name", name)).select_by_visible_text(text)

    everything = shown()
    said = page.find_element("css selector", ".filters output")
    assert said.text == f"{len(everything)} of {len(everything)} rows"
    choose("shot", "10")
    assert sorted(shown()) == ["knn", "prototypical", "stn"]
    assert said.text == f"3 of {len(everything)} rows"
    choose("kind", "frozen backbone")
    assert sorted(shown()) == ["knn", "prototypical"]
    assert urlsplit(page.current_url).fragment.startswith("shot=10&kind=")
    page.refresh()
    assert sorted(shown()) == ["knn", "prototypical"]
    page.find_element("css selector", ".filters button[type=reset]").click()
    choose("dataset", "pbc")
    assert sorted(shown()) == ["stn", "supervised"]
    choose("dataset", "all")
    choose("explainer", "grad_cam")
    assert shown() == ["stn"]
    choose("kind", "transductive")
    assert shown() == []
    choose("explainer", "anything or nothing")
    assert shown() == ["tim"]


def test_the_keyboard_reaches_the_content_and_shows_where_it_is(page: Any) -> None:
    from selenium.webdriver.common.keys import Keys

    page.find_element("tag name", "body").send_keys(Keys.TAB)
    skip = page.switch_to.active_element
    assert skip.text == "Skip to the content"
    assert skip.location["x"] >= 0
    skip.send_keys(Keys.ENTER)
    assert page.switch_to.active_element.get_attribute("id") == "main"
    seen = []
    for _ in range(8):
        page.switch_to.active_element.send_keys(Keys.TAB)
        focused = page.switch_to.active_element
        seen.append(focused.tag_name)
        style = page.execute_script("return getComputedStyle(arguments[0]).outlineStyle", focused)
        assert style != "none", focused.get_attribute("outerHTML")
    assert seen[:5] == ["select", "select", "select", "select", "button"]
    assert "a" in seen or "div" in seen


def test_marks_of_a_plot_are_links(page: Any, board: str) -> None:
    go(page, board)
    targets = page.execute_script("return [...document.querySelectorAll('svg.plot a')].map((one) => one.href.baseVal)")
    assert len(targets) > 8
    assert all(target.startswith("../rows/") for target in targets)


def test_the_theme_follows_the_system_until_it_is_chosen(page: Any, address: str) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    def background() -> str:
        return page.execute_script("return getComputedStyle(document.body).backgroundColor")

    theme(page, "light")
    assert background() == "rgb(255, 255, 255)"
    theme(page, "dark")
    dark = background()
    assert dark != "rgb(255, 255, 255)"
    button = page.find_element("css selector", "button.theme")
    # The colours follow at once, the script hears of it with the next frame that the browser draws.
    WebDriverWait(page, 10).until(lambda _: button.text == "Light")
    button.click()
    assert background() == "rgb(255, 255, 255)"
    go(page, f"{address}about.html")
    assert background() == "rgb(255, 255, 255)"
    page.find_element("css selector", "button.theme").click()
    assert background() == dark
    page.execute_script("localStorage.clear()")
    theme(page, "light")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(page: Any, kinds: list[str], scheme: str) -> None:
    from axe_selenium_python import Axe

    theme(page, scheme)
    for url in kinds:
        go(page, url)
        axe = Axe(page)
        axe.inject()
        # colours alone differ in the dark, and the other rules take as long again
        options = "{runOnly: {type: 'rule', values: ['color-contrast']}}" if scheme == "dark" else None
        found = axe.run(options=options)["violations"]
        serious = [
            (one["id"], node["html"]) for one in found if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]  # fmt: skip
        assert serious == [], url
    theme(page, "light")


def test_no_page_is_wider_than_a_narrow_screen(page: Any, kinds: list[str]) -> None:
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    wide = {}
    for url in kinds:
        go(page, url)
        wide[url] = page.execute_script("return document.documentElement.scrollWidth")
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert {url: width for url, width in wide.items() if width > 390} == {}


def test_without_javascript_everything_is_there_to_read(page: Any, address: str) -> None:
    page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    go(page, address)
    page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert page.execute_script("return document.documentElement.className") == ""
    assert len(page.find_elements("css selector", "section.board tbody tr")) > 14
    assert not page.find_element("css selector", ".filters").is_displayed()
    assert not page.find_element("css selector", "button.theme").is_displayed()
    assert page.find_elements("css selector", "thead button") == []


def test_a_crafted_record_runs_nothing(page: Any, crafted: str) -> None:
    go(page, crafted)
    assert "<script>alert(2)</script>" in page.find_element("tag name", "main").text


def test_a_page_opens_from_its_file_as_from_a_server(page: Any, folder: Path) -> None:
    go(page, (folder / "index.html").as_uri())
    assert page.find_element("css selector", ".filters").is_displayed()
    assert page.execute_script("return getComputedStyle(document.querySelector('.filters')).display") == "flex"
