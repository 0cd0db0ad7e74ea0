# %% exercise 1 · `await` in front
battery = nbkit.show(engine.aquery("How long does the battery last?"))

# %% exercise 1 · StreamingResponse
battery = engine.query("How long does the battery last?")

# %% exercise 1 · but this: coroutine
battery = engine.aquery("How long does the battery last?")
battery.close()

# %% exercise 1 · Is it the battery you asked about?
battery = await nbkit.stream(engine.aquery("How heavy is the lamp?"))

# %% exercise 2 · that moves the first token
fast = nbkit.connect(ttft=0.05)

# %% exercise 2 · 60 tokens a second, at least 96
fast = nbkit.connect(tokens_per_second=60)

# %% exercise 2 · 64 tokens a second, at least 96
fast = nbkit.connect(speed=2)

# %% exercise 2 · put a model into `fast`
fast = None
