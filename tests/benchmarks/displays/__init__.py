"""What it costs to show a streaming answer, in kernel, wire and page: nbkit beside its peers."""


def main() -> None:
    """Print the kernel's table, then the page's."""
    # The kernels under test import this package too: they shall not load a browser's driver.
    from tests.benchmarks.displays import browser_side, kernel_side

    kernel_side.main()
    browser_side.main()
