"""How a child of `chatwren serve` learns that serve is gone, however that ended: end of file on an inherited pipe.

PR_SET_PDEATHSIG would not do: it watches the thread that forked, and a change of credentials clears it.
"""

import os
import threading
from collections.abc import Callable

VARIABLE = "CHATWREN_LIFELINE_FD"
GRACE_SECONDS = 2.0
"""What `on_end` has for its work. Everything is gone within 5 s of the end of `serve`."""


def watch(on_end: Callable[[], object]) -> None:
    """Call `on_end` from a thread when the parent has ended, and end this process `GRACE_SECONDS` later in any case.

    Does nothing where no lifeline was inherited: a process that somebody started alone lives on its own.
    """
    number = os.environ.get(VARIABLE)
    if number is None:
        return
    lifeline = int(number)
    os.set_inheritable(lifeline, False)

    def wait() -> None:
        while os.read(lifeline, 1):
            pass
        last_resort = threading.Timer(GRACE_SECONDS, os._exit, (1,))
        last_resort.daemon = True
        last_resort.start()
        on_end()

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
