# %% exercise 1 · a tuple
async def bounded(ask, items, limit):
    semaphore = asyncio.Semaphore(limit)

    async def one(item):
        async with semaphore:
            try:
                return await ask(item)
            except Exception as error:
                return error

    return tuple(await asyncio.gather(*map(one, items)))

# %% exercise 1 · workers that share a queue
async def bounded(ask, items, limit):
    waiting, results = list(enumerate(items)), {}

    async def worker():
        while waiting:
            place, item = waiting.pop(0)
            try:
                results[place] = await ask(item)
            except Exception as error:
                results[place] = error

    await asyncio.gather(*(worker() for _ in range(limit)))
    return [results[place] for place in range(len(items))]

# %% exercise 2 · by status code where there is one
def worth_another(error):
    status = getattr(error, "status_code", None)
    if status is None:
        return isinstance(error, openai.APIConnectionError)
    return status == 429 or status >= 500

# %% exercise 3 · the two hints, word for word
def next_number(number, wait, least):
    return number + 1 if wait < 1.5 * least else 0.8 * number

# %% exercise 3 · a narrow margin above the ten per cent
def next_number(number, wait, least):
    if wait > 1.25 * least:
        return int(number * 0.9)
    return number + 1

# %% exercise 1 · run_batch
async def bounded(ask, items, limit):
    outcomes = await nbkit.run_batch(items, ask, max_concurrency=limit, progress=False)
    return [outcome.error or outcome.value for outcome in outcomes]

# %% exercise 3 · one fewer, one more
def next_number(number, wait, least):
    return number - 1 if wait > 1.3 * least else number + 1
