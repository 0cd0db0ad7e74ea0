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

# %% exercise 2 · the mean latency
def report(answers):
    waits = [answer.trace.end_to_end for answer in answers]
    ends = [answer.trace.start + answer.trace.end_to_end for answer in answers]
    took = max(ends) - min(answer.trace.start for answer in answers)
    return len(answers) / took, mean(waits)
