"""A command of Chatwren whose clock is wrong: `python wrong_clock.py SECONDS COMMAND...`.

`time.time` stays right, since gRPC compares what it says with the system's clock. Our own code asks `domain.clock`, and
for ids `time.time_ns`.
"""

import sys
import time
from datetime import timedelta
from unittest.mock import patch

from chatwren.__main__ import main
from chatwren.domain import clock

if __name__ == "__main__":
    wrong = float(sys.argv.pop(1))
    clock.shift(timedelta(seconds=wrong))
    right_time_ns = time.time_ns
    with patch("time.time_ns", lambda: right_time_ns() + int(wrong * 1e9)):
        main()
