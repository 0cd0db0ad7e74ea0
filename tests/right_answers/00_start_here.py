# %% exercise 1 · without a display
battery = await nbkit.stream(engine.aquery("How many hours does the battery last?"))

# %% exercise 1 · the display first, its answer later
view = nbkit.show(engine.aquery("How long does the battery last?"))
battery = await view

# %% exercise 1 · in Chinese
battery = await nbkit.show(zh_engine.aquery("电池能用多久?"))

# %% exercise 2 · everything four times as fast
fast = nbkit.connect(speed=4)

# %% exercise 2 · the first token sooner, too
fast = nbkit.connect(ttft=0.1, tokens_per_second=200)
