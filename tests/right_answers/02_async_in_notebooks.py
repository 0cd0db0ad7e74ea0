# %% exercise 1 · a tuple
async def search_all(questions):
    return tuple(await asyncio.gather(*[asyncio.to_thread(old_search, q) for q in questions]))

# %% exercise 1 · tasks, awaited in a loop
async def search_all(questions):
    tasks = [asyncio.create_task(asyncio.to_thread(old_search, q)) for q in questions]
    return [await task for task in tasks]

# %% exercise 1 · the loop's own executor
async def search_all(questions):
    loop = asyncio.get_running_loop()
    return await asyncio.gather(*(loop.run_in_executor(None, old_search, q) for q in questions))

# %% exercise 1 · a pool, itself in a thread
from concurrent.futures import ThreadPoolExecutor
async def search_all(questions):
    return await asyncio.to_thread(lambda: list(ThreadPoolExecutor().map(old_search, questions)))

# %% exercise 1 · a task group
async def search_all(questions):
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(asyncio.to_thread(old_search, q)) for q in questions]
    return [task.result() for task in tasks]

# %% exercise 2 · the longest block
async def culprit(steps):
    longest = {}
    for name, step in steps.items():
        with nbkit.watch_loop() as watch:
            await step()
        longest[name] = watch.longest
    return max(longest, key=longest.get)

# %% exercise 2 · the share of the time, with a threshold
async def culprit(steps):
    shares = {}
    for name, step in steps.items():
        with nbkit.watch_loop(threshold=0.3) as watch:
            await step()
        shares[name] = watch.share
    return max(shares, key=shares.get)

# %% exercise 2 · a heartbeat, without nbkit
async def culprit(steps):
    late = {}
    for name, step in steps.items():
        running = asyncio.create_task(step())
        late[name] = 0
        while not running.done():
            began = time.perf_counter()
            await asyncio.sleep(0.01)
            late[name] = max(late[name], time.perf_counter() - began)
    return max(late, key=late.get)
