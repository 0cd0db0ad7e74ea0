# %% exercise 1 · Use the row that is awaited
async def read_chat(engine, question):
    response = engine.stream_chat(question)
    return list(response.response_gen)

# %% exercise 1 · Which method streams?
async def read_chat(engine, question):
    response = await engine.achat(question)
    return response.response.split()

# %% exercise 1 · an `await` missing
async def read_chat(engine, question):
    response = engine.astream_chat(question)
    return [chunk async for chunk in response.async_response_gen()]

# %% exercise 1 · is_dummy_stream
async def read_chat(engine, question):
    response = await engine.achat(question)
    return [chunk async for chunk in response.async_response_gen()]

# %% exercise 1 · requires an object with __aiter__ method
async def read_chat(engine, question):
    response = await engine.astream_chat(question)
    return [chunk async for chunk in response.async_response_gen]

# %% exercise 1 · return the list of chunks
async def read_chat(engine, question):
    response = await engine.astream_chat(question)
    async for chunk in response.async_response_gen():
        pass

# %% exercise 1 · Nearly: that's one text
async def read_chat(engine, question):
    response = await engine.astream_chat(question)
    return "".join([chunk async for chunk in response.async_response_gen()])

# %% exercise 1 · these aren't the answer
async def read_chat(engine, question):
    answer = await nbkit.show(engine.astream_chat(question))
    return answer.text.split(" ")

# %% exercise 1 · `async def` is wanted
def read_chat(engine, question):
    return list(engine.stream_chat(question).response_gen)

# %% exercise 2 · in memory without an answer
async def ask_and_stop(engine, question, count):
    response = await engine.astream_chat(question)
    chunks = response.async_response_gen()
    seen = [await anext(chunks) for _ in range(count)]
    response.awrite_response_to_history_task.cancel()
    return "".join(seen)

# %% exercise 2 · Nearly: memory is right
async def ask_and_stop(engine, question, count):
    answer = await nbkit.Conversation(engine).turn(question)
    return answer.text

# %% exercise 2 · return the text that was seen
async def ask_and_stop(engine, question, count):
    turn = nbkit.Conversation(engine).turn(question)
    async for chunk in turn:
        if turn.trace.chunks >= count:
            turn.cancel()

# %% exercise 2 · characters, remembered
async def ask_and_stop(engine, question, count):
    turn = nbkit.Conversation(engine).turn(question)
    async for chunk in turn:
        if turn.trace.chunks >= count:
            turn.cancel()
    return turn.answer.text[:count]

# %% exercise 2 · a turn keeps it in `.answer.text`
async def ask_and_stop(engine, question, count):
    turn = nbkit.Conversation(engine).turn(question)
    async for chunk in turn:
        if turn.trace.chunks >= count:
            turn.cancel()
    return turn.answer

# %% exercise 3 · the server counted
async def price(mode, messages):
    _, sent = await converse(mode, messages)
    return len(messages), sum(request["prompt_tokens"] for request in sent)

# %% exercise 3 · requests, but they had
async def price(mode, messages):
    _, sent = await converse(mode, messages)
    return len(sent), sent[-1]["prompt_tokens"]

# %% exercise 3 · an `await` missing
async def price(mode, messages):
    _, sent = converse(mode, messages)
    return len(sent), sum(request["prompt_tokens"] for request in sent)

# %% exercise 3 · return two numbers
async def price(mode, messages):
    _, sent = await converse(mode, messages)
    return sum(request["prompt_tokens"] for request in sent)

# %% exercise 3 · nothing was returned
async def price(mode, messages):
    _, sent = await converse(mode, messages)
    (len(sent), sum(request["prompt_tokens"] for request in sent))

# %% exercise 3 · int()
async def price(mode, messages):
    return await converse(mode, messages)
