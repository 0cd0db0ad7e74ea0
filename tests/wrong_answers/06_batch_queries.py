# %% exercise 1 · one failure took the others with it
async def bounded(ask, items, limit):
    semaphore = asyncio.Semaphore(limit)

    async def one(item):
        async with semaphore:
            return await ask(item)

    return await asyncio.gather(*(one(item) for item in items))

# %% exercise 1 · were in flight
async def bounded(ask, items, limit):
    semaphore = asyncio.Semaphore(limit)
    return await asyncio.gather(*(ask(item) for item in items), return_exceptions=True)

# %% exercise 1 · they went one by one
async def bounded(ask, items, limit):
    results = []
    for item in items:
        try:
            results.append(await ask(item))
        except Exception as error:
            results.append(error)
    return results

# %% exercise 1 · line 5 of your code
async def bounded(ask, items, limit):
    semaphore = asyncio.Semaphore(limit)

    async def one(item):
        with semaphore:
            return await ask(item)

    return await asyncio.gather(*(one(item) for item in items))

# %% exercise 1 · nothing was returned
async def bounded(ask, items, limit):
    await asyncio.gather(*(ask(item) for item in items), return_exceptions=True)

# %% exercise 2 · A wrong key stays wrong
def worth_another(error):
    return isinstance(error, Exception)

# %% exercise 2 · a wrong key
def worth_another(error):
    return isinstance(error, openai.OpenAIError)

# %% exercise 2 · a lost connection
def worth_another(error):
    return getattr(error, "status_code", 0) in (429, 500)

# %% exercise 2 · line 2 of your code
def worth_another(error):
    return error.status_code in (429, 500)

# %% exercise 3 · nearly always a little above
def next_number(number, wait, least):
    return number + 1 if wait <= least else 0.8 * number

# %% exercise 3 · nothing was returned
def next_number(number, wait, least):
    number + 1

# %% exercise 3 · fewer, as soon as
def next_number(number, wait, least):
    return number + 1

# %% exercise 3 · places stay empty for long
def next_number(number, wait, least):
    return number + 1 if wait < 2 * least else 1
