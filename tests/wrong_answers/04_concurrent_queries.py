# %% exercise 1 · one failure took the others with it
async def ask_all(ask, questions):
    return await asyncio.gather(*(ask(question) for question in questions))

# %% exercise 1 · one after the other
async def ask_all(ask, questions):
    results = []
    for question in questions:
        try:
            results.append(await ask(question))
        except Exception as error:
            results.append(error)
    return results

# %% exercise 1 · A failure keeps its place, too
async def ask_all(ask, questions):
    results = await asyncio.gather(*(ask(q) for q in questions), return_exceptions=True)
    return [result for result in results if not isinstance(result, Exception)]

# %% exercise 1 · the order is the questions'
async def ask_all(ask, questions):
    results = await asyncio.gather(*(ask(q) for q in questions), return_exceptions=True)
    return sorted(results, key=lambda result: isinstance(result, Exception))

# %% exercise 1 · line 2 of your code
async def ask_all(ask, questions):
    return await asyncio.gather([ask(question) for question in questions])

# %% exercise 1 · is an `await` missing
async def ask_all(ask, questions):
    return asyncio.wait([ask(question) for question in questions])

# %% exercise 2 · total ÷ N
def report(answers):
    ends = [answer.trace.start + answer.trace.end_to_end for answer in answers]
    took = max(ends) - min(answer.trace.start for answer in answers)
    return len(answers) / took, took / len(answers)

# %% exercise 2 · don't add up
def report(answers):
    waits = [answer.trace.end_to_end for answer in answers]
    return len(answers) / sum(waits), median(waits)

# %% exercise 2 · they didn't start together
def report(answers):
    waits = [answer.trace.end_to_end for answer in answers]
    return len(answers) / max(waits), median(waits)

# %% exercise 2 · the first didn't start at 0
def report(answers):
    waits = [answer.trace.end_to_end for answer in answers]
    ends = [answer.trace.start + answer.trace.end_to_end for answer in answers]
    return len(answers) / max(ends), median(waits)

# %% exercise 2 · return throughput, latency
def report(answers):
    waits = [answer.trace.end_to_end for answer in answers]
    return median(waits)

# %% exercise 2 · line 2 of your code
def report(answers):
    return len(answers) / max(answers), 0.0

# %% exercise 2 · the mean latency
def report(answers):
    waits = [answer.trace.end_to_end for answer in answers]
    ends = [answer.trace.start + answer.trace.end_to_end for answer in answers]
    took = max(ends) - min(answer.trace.start for answer in answers)
    return len(answers) / took, mean(waits)

# %% exercise 3 · a deadline for each
async def within(seconds, ask, questions):
    async with asyncio.timeout(seconds):
        return await asyncio.gather(*(ask(q) for q in questions), return_exceptions=True)

# %% exercise 3 · `return_exceptions`
async def within(seconds, ask, questions):
    jobs = (asyncio.wait_for(ask(q), seconds) for q in questions if "late" not in q)
    return await asyncio.gather(*jobs)

# %% exercise 3 · half a second was allowed for all together
async def within(seconds, ask, questions):
    results = []
    for question in questions:
        try:
            results.append(await asyncio.wait_for(ask(question), seconds))
        except TimeoutError:
            results.append(None)
        except Exception as error:
            results.append(error)
    return results

# %% exercise 3 · is still running
async def within(seconds, ask, questions):
    tasks = [asyncio.create_task(ask(question)) for question in questions]
    await asyncio.wait(tasks, timeout=seconds)
    return [task.exception() or task.result() if task.done() else None for task in tasks]

# %% exercise 3 · what is in which place
async def within(seconds, ask, questions):
    jobs = (asyncio.wait_for(ask(question), seconds) for question in questions)
    return await asyncio.gather(*jobs, return_exceptions=True)
