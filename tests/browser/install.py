"""Make sure the browser tests have their browser, installing it where that is possible.

`python install.py` is about Chromium, `python install.py firefox` about Firefox.
"""

import os
import shutil
import subprocess
import sys

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def browser_path() -> str | None:
    """Find a Chromium on this machine; `None` leaves it to Playwright's own."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def firefox_path() -> str | None:
    """Find the Firefox that the distribution has installed, if it has."""
    return shutil.which("firefox-esr") or shutil.which("firefox")


def _playwright_has_one() -> bool:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return os.path.exists(playwright.chromium.executable_path)  # noqa: PTH110


def _run(*command: str) -> bool:
    print("+", *command, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, stdout=subprocess.DEVNULL, env=environment, check=False)
    return done.returncode == 0


def _debian_has(package: str) -> bool:
    """Install a package of Debian's, and letters for Chinese, as root."""
    if not shutil.which("apt-get") or os.geteuid() != 0:
        return False
    _run("apt-get", "update", "-qq")
    packages = (package, "fonts-noto-cjk")
    return _run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages)


def chromium() -> None:
    """Look for a Chromium, then try Debian's package, then Playwright's download."""
    if browser_path() or _playwright_has_one() or _debian_has("chromium"):
        return
    if _run(sys.executable, "-m", "playwright", "install", "chromium"):
        return
    sys.exit(
        "No Chromium for the browser tests, and none could be installed — install Chromium or "
        "Chrome and run `make test` again."
    )


def firefox() -> None:
    """Look for a Firefox, then try Debian's package; Playwright's own is not a reader's."""
    if firefox_path() or _debian_has("firefox-esr"):
        return
    sys.exit(
        "The tests in Firefox were not run: it is not installed, and could not be — install it "
        "(on Debian as root: apt-get install firefox-esr) and run `make browsers` again."
    )


if __name__ == "__main__":
    firefox() if sys.argv[1:] == ["firefox"] else chromium()
