"""How long the explorer of 1,024 pairs takes until its first picture is seen, and how large its page is.

    python benchmarks/explorer.py

Opens the page in chromium from the disk, each time anew. Seconds by the clock from the start of the navigation, and
those that the page's own thread worked; the median of several openings. The last line is JSON.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from playwright.sync_api import Browser, sync_playwright

from tests.explorer.studies import write_large


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--openings", type=int, default=5)
    options.add_argument("--browser", default=shutil.which("chromium"), help="its path")
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as started:
        page = write_large(Path(folder))
        browser = started.chromium.launch(executable_path=arguments.browser, args=["--no-sandbox"])
        seconds, thread = zip(*(until_seen(browser, page) for _ in range(arguments.openings)), strict=True)
        browser.close()
        found = {"seconds": statistics.median(seconds), "thread_seconds": statistics.median(thread)}
        result = {name: round(value, 2) for name, value in found.items()} | {"mb": round(page.stat().st_size / 1e6, 1)}
    print(json.dumps(result))


def until_seen(browser: Browser, path: Path) -> tuple[float, float]:
    """Seconds until the first picture of a page is drawn, and those of its thread."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    start = time.perf_counter()
    page.goto(path.as_uri(), wait_until="commit", timeout=120_000)
    page.wait_for_selector("#average-plot .heatmaplayer image", state="attached", timeout=120_000)
    seconds = time.perf_counter() - start
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    page.close()
    return seconds, metrics["ThreadTime"]


if __name__ == "__main__":
    main()
