import pytest

from tests.kernel.conftest import Kernel, Run

pytestmark = pytest.mark.kernel

SETUP = """
import asyncio, nbkit

async def words(count, pause, name=''):
    for number in range(count):
        await asyncio.sleep(pause)
        yield f"{name}{number} "

async def breaks():
    yield 'half '
    raise OSError('cable pulled')
"""


@pytest.fixture
def ready(lasting_kernel: Kernel) -> Kernel:
    """A kernel with sources to show."""
    lasting_kernel.run(SETUP)
    return lasting_kernel


def _frames(run: Run) -> list[dict[str, object]]:
    contents = [c["data"].get("content") or {} for c in run.of("comm_msg")]
    return [content for content in contents if "cells" in content]


def test_one_message_a_frame_serves_all_streams(ready: Kernel) -> None:
    """Eight streams cost no more messages than one: each frame carries all that is new."""
    run = ready.run(
        "answers = await nbkit.show_all({f's{n}': words(100, 0.01, f's{n}w') for n in range(8)})\n"
        "print([len(a.text.split()) for a in answers.values()])\n"
        "seconds = max(a.trace.end for a in answers.values())"
        " - min(a.trace.start for a in answers.values())"
    )
    assert run.text == f"{[100] * 8}\n"
    seconds = float(ready.run("print(seconds)").text)
    frames = _frames(run)
    assert len(frames) <= 20 * seconds + 10
    assert max(len(frame["cells"]) for frame in frames) == 8  # type: ignore[arg-type]


def test_a_grid_settles_into_one_table(ready: Kernel) -> None:
    """What stays is one table, a row an answer, and no widget is left."""
    run = ready.run("await nbkit.show_all([words(3, 0, 'a'), words(3, 0, '<b>')])")
    (bundle,) = run.settled
    assert bundle["text/html"].count("<tr>") == 2
    assert "a0 a1 a2" in bundle["text/plain"]
    assert "<b>" not in bundle["text/html"]
    opened = {c["comm_id"] for c in run.of("comm_open")}
    assert ready.closed_once_replaced(run) == opened


def test_one_failure_leaves_the_others_alone(ready: Kernel) -> None:
    """A stream that breaks is in its place, with its partial and its error, and raises nothing."""
    run = ready.run(
        "answers = await nbkit.show_all({'good': words(20, 0.01, 'g'), 'bad': breaks()})\n"
        "print(answers['good'].state, answers['bad'].state, repr(answers['bad'].text))"
    )
    assert run.text == "done failed 'half '\n"
    assert "cable pulled" in run.settled[0]["text/plain"]


def test_one_stop_each_and_one_for_all(ready: Kernel) -> None:
    """A click stops one stream, another click the rest; all keep what they had."""
    run = ready.run("view = nbkit.show_all({name: words(5000, 0.01, name) for name in 'abc'})")
    ready.run("await asyncio.sleep(0.3)")
    ready.tell_widget(run.live_comm, type="stop", index=1)
    stopped = "while 'b' not in view.answers: await asyncio.sleep(0.01)\nprint([*view.answers])"
    assert ready.run(stopped).text == "['b']\n"
    ready.tell_widget(run.live_comm, type="stop", index=None)
    done = ready.run("answers = await view\nprint({a.state for a in answers.values()})")
    assert done.text == "{'stopped'}\n"
    assert ready.run("print(all(a.text for a in answers.values()))").text == "True\n"


def test_an_interrupt_stops_them_all(ready: Kernel) -> None:
    """Ctrl-C ends every stream of the grid and keeps what had arrived."""
    request = ready.start(
        "grid = nbkit.show_all([words(5000, 0.01, n) for n in 'abc']); await grid"
    )
    ready.follow(request, until=lambda run: "streaming" in str(run.of("comm_msg")))
    ready.manager.interrupt_kernel()
    run = ready.follow(request)
    assert run.reply["status"] == "error"
    assert run.settled[0]["text/plain"].count("■ stopped") == 3
    assert ready.run("print(len(grid.answers))").text == "3\n"


def test_a_race_ends_in_the_order_of_arrival(ready: Kernel) -> None:
    """The table of a race lists whole answers first, by the time they took."""
    run = ready.run(
        "answers = await nbkit.show_all({'slow': words(5, 0.1), 'fast': words(5, 0.01),"
        " 'bad': breaks()}, race=True)\nprint([*answers])"
    )
    assert run.text == "['slow', 'fast', 'bad']\n"
    plain = run.settled[0]["text/plain"]
    assert plain.index("fast") < plain.index("slow") < plain.index("bad")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("nbkit.show_all({})", "nothing to show"),
        ("nbkit.show_all([])", "nothing to show"),
        ("nbkit.show_all({'a': words(1, 0), 'b': 'a question'})", "aquery"),
        ("nbkit.show_all('What is it?')", "call `show`"),
        ("nbkit.show_all(asyncio.sleep(0))", "call `show`"),
    ],
)
def test_bad_input_names_the_fix(ready: Kernel, code: str, says: str) -> None:
    """One clear line says what to call instead, and no coroutine is left behind unawaited."""
    run = ready.follow(ready.start(code))
    assert run.reply["ename"] == "StreamMisused"
    assert says in run.reply["evalue"]
    assert "never awaited" not in str(run.of("stream"))
