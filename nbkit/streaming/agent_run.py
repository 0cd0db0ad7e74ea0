"""The run of an agent as one stream: its answer, its thoughts, and the calls of its tools."""

import asyncio
import time
from collections.abc import AsyncIterator

from llama_index.core.agent.workflow import (
    AgentInput,
    AgentOutput,
    AgentStream,
    ToolCall,
    ToolCallResult,
)
from llama_index.core.chat_ui.events import SourceNodesEvent
from llama_index.core.memory import BaseMemory
from llama_index.core.tools import ToolOutput
from llama_index.core.workflow import Event, HumanResponseEvent, InputRequiredEvent
from llama_index.core.workflow.errors import (  # type: ignore[attr-defined]
    WorkflowCancelledByUser,
    WorkflowRuntimeError,
    WorkflowTimeoutError,
)
from llama_index.core.workflow.handler import WorkflowHandler  # type: ignore[attr-defined]

from nbkit.language import say
from nbkit.streaming.errors import StreamBroken, StreamMisused
from nbkit.streaming.history import ChatTurn
from nbkit.streaming.model_call import ModelCall
from nbkit.streaming.readers import Reader
from nbkit.streaming.steps import ToolStep
from nbkit.streaming.thinking import Thought, ThoughtSplitter
from nbkit.streaming.trace import Trace
from nbkit.wording import shown_name

_STOP_SECONDS = 5.0
_UNFINISHED = ("scratchpad", "current_reasoning", "current_tool_calls")
"""Where LlamaIndex's agents keep the messages of a turn that has not ended."""


