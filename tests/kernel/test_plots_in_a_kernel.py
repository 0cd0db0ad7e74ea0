import pytest

from tests.kernel.conftest import Kernel

pytestmark = pytest.mark.kernel


def test_every_plot_shows_not_only_the_first(kernel: Kernel) -> None:
    """Each cell that plots shows its figure: drawing leaves the kernel's backend as it was."""
    kernel.run("import nbkit\nanswer = await nbkit.stream(['one ', 'two '])")
    for _ in range(3):
        run = kernel.run("nbkit.plots.tokens_over_time([answer]);")
        assert ["<img " in content["data"]["text/html"] for content in run.of("display_data")] == [
            True
        ]


def test_the_picture_has_a_text(kernel: Kernel) -> None:
    """An output is one image with its text, which is the plain form, too; so for axes given."""
    kernel.run(
        "import nbkit, matplotlib.pyplot as plt\n"
        "from nbkit.streaming.trace import Trace\n"
        "trace = Trace(start=0.0, arrivals=[1.0, 1.2], sizes=[4, 4])"
    )
    for code in (
        "nbkit.plots.timeline({'say \"hi\" <b>': trace});",
        "nbkit.plots.timeline({'say \"hi\" <b>': trace}, ax=plt.subplots()[1]);",
    ):
        (shown,) = (output["data"] for output in kernel.run(code).of("display_data"))
        assert set(shown) == {"text/html", "text/plain"}
        assert shown["text/plain"].startswith('Where does the time go? say "hi" <b>: done, first')
        assert (
            'alt="Where does the time go? say &quot;hi&quot; &lt;b&gt;: done' in shown["text/html"]
        )
        assert 'src="data:image/png;base64,iVBOR' in shown["text/html"]
