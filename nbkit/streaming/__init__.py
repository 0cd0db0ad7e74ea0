"""One answer of LlamaIndex's as one timed stream of text, and the conversation it belongs to."""