class AgentReader(Reader):
    """The deltas of an agent's run; stopping it ends the run and whatever it waits for."""

    def __init__(self, run: WorkflowHandler, trace: Trace) -> None:
        if run.is_done() or getattr(run, "nbkit_read", False):
            raise StreamMisused(
                say("This run has already been read, or awaited"),
                say("ask the agent again: `agent.run(user_msg=question)`."),
            )
        run.nbkit_read = True  # type: ignore[attr-defined]
        super().__init__(run, from_model=True)
        self.run = run
        self.calls: list[ModelCall] = []
        """The requests to the model, in their order."""
        self.question: str | None = None
        """What the run asks a person now."""
        self._asked_at = 0.0
        self._trace = trace
        self._ending: asyncio.Task[None] | None = None
        self._splitter = ThoughtSplitter(react=True)
        self._agent = ""
        """Which agent's turn it is."""
        self._said: list[str] = []
        """The answer so far, in the present turn of the model."""
        self._turn = 0
        self._turns: dict[type[str], int] = {}
        """In which turn of the model there was text, and a thought, last."""

    async def __aiter__(self) -> AsyncIterator[str]:
        async for event in self.run.stream_events():
            for delta in self._deltas(event):
                yield delta
        try:
            self.result = await self.run
        except WorkflowCancelledByUser:
            raise asyncio.CancelledError from None
        except Exception as error:
            told = _in_words(error)
            if told is None:
                raise
            raise told from error
        for delta in self._rest():
            yield delta

    def stop(self) -> None:
        """Cancel the run."""
        if self._ending is None and not self.run.is_done():
            self._ending = asyncio.create_task(self.run.cancel_run(timeout=_STOP_SECONDS))

    async def stopped(self) -> None:
        """Wait until nothing of the run goes on."""
        self.stop()
        if self._ending is not None:
            await self._ending

    def reply(self, text: str) -> None:
        """Answer the run's question to a person."""
        self._trace.waits.append((self._asked_at, time.perf_counter()))
        self.question = None
        self.run.ctx.send_event(HumanResponseEvent(response=text))  # type: ignore[call-arg]

    @property
    def last_call(self) -> ModelCall | None:
        """The last request to the model."""
        return self.calls[-1] if self.calls else None

    async def turn(self, _: ChatTurn | None) -> ChatTurn | None:
        """The turn in the agent's memory; what the unfinished run left beside it is removed."""
        store = self.run.ctx.store
        for name in _UNFINISHED:
            if await store.get(name, default=None):
                await store.set(name, [])
        memory = await store.get("memory", default=None)
        return ChatTurn(memory, asked=True) if isinstance(memory, BaseMemory) else None

    def copy_to(self, trace: Trace) -> None:
        """Copy to a trace what the model's servers said, counted over all requests."""
        if not self.calls:
            return
        self.calls[-1].copy_to(trace)
        trace.requested = self.calls[0].requested
        trace.requests = len(self.calls)
        # Of a run that began before events were recorded, the calls of its tools are not known.
        if not trace.usage and not self.sources:
            trace.usage = [call.usage for call in self.calls]
        for name in ("tokens", "prompt_tokens", "reasoning_tokens", "cached_tokens"):
            counts = [getattr(call, name) for call in self.calls]
            setattr(trace, name, None if None in counts else sum(counts))

    def _deltas(self, event: Event) -> list[str]:
        """What one event adds; an empty delta for what is only a step."""
        now = time.perf_counter()
        if isinstance(event, AgentStream):
            return self._streamed(event)
        if isinstance(event, AgentInput):
            self.calls.append(ModelCall(now))
            held = self._told(self._splitter.end())
            self._splitter = ThoughtSplitter(react=True)
            self._turn += 1
            self._said.clear()
            return held or [""]
        if isinstance(event, ToolCall):
            self._began(event, now)
        elif isinstance(event, ToolCallResult):
            self._ended(event, now)
        elif isinstance(event, AgentOutput):
            self._agent = event.current_agent_name
        elif isinstance(event, SourceNodesEvent):
            self.sources += event.nodes
        elif isinstance(event, InputRequiredEvent):
            self.question, self._asked_at = str(event.get("prefix", "")), now
        return [""]

    def _streamed(self, event: AgentStream) -> list[str]:
        if not self.calls:
            self.calls.append(ModelCall())
        call = self.calls[-1]
        thinking = call.on_raw(event.raw)
        if call.model is None and isinstance(event.raw, dict):
            call.model = shown_name(str(event.raw.get("model") or "")) or None
        thinking = event.thinking_delta or thinking
        thought: list[str] = [Thought(thinking)] if thinking else []
        return self._told([*thought, *self._splitter.add(event.delta)]) or [""]

    def _told(self, deltas: list[str]) -> list[str]:
        """The deltas, with an empty line between what two turns of the model say, or think."""
        told: list[str] = []
        for delta in deltas:
            kind: type[str] = Thought if isinstance(delta, Thought) else str
            if delta.strip() and self._turns.get(kind, self._turn) != self._turn:
                told.append(kind("\n\n" + delta))
            else:
                told.append(delta)
            if delta.strip():
                self._turns[kind] = self._turn
            if kind is str:
                self._said.append(delta)
        return told

    def _rest(self) -> list[str]:
        """The answer of a run that did not stream it."""
        deltas = self._told(self._splitter.end())
        response = getattr(self.result, "response", None)
        whole = self.result if isinstance(self.result, str) else getattr(response, "content", None)
        # Of OpenAI's Responses protocol LlamaIndex gives only the last delta as the whole.
        if whole and not "".join(self._said).strip().endswith(whole.strip()):
            self._turn += 1
            deltas += self._told([whole])
        return deltas

    def _began(self, event: ToolCall, now: float) -> None:
        # LlamaIndex begins a step anew when a person has answered what it asked.
        if not any(step.call_id == event.tool_id and step.end is None for step in self.steps):
            step = ToolStep(event.tool_name, event.tool_kwargs, self._agent, now)
            step.call_id = event.tool_id
            self.steps.append(step)

    def _ended(self, event: ToolCallResult, now: float) -> None:
        output = event.tool_output
        for step in self.steps:
            if step.call_id == event.tool_id and step.end is None:
                text = _text_of(output)
                step.end, step.result = now, text
                if output.is_error:
                    step.result, step.error = None, text
                break
        self.sources += getattr(output.raw_output, "source_nodes", None) or []


def _text_of(output: ToolOutput) -> str:
    """What a tool returned as text; of images and other media their kinds."""
    return output.content or " ".join(f"[{block.block_type}]" for block in output.blocks)


def _in_words(error: Exception) -> StreamBroken | None:
    """For an end that LlamaIndex set, one sentence with what to do."""
    if isinstance(error, WorkflowTimeoutError):
        return StreamBroken(
            say("The agent did not come to an end within its time limit"),
            say("give it more (`timeout=` in seconds), or fewer and faster tools."),
        )
    if isinstance(error, ValueError) and "FunctionCallingLLM" in str(error):
        return StreamBroken(
            say("This model cannot call tools in the way a FunctionAgent needs"),
            say(
                "use `ReActAgent`, which works with any model. If its server can, connect with "
                "`nbkit.connect(…, is_function_calling_model=True)`."
            ),
        )
    if isinstance(error, WorkflowRuntimeError) and "Max iterations" in str(error):
        return StreamBroken(
            say("The agent called tools again and again, up to its limit of iterations"),
            say("see `.answer.steps`; ask for less, or allow more (`run(…, max_iterations=40)`)."),
        )
    return None
