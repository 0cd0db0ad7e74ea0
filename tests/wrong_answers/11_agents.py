# %% exercise 1 · 6.0 s is one of the two numbers
def saved(steps):
    return sum(step.seconds for step in steps)

# %% exercise 1 · 3.5 s is one of the two numbers
def saved(steps):
    return max(step.end for step in steps) - min(step.start for step in steps)

# %% exercise 1 · the other way round
def saved(steps):
    took = max(step.end for step in steps) - min(step.start for step in steps)
    return took - sum(step.seconds for step in steps)

# %% exercise 1 · depends on the order
def saved(steps):
    return sum(step.seconds for step in steps) - (steps[-1].end - steps[0].start)

# %% exercise 1 · within 3.5 s
def saved(steps):
    return sum(step.seconds for step in steps) - max(step.seconds for step in steps)

# %% exercise 1 · raised AttributeError
def saved(steps):
    return sum(step.duration for step in steps)

# %% exercise 2 · the answer's text is wanted
async def ask_within(agent, question, seconds):
    try:
        return await asyncio.wait_for(agent.run(user_msg=question), seconds)
    except TimeoutError:
        return ""

# %% exercise 2 · the text so far is wanted
async def ask_within(agent, question, seconds):
    handler = agent.run(user_msg=question)
    try:
        return str(await asyncio.wait_for(handler, seconds))
    except TimeoutError:
        await handler.cancel_run()

# %% exercise 2 · the run goes on
async def ask_within(agent, question, seconds):
    try:
        return str(await asyncio.wait_for(agent.run(user_msg=question), seconds))
    except TimeoutError:
        return ""

# %% exercise 2 · raised TimeoutError
async def ask_within(agent, question, seconds):
    return str(await asyncio.wait_for(agent.run(user_msg=question), seconds))

# %% exercise 2 · some text had come in time
async def ask_within(agent, question, seconds):
    handler = agent.run(user_msg=question)
    await asyncio.sleep(seconds)
    if handler.is_done():
        return str(await handler)
    await handler.cancel_run()
    return ""
