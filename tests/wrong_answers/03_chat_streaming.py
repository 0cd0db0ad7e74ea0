# %% exercise 1 · Use the row that awaits
async def read_chat(engine, question):
    response = engine.stream_chat(question)
    return list(response.response_gen)

# %% exercise 1 · Which method streams?
async def read_chat(engine, question):
    response = await engine.achat(question)
    return response.response.split()

# %% exercise 2 · stands there without an answer
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

# %% exercise 3 · the server counted
async def price(mode, messages):
    _, sent = await converse(mode, messages)
    return len(messages), sum(request["prompt_tokens"] for request in sent)

# %% exercise 3 · requests, but they had
async def price(mode, messages):
    _, sent = await converse(mode, messages)
    return len(sent), sent[-1]["prompt_tokens"]
