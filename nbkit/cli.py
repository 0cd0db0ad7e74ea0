"""The command `nbkit`: check this environment, serve a folder of documents, write editions."""

import argparse
import gc
import sys
from collections.abc import Sequence

from nbkit.errors import NbkitError


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says; an error is one line and exit code 1, Ctrl-C ends it."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except NbkitError as error:
        sys.exit(f"✗ {error}")
    except KeyboardInterrupt:
        _say("\nStopped.")


def _check(_options: argparse.Namespace) -> None:
    from nbkit.teaching.check import check

    found = check()
    _say(repr(found))
    sys.exit(not found)


def _serve(options: argparse.Namespace) -> None:
    _say("Reading the documents ...")
    from llama_index.core.chat_engine.types import ChatMode

    from nbkit.corpus import load_index
    from nbkit.models import connect
    from nbkit.web.server import serve

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


def _teach(options: argparse.Namespace) -> None:
    from nbkit.teaching.editions import write_edition

    written = write_edition(
        options.edition, options.out, notebooks=options.notebook, source=options.source, tell=_say
    )
    _say(f"✓ {len(written)} in {options.out}: jupyter lab {options.out}")


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nbkit", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="check | serve | teach")
    check = commands.add_parser("check", help="look whether everything works here")
    check.set_defaults(run=_check)
    serve = commands.add_parser("serve", help="serve answers from a folder of documents")
    serve.set_defaults(run=_serve)
    _add_serve_options(serve)
    teach = commands.add_parser("teach", help="write an edition of the notebooks for a class")
    teach.set_defaults(run=_teach)
    _add_teach_options(teach)
    return parser


def _add_serve_options(parser: argparse.ArgumentParser) -> None:
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


def _add_teach_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "edition",
        choices=["live", "exercise", "solutions"],
        help="live: code to be typed before a class, with crib sheets; exercise: no solutions, no "
        "outputs; solutions: in place of the stubs",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="a folder that is new or empty")
    parser.add_argument(
        "--notebook",
        action="append",
        default=[],
        metavar="04",
        help="a number or a name, as often as you like; without it all of them",
    )
    parser.add_argument(
        "--from", dest="source", metavar="FOLDER", help="where the course's notebooks are"
    )
