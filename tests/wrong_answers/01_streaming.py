# %% exercise 1 · of the chunks you counted are empty
def collect(response):
    chunks = list(response.response_gen)
    return "".join(chunks), len(chunks)

# %% exercise 1 · you counted characters
def collect(response):
    text = "".join(response.response_gen)
    return text, len(text)

# %% exercise 1 · nothing was returned
def collect(response):
    text, count = "", 0
    for chunk in response.response_gen:
        text += chunk
        count += bool(chunk)

# %% exercise 1 · after a loop `str(response)` is 'None'
def collect(response):
    n = sum(1 for chunk in response.response_gen if chunk)
    return str(response), n

# %% exercise 1 · join all chunks
def collect(response):
    text, count = "", 0
    for chunk in response.response_gen:
        if chunk:
            text = chunk
            count += 1
    return text, count

# %% exercise 1 · return two things
def collect(response):
    return "".join(response.response_gen)

# %% exercise 1 · the text comes first
def collect(response):
    chunks = [chunk for chunk in response.response_gen if chunk]
    return len(chunks), "".join(chunks)

# %% exercise 1 · `async def` where `def` is wanted
async def collect(response):
    chunks = [chunk for chunk in response.response_gen if chunk]
    return "".join(chunks), len(chunks)

# %% exercise 1 · line 2 of your code
def collect(response):
    chunks = [chunk for chunk in response.chunks if chunk]
    return "".join(chunks), len(chunks)

# %% exercise 2 · Skip the empty first chunk
def first_token(engine, question):
    began = time.perf_counter()
    for chunk in engine.query(question).response_gen:
        return time.perf_counter() - began

# %% exercise 2 · at the first chunk with text
def first_token(engine, question):
    began = time.perf_counter()
    for chunk in engine.query(question).response_gen:
        if chunk:
            taken = time.perf_counter() - began
    return time.perf_counter() - began

# %% exercise 2 · start the clock outside the loop
def first_token(engine, question):
    for chunk in engine.query(question).response_gen:
        began = time.perf_counter()
        if chunk:
            return time.perf_counter() - began

# %% exercise 2 · `query()` has done the search
def first_token(engine, question):
    response = engine.query(question)
    began = time.perf_counter()
    for chunk in response.response_gen:
        if chunk:
            return time.perf_counter() - began

# %% exercise 2 · `async def` where `def` is wanted
async def first_token(engine, question):
    began = time.perf_counter()
    for chunk in engine.query(question).response_gen:
        if chunk:
            return time.perf_counter() - began

# %% exercise 2 · return a number of seconds
def first_token(engine, question):
    began = time.perf_counter()
    for chunk in engine.query(question).response_gen:
        if chunk:
            return f"{time.perf_counter() - began:.2f} s"
