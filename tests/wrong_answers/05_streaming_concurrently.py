# %% exercise 1 · it waits for all of them
async def first_answer(streams):
    tasks = {asyncio.ensure_future(stream): label for label, stream in streams.items()}
    done, pending = await asyncio.wait(tasks)
    return tasks[done.pop()], done.pop().result()

# %% exercise 1 · a failure won
async def first_answer(streams):
    tasks = {asyncio.ensure_future(stream): label for label, stream in streams.items()}
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    winner = done.pop()
    return tasks[winner], winner.result()

# %% exercise 1 · the winner is 'quick'
async def first_answer(streams):
    tasks = {asyncio.ensure_future(stream): label for label, stream in streams.items()}
    done, pending = await asyncio.wait(tasks, timeout=0.2)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    return "endless", next(task.result() for task in done if not task.exception())

# %% exercise 1 · a loser is still running
async def first_answer(streams):
    tasks = {asyncio.ensure_future(stream): label for label, stream in streams.items()}
    done, pending = set(), set(tasks)
    while pending and all(task.exception() for task in done):
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    winner = next(task for task in done if not task.exception())
    return tasks[winner], winner.result()

# %% exercise 1 · return two things
async def first_answer(streams):
    tasks = [asyncio.ensure_future(stream) for stream in streams.values()]
    for task in tasks:
        task.cancel()

# %% exercise 2 · this is the order of asking
async def arrivals(jobs):
    return list(zip(jobs, await asyncio.gather(*jobs.values())))

# %% exercise 2 · whose are they
async def arrivals(jobs):
    return [await coming for coming in asyncio.as_completed(jobs.values())]

# %% exercise 2 · line 2 of your code
async def arrivals(jobs):
    return [await coming for coming in asyncio.as_completed(jobs.value())]

# %% exercise 2 · pairs of label and result, the quickest first
async def arrivals(jobs):
    return [("somebody's", await coming) for coming in asyncio.as_completed(jobs.values())]
