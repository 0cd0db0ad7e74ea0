"""Displays of streaming answers in Jupyter; the only code here that knows Jupyter."""

from nbkit.views.stream_view import StreamView as StreamView
from nbkit.views.stream_view import show as show
