# %% exercise 1 · `await` in front
battery = nbkit.show(engine.aquery("How long does the battery last?"))

# %% exercise 1 · StreamingResponse, not a finished answer
battery = engine.query("How long does the battery last?")

# %% exercise 1 · Is it the battery you asked about?
battery = await nbkit.stream(engine.aquery("How heavy is the lamp?"))

# %% exercise 2 · that moves the first token
fast = nbkit.connect(speed=7)

# %% exercise 2 · 60 tokens a second, at least 96
fast = nbkit.connect(tokens_per_second=60)
