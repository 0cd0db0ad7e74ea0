# %% exercise 1 · it waits for all of them
async def first_done(streams):
    tasks = {asyncio.ensure_future(stream): label for label, stream in streams.items()}
    done, pending = await asyncio.wait(tasks)
    return tasks[done.pop()], done.pop().result()

# %% exercise 1 · the loser is still running
async def first_done(streams):
    tasks = {asyncio.ensure_future(stream): label for label, stream in streams.items()}
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    winner = done.pop()
    return tasks[winner], winner.result()

# %% exercise 1 · the winner is 'quick'
async def first_done(streams):
    tasks = {asyncio.ensure_future(stream): label for label, stream in streams.items()}
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    return "endless", done.pop().result()

# %% exercise 2 · this is the order of asking
async def arrivals(jobs):
    return list(zip(jobs, await asyncio.gather(*jobs.values())))

# %% exercise 2 · whose are they
async def arrivals(jobs):
    return [await coming for coming in asyncio.as_completed(jobs.values())]
