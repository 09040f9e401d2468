"""``python -m app`` is ``lianxin``."""

import contextlib
import os
import signal
import sys

# Told to stop while we still load: there is nothing to clean up, and nothing to complain about.
for sign in (signal.SIGINT, signal.SIGTERM):
    signal.signal(sign, lambda *_: os._exit(0))

from app.cli import cli, load  # noqa: E402

with contextlib.suppress(KeyError):
    load(" ".join(sys.argv[1:2]))
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)

cli(prog_name="lianxin")
