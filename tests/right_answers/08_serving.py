# %% exercise 1 · by cases, the pieces in a list
async def whole(events):
    pieces = []
    async for event in events:
        match event.event:
            case "token":
                pieces.append(event.json()["text"])
            case "error":
                raise RuntimeError(event.json()["message"])
            case "done":
                return "".join(pieces)
    raise RuntimeError

# %% exercise 1 · reads everything, then judges by the last event
async def whole(events):
    told = [event async for event in events]
    if told[-1].event == "error":
        raise RuntimeError(f"the server says: {told[-1].data}")
    if told[-1].event != "done":
        raise RuntimeError("cut off")
    return "".join(json.loads(event.data)["text"] for event in told if event.event == "token")

# %% exercise 1 · an error class of its own
class Broken(RuntimeError):
    pass


async def whole(events):
    text, reason = "", "cut off"
    async for event in events:
        said = json.loads(event.data)
        if event.event == "done":
            return text
        text, reason = text + said.get("text", ""), said.get("message", reason)
    raise Broken(reason)

# %% exercise 2 · seconds as a fraction
async def ask_patiently(post, wait):
    for more in (True, True, False):
        response = await post()
        if response.status_code == 503 and more:
            await wait(float(response.headers["Retry-After"]))
        else:
            return response

# %% exercise 2 · a while loop that counts
async def ask_patiently(post, wait):
    response, asked = await post(), 1
    while response.status_code == 503 and asked < 3:
        await wait(int(response.headers.get("retry-after", 1)))
        response, asked = await post(), asked + 1
    return response

# %% exercise 2 · recursion
async def ask_patiently(post, wait, times=3):
    response = await post()
    if times == 1 or response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
        return response
    await wait(int(response.headers["Retry-After"]))
    return await ask_patiently(post, wait, times - 1)
