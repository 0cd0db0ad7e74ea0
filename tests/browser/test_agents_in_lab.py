"""An agent in JupyterLab: its thoughts, its steps, what it asks a person, and what is kept."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Lab, open_notebook, run_cell

pytestmark = pytest.mark.browser
SETUP = """
import asyncio, nbkit
from llama_index.core.agent.workflow import AgentStream, FunctionAgent
from llama_index.core.workflow import (
    Context, HumanResponseEvent, InputRequiredEvent, StartEvent, StopEvent, Workflow, step)

async def weather(city: str) -> str:
    "The weather in a city today."
    await asyncio.sleep(1)
    return f"It is sunny in {city}."

class Asks(Workflow):
    @step
    async def ask(self, event: StartEvent) -> InputRequiredEvent:
        return InputRequiredEvent(prefix="Shall I?")
    @step
    async def answer(self, event: HumanResponseEvent) -> StopEvent:
        return StopEvent(result=f"You said {event.response}.")

question = "What's the weather in Paris and Lima today?"
agent = lambda **speed: FunctionAgent(tools=[weather], llm=nbkit.connect(**speed))
ask = lambda **speed: agent(**speed).run(user_msg=question)
first = await nbkit.stream(ask(speed=0))
speed = dict(speed=1, ttft=0.2, tokens_per_second=30, thinking_tokens=20)
"""


def _open(lab: Lab, page: Page, name: str, *cells: str) -> None:
    open_notebook(page, lab, lab.write(f"{name}.ipynb", SETUP, *cells))
    for index in range(len(cells) + 1):
        run_cell(page, index)


def test_steps_and_thoughts_are_seen_and_stay(lab: Lab, page: Page) -> None:
    """Rows for the tools while they run, thoughts folded, the answer last; all of it settles."""
    _open(lab, page, "agent", "answer = await nbkit.show(lambda: ask(**speed))")
    live = page.locator(".nbkit-live")
    expect(live.locator(".nbkit-caption")).to_contain_text("thinking")
    expect(live.get_by_text("◌ weather(city='Paris')")).to_be_visible()
    expect(live.locator(".nbkit-caption")).to_contain_text("using tools")
    live.get_by_text("Thoughts").click()
    expect(live.locator(".nbkit-thought").first).to_contain_text("The user asks")
    expect(live.get_by_text("✓ weather(city='Lima') · 1.")).to_be_visible()
    settled = page.locator(".nbkit-settled")
    expect(settled).to_contain_text("2 requests", timeout=20_000)
    settled.get_by_text("✓ weather(city='Paris') · 1.").click()
    expect(settled.get_by_text("It is sunny in Paris.").first).to_be_visible()
    settled.get_by_text("Thought", exact=True).click()
    expect(settled.get_by_text("The user asks: What's").first).to_be_visible()


def test_a_person_replies_in_the_page(lab: Lab, page: Page) -> None:
    """What a run asks a person is under the answer with a box; Enter sends the reply."""
    _open(lab, page, "asks", "answer = await nbkit.show(lambda: Asks().run())")
    box = page.get_by_label("Shall I?")
    box.fill("yes")
    box.press("Enter")
    expect(page.locator(".nbkit-settled")).to_contain_text("You said yes.")
