# %% exercise 1 · one finished task at a time, with as_completed's order kept by hand
async def first_answer(streams):
    found = asyncio.get_running_loop().create_future()

    async def run(label, stream):
        answer = await stream
        if not found.done():
            found.set_result((label, answer))

    tasks = [asyncio.create_task(run(label, stream)) for label, stream in streams.items()]
    winner = await found
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return winner

# %% exercise 1 · the streams' own `cancel`, and a list
async def first_answer(streams):
    async def named(label, stream):
        try:
            return label, await stream
        except Exception:
            return label, None

    for coming in asyncio.as_completed([named(*pair) for pair in streams.items()]):
        label, answer = await coming
        if answer is not None:
            for other in streams.values():
                other.cancel()
            await asyncio.gather(*streams.values(), return_exceptions=True)
            return [label, answer]

# %% exercise 2 · each appends itself when it has finished
async def arrivals(jobs):
    came = []

    async def run(label, job):
        came.append([label, await job])

    await asyncio.gather(*(run(label, job) for label, job in jobs.items()))
    return came

# %% exercise 1 · tasks named by label, the losers cancelled and not awaited
async def first_answer(streams):
    async def read(stream):
        return await stream

    tasks = [asyncio.create_task(read(stream), name=label) for label, stream in streams.items()]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    while pending and all(task.exception() for task in done):
        done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    for task in done:
        if not task.exception():
            return task.get_name(), task.result()
