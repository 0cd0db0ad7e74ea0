import pytest

from tests.kernel.conftest import Kernel

pytestmark = pytest.mark.kernel


def test_every_plot_shows_not_only_the_first(kernel: Kernel) -> None:
    """Each cell that plots shows its figure: drawing leaves the kernel's backend as it was."""
    kernel.run("import nbkit\nanswer = await nbkit.stream(['one ', 'two '])")
    for _ in range(3):
        run = kernel.run("nbkit.plots.tokens_over_time([answer]);")
        assert ["image/png" in content["data"] for content in run.of("display_data")] == [True]
