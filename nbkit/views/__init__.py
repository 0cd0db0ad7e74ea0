"""Displays of streaming answers in Jupyter; the only code here that knows Jupyter."""

from nbkit.views.chat_view import ChatView as ChatView
from nbkit.views.chat_view import chat as chat
from nbkit.views.experiment_view import Explorer as Explorer
from nbkit.views.experiment_view import explore as explore
from nbkit.views.grid_view import GridView as GridView
from nbkit.views.grid_view import show_all as show_all
from nbkit.views.stream_view import StreamView as StreamView
from nbkit.views.stream_view import show as show
