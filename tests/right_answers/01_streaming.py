# %% exercise 1 · a loop and two sums
def collect(response):
    text, count = "", 0
    for chunk in response.response_gen:
        text += chunk
        if chunk != "":
            count += 1
    return [text, count]

# %% exercise 1 · the text without the spaces around it
def collect(response):
    chunks = [chunk for chunk in response.response_gen if len(chunk) > 0]
    return "".join(chunks).strip(), len(chunks)

# %% exercise 2 · reads on after the clock has stopped
def first_token(engine, question):
    began, taken = time.perf_counter(), None
    for chunk in engine.query(question).response_gen:
        if chunk and taken is None:
            taken = time.perf_counter() - began
    return taken

# %% exercise 2 · next() by hand, the wall clock
def first_token(engine, question):
    began = time.time()
    chunks = engine.query(question).response_gen
    while not next(chunks):
        pass
    return time.time() - began
