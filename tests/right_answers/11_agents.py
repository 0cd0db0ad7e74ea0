# %% exercise 1 · by starts and ends, sorted first
def saved(steps):
    starts = sorted(step.start for step in steps)
    ends = sorted(step.end for step in steps)
    return sum(ends) - sum(starts) - ends[-1] + starts[0]

# %% exercise 1 · a list of pairs
def saved(steps):
    pairs = [(step.start, step.end) for step in steps]
    first, last = min(pairs)[0], max(end for _, end in pairs)
    return sum(end - start for start, end in pairs) - last + first

# %% exercise 2 · a timeout around the stream
async def ask_within(agent, question, seconds):
    stream = nbkit.stream(lambda: agent.run(user_msg=question))
    try:
        async with asyncio.timeout(seconds):
            await stream
    except TimeoutError:
        pass
    return stream.text

# %% exercise 2 · plain LlamaIndex
async def ask_within(agent, question, seconds):
    handler, said = agent.run(user_msg=question), []

    async def read():
        async for event in handler.stream_events():
            if isinstance(event, AgentStream):
                said.append(event.delta)

    try:
        await asyncio.wait_for(read(), seconds)
    except TimeoutError:
        await handler.cancel_run()
    return "".join(said)
