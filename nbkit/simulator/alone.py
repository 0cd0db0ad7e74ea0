"""The server of the simulated model, also to run by itself for any client."""

import asyncio
import os
import sys

from aiohttp import web

from nbkit.language import say
from nbkit.simulator.errors import SimulatorError
from nbkit.simulator.pacing import Profile, named
from nbkit.simulator.wire import create_app


async def listen(key: str, models: dict[str, Profile], port: int = 0) -> web.AppRunner:
    """Start a server for these models on this machine; port 0: any free one. Raises OSError."""
    app = create_app(key, models)
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
    return runner


def serve_alone(port: int, key: str, profile: str = "default", speed: float | None = None) -> None:
    """Serve one model, with the name of its profile, on this machine until Ctrl-C.

    Prints its address and key; port 0: any free one. Raises ProfileError for an unknown profile or
    an invalid speed, SimulatorError if the port cannot be used.
    """
    chosen = named(profile)
    if speed is not None:
        chosen = chosen.change({"speed": speed})
    asyncio.run(_serve_until_interrupted(port, key, chosen))


async def _serve_until_interrupted(port: int, key: str, profile: Profile) -> None:
    try:
        runner = await listen(key, {profile.name: profile}, port)
    except (OSError, OverflowError) as error:
        number = getattr(error, "errno", None)
        raise SimulatorError(
            say(
                "Port {port} cannot be used ({why})",
                port=port,
                why=os.strerror(number) if number else error,
            ),
            say("choose another one, or 0 for any free one."),
        ) from None
    try:
        sys.stdout.write(
            f"base URL: http://127.0.0.1:{runner.addresses[0][1]}/v1\n"
            f"API key:  {key}\nmodel:    {profile.name}\n{say('Ctrl-C stops it.')}\n"
        )
        sys.stdout.flush()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
