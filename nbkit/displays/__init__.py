"""Displays of streaming answers in Jupyter; the only code here that knows Jupyter."""

from nbkit.displays.chat_view import ChatView as ChatView
from nbkit.displays.chat_view import chat as chat
from nbkit.displays.grid_view import GridView as GridView
from nbkit.displays.grid_view import show_all as show_all
from nbkit.displays.stream_view import StreamView as StreamView
from nbkit.displays.stream_view import show as show
