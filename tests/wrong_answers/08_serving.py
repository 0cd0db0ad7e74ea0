# %% exercise 1 · a stream may also just end
async def whole(events):
    text = ""
    async for event in events:
        data = json.loads(event.data)
        if event.event == "error":
            raise RuntimeError(data["message"])
        if event.event == "token":
            text += data["text"]
    return text

# %% exercise 1 · the server gave a reason
async def whole(events):
    text, last = "", ""
    async for event in events:
        last = event.event
        if last == "token":
            text += json.loads(event.data)["text"]
    if last != "done":
        raise RuntimeError("not whole")
    return text

# %% exercise 1 · a whole answer is '24 months'
async def whole(events):
    text = []
    async for event in events:
        if event.event == "token":
            text.append(json.loads(event.data)["text"])
        if event.event == "done":
            return text
    raise RuntimeError("not whole")

# %% exercise 2 · it asks again at once
async def ask_patiently(post, wait):
    for _ in range(3):
        response = await post()
        if response.status_code != 503:
            break
    return response

# %% exercise 2 · the server says 2, then 1
async def ask_patiently(post, wait):
    for _ in range(3):
        response = await post()
        if response.status_code != 503:
            break
        await wait(1)
    return response

# %% exercise 2 · a 401 won't change
async def ask_patiently(post, wait):
    for _ in range(3):
        response = await post()
        if response.is_success:
            break
        await wait(int(response.headers["Retry-After"]))
    return response

# %% exercise 2 · is asked 10 times
async def ask_patiently(post, wait):
    while (response := await post()).status_code == 503:
        await wait(int(response.headers["Retry-After"]))
    return response

# %% exercise 2 · after the third time it still waits
async def ask_patiently(post, wait):
    for _ in range(3):
        response = await post()
        if response.status_code != 503:
            break
        await wait(int(response.headers["Retry-After"]))
    return response

# %% exercise 1 · line 2 of your code
async def whole(events):
    return "".join([json.loads(event.data)["text"] async for event in events])

# %% exercise 1 · or raise `RuntimeError`
async def whole(events):
    text = ""
    async for event in events:
        if event.event == "token":
            text += json.loads(event.data)["text"]
        if event.event == "done":
            return text
    raise ValueError("not whole")

# %% exercise 1 · write `async def whole(events)`
def whole(events):
    return "24 months"

# %% exercise 2 · A coroutine is not its result
async def ask_patiently(post, wait):
    for _ in range(3):
        response = post()
        if response.status_code != 503:
            break
    return response

# %% exercise 2 · numbers, not text
async def ask_patiently(post, wait):
    for number in (1, 2, 3):
        response = await post()
        if response.status_code != 503 or number == 3:
            return response
        await wait(response.headers["Retry-After"])

# %% exercise 2 · now return the last response
async def ask_patiently(post, wait):
    for number in (1, 2, 3):
        response = await post()
        if response.status_code != 503 or number == 3:
            return
        await wait(int(response.headers["Retry-After"]))

# %% exercise 2 · write `async def ask_patiently
def ask_patiently(post, wait):
    return None
