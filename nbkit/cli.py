"""The command `nbkit`: check the machine, serve documents or a simulated model, write editions."""

import argparse
import gc
import sys
from collections.abc import Sequence

from nbkit.errors import NbkitError
from nbkit.language import say, to_say

_ABOUT = to_say(
    "The command `nbkit`: check the machine, serve documents or a simulated model, write editions."
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; an `NbkitError` becomes one line and exit code 1, Ctrl-C stops it."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.run is None:
        parser.print_help()
        return
    try:
        options.run(options)
    except NbkitError as error:
        sys.exit(f"✗ {error}")
    except KeyboardInterrupt:
        _tell(say("\nStopped."))


def _tell(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nbkit", description=say(_ABOUT))
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(title=say("commands"), metavar="COMMAND")
    commands.add_parser("check", help=say("check that everything works")).set_defaults(run=_check)
    _add_serve(commands.add_parser("serve", help=say("serve answers from a folder of documents")))
    _add_simulate(commands.add_parser("simulate", help=say("run the simulated model as a server")))
    _add_teach(
        commands.add_parser("teach", help=say("write an edition of the notebooks for a class"))
    )
    return parser


def _check(_options: argparse.Namespace) -> None:
    from nbkit.teaching.check import check

    found = check()
    _tell(repr(found))
    sys.exit(0 if found.passed else 1)


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_serve)
    add = parser.add_argument
    add("--data", default="en", help=say('a folder of documents, or the handbook: "en", "zh"'))
    add(
        "--llm",
        help=say(
            '"simulated", "local", "openai", or the address of a compatible server; default: '
            "NBKIT_LLM, or else the simulated model"
        ),
    )
    add("--model", help=say("the name of the model at that server, or the file of a local one"))
    add("--host", default="127.0.0.1", help=say("the interface to listen on"))
    add("--port", type=int, default=0, help=say("the port; default 0: any free port"))
    add("--max-concurrency", type=int, default=32, help=say("answers at once; more get HTTP 503"))
    add("--expose", action="store_true", help=say("allow other machines to connect"))
    add(
        "--name",
        action="append",
        default=[],
        help=say("one more host name, such as that of a proxy"),
    )


def _serve(options: argparse.Namespace) -> None:
    _tell(say("Reading the documents ..."))
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
        max_concurrency=options.max_concurrency,
        expose=options.expose,
        hosts=options.name,
    ) as server:
        # What is loaded now is never freed. A garbage collection that scanned it again would delay
        # every answer by half a second.
        gc.collect()
        gc.freeze()
        _tell(say("Open {page}\nCtrl-C stops it.", page=server.page))
        server.wait()


def _add_simulate(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_simulate)
    add = parser.add_argument
    add("--port", type=int, default=8000, help=say("the port; default 8000; 0: any free port"))
    add(
        "--profile",
        default="default",
        help=say("a named profile, or a file of `profile.save`: *.json"),
    )
    add("--speed", type=float, help=say("divides every delay; 0: no waiting"))


def _simulate(options: argparse.Namespace) -> None:
    import secrets

    from nbkit.simulator.alone import serve_alone

    serve_alone(options.port, secrets.token_urlsafe(32), options.profile, options.speed)


def _add_teach(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_teach)
    add = parser.add_argument
    add(
        "edition",
        choices=["live", "exercise", "solutions"],
        help=say(
            "live: code to be typed in class, with crib sheets; exercise: no solutions, no "
            "outputs; solutions: in place of the stubs"
        ),
    )
    add("--out", required=True, metavar="DIR", help=say("a folder that is new or empty"))
    add(
        "--notebook",
        action="append",
        default=[],
        metavar="04",
        help=say("number or name; repeatable"),
    )
    add(
        "--from",
        dest="source",
        metavar="DIR",
        help=say("the folder of the notebooks; default: the course"),
    )
    add("--lang", default="en", help=say('the course in English or Chinese: "en", "zh"'))


def _teach(options: argparse.Namespace) -> None:
    from nbkit.teaching.editions import write_edition

    written = write_edition(
        options.edition,
        options.out,
        notebooks=options.notebook,
        source=options.source,
        lang=options.lang,
    )
    _tell("\n".join(path.name for path in written))
    _tell(say("✓ {written} in {out}: jupyter lab {out}", written=len(written), out=options.out))
