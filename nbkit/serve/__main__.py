"""Serve a folder of documents from a shell: `python -m nbkit.serve --data data/en`."""

import argparse
import gc
import sys

from nbkit.errors import NbkitError


def main() -> None:
    """Read the options, serve, and print the address; Ctrl-C ends it."""
    options = _options()
    try:
        _serve(options)
    except NbkitError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        _say("\nStopped.")


def _serve(options: argparse.Namespace) -> None:
    _say("Reading the documents ...")
    from llama_index.core.chat_engine.types import ChatMode

    from nbkit.corpus import load_index
    from nbkit.models import connect
    from nbkit.serve.server import serve

    llm = connect(options.llm, model=options.model)
    index = load_index(options.data)
    with serve(
        index.as_query_engine(llm=llm, streaming=True),
        chat=lambda: index.as_chat_engine(chat_mode=ChatMode.CONTEXT, llm=llm),
        host=options.host,
        port=options.port,
        max_concurrent=options.max_concurrent,
        expose=options.expose,
        hosts=options.name,
    ) as server:
        # A full collection looks at all that LlamaIndex has loaded, and holds up every reader for
        # half a second; what is loaded by now stays for good, so it need not be looked at.
        gc.collect()
        gc.freeze()
        _say(f"Open {server.page}\nCtrl-C ends it.")
        server.wait()


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m nbkit.serve",
        description="Serve answers from a folder of documents, as they are written, to a web page.",
    )
    parser.add_argument(
        "--data", default="en", help='a folder of documents, or the handbook: "en", "zh"'
    )
    parser.add_argument(
        "--llm",
        help='"simulated" (free, the default), "openai", or the address of a compatible server; '
        "NBKIT_LLM is the default of the default",
    )
    parser.add_argument("--model", help="a model of OpenAI or of that server")
    parser.add_argument("--host", default="127.0.0.1", help="the interface to listen on")
    parser.add_argument("--port", type=int, default=0, help="the port; 0, the default: a free one")
    parser.add_argument(
        "--max-concurrent", type=int, default=32, help="answers at once, before HTTP 503"
    )
    parser.add_argument(
        "--expose", action="store_true", help="let other machines ask: needed for another --host"
    )
    parser.add_argument(
        "--name", action="append", default=[], help="a further host name, as of a proxy in front"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
