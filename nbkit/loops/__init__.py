"""Event loops: run a coroutine from anywhere, nest loops if needed, and see what blocks one.

Taught in notebook 02.
"""

from nbkit.loops.run import allow_nested_run as allow_nested_run
from nbkit.loops.run import run as run
from nbkit.loops.turns import LoopMisused as LoopMisused
from nbkit.loops.watch import Block as Block
from nbkit.loops.watch import LoopWatch as LoopWatch
from nbkit.loops.watch import watch_loop as watch_loop
