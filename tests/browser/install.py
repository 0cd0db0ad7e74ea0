"""Make sure a Chromium is there for the browser tests, installing one where that is possible."""

import os
import shutil
import subprocess
import sys

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def browser_path() -> str | None:
    """Find a Chromium on this machine; `None` leaves it to Playwright's own."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def _playwright_has_one() -> bool:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        return os.path.exists(playwright.chromium.executable_path)  # noqa: PTH110


def _run(*command: str) -> bool:
    print("+", *command, flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(command, stdout=subprocess.DEVNULL, env=environment, check=False)
    return done.returncode == 0


def main() -> None:
    """Look for a browser, then try Debian's package (as root), then Playwright's download."""
    if browser_path() or _playwright_has_one():
        return
    if shutil.which("apt-get") and os.geteuid() == 0:
        packages = ("chromium", "fonts-noto-cjk")
        _run("apt-get", "update", "-qq")
        if _run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages):
            return
    if _run(sys.executable, "-m", "playwright", "install", "chromium"):
        return
    sys.exit(
        "No Chromium for the browser tests, and none could be installed — install Chromium or "
        "Chrome and run `make test` again."
    )


if __name__ == "__main__":
    main()
