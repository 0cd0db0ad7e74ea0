"""An answer from LlamaIndex as one timed stream of text, and the conversation it belongs to."""
