# %% exercise 1 · blocked it
async def search_all(questions):
    return [old_search(question) for question in questions]

# %% exercise 1 · the searches ran one by one
async def search_all(questions):
    return [await asyncio.to_thread(old_search, question) for question in questions]

# %% exercise 1 · to_thread(function, argument)
async def search_all(questions):
    return await asyncio.gather(*(asyncio.to_thread(old_search(q)) for q in questions))

# %% exercise 1 · in the questions' order
async def search_all(questions):
    coming = asyncio.as_completed([asyncio.to_thread(old_search, q) for q in questions])
    return [await each for each in coming]

# %% exercise 1 · as a list
async def search_all(questions):
    await asyncio.gather(*(asyncio.to_thread(old_search, q) for q in questions))

# %% exercise 1 · you waited for them without `await`
from concurrent.futures import ThreadPoolExecutor
async def search_all(questions):
    return list(ThreadPoolExecutor().map(old_search, questions))

# %% exercise 1 · `gather` its star
async def search_all(questions):
    return await asyncio.gather([asyncio.to_thread(old_search, q) for q in questions])

# %% exercise 1 · `async def` is wanted
def search_all(questions):
    return [question.upper() for question in questions]

# %% exercise 1 · an `await` missing
async def search_all(questions):
    return list(asyncio.to_thread(old_search, q) for q in questions)[0].result()

# %% exercise 2 · It takes longest, but awaits
async def culprit(steps):
    took = {}
    for name, step in steps.items():
        began = time.perf_counter()
        await step()
        took[name] = time.perf_counter() - began
    return max(took, key=took.get)

# %% exercise 2 · no step has run
async def culprit(steps):
    blocked = {}
    for name, step in steps.items():
        with nbkit.watch_loop() as watch:
            step()
        blocked[name] = watch.blocked
    return max(blocked, key=blocked.get)

# %% exercise 2 · It's done at once
async def culprit(steps):
    blocked = {}
    for name, step in steps.items():
        with nbkit.watch_loop() as watch:
            await step()
        blocked[name] = watch.elapsed
    return min(blocked, key=blocked.get)

# %% exercise 2 · `async def` is wanted
def culprit(steps):
    return list(steps)[0]

# %% exercise 2 · return one of the names
async def culprit(steps):
    for name, step in steps.items():
        with nbkit.watch_loop() as watch:
            await step()
        if watch.blocked:
            return {name: watch.blocked}
