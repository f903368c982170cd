"""The process that decodes strangers' files for web: `python -m chatwren.media.decoder_process DESCRIPTOR`.

It waits at the socket of that descriptor for jobs, one at a time, and looks into no file itself: for each job it forks
a process that is confined, decodes one file, replies and ends. So whatever a file does to the process that decodes it,
no other file meets, and no memory is kept. A fork of web would have its secrets, and copy its memory bit by bit.

A job: one message with the descriptors of the file and of the socket for the reply. Its end is told by four bytes, the
exit code or the negative signal. Any byte that comes meanwhile, and the end of web, kill what decodes.
"""

import dataclasses
import gc
import os
import select
import signal
import socket
import sys
from pathlib import Path
from typing import BinaryIO

import msgspec

from chatwren.media import clips, confinement, pictures
from chatwren.media.archives import zip_format
from chatwren.media.clips import read_mp4, read_ogg_opus
from chatwren.media.decoder_wire import JOB_BYTES, Archive, Clip, Job, pack
from chatwren.media.sounds import read_sound

_NICENESS = 10  # web's answers go before


def main() -> None:
    """Do jobs until web ends."""
    control = socket.socket(fileno=int(sys.argv[1]))
    os.nice(_NICENESS)
    Path("/proc/self/oom_score_adj").write_text("1000")  # of all, this is what a machine out of memory may lose
    control.sendall(bytes([_can_restrict()]))
    gc.freeze()
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, JOB_BYTES, 2)
        if not message:
            return
        if len(descriptors) == 2:  # noqa: PLR2004 - else it is a kill that came when the job had just ended
            control.sendall(_do(msgspec.json.decode(message, type=Job), control, *descriptors).to_bytes(4, signed=True))


def _can_restrict() -> bool:
    """Whether this machine restricts system calls, tried by a process that ends at once."""
    child = os.fork()
    if child == 0:
        os._exit(not confinement.restrict_system_calls())
    return os.waitpid(child, 0)[1] == 0


def _do(job: Job, control: socket.socket, file: int, reply: int) -> int:
    """Do a job in a process of its own; how that ended."""
    ended, ends_with_it = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            control.close()
            os.close(ended)
            _decode(job, file, reply)
        except BaseException:  # noqa: BLE001 - whatever it is, it must not return into the parent's loop
            os._exit(1)
        os._exit(0)
    for one in (file, reply, ends_with_it):
        os.close(one)
    select.select([control.fileno(), ended], [], [])
    os.close(ended)
    os.kill(child, signal.SIGKILL)  # does nothing to one that has ended
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _decode(job: Job, file: int, reply: int) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for one in (0, 1, 2):
        os.dup2(nothing, one)
    confinement.confine(memory=job.memory, seconds=job.seconds)
    with open(file, "rb", closefd=False) as content, open(reply, "wb", closefd=False) as answer:
        match job.task:
            case "picture":
                answer.write(pictures.decode(content, job))
            case "clip":
                answer.write(pack(_clip(content, job)))
            case "archive":
                answer.write(pack(Archive(zip_format(content))))


def _clip(file: BinaryIO, job: Job) -> Clip:
    """What a video or sound says about itself."""
    match job.mimetype:
        case "audio/mpeg" | "audio/aac" | "audio/amr":
            clip: clips.Clip | None = read_sound(file, job.mimetype)
        case "audio/ogg; codecs=opus":
            clip = read_ogg_opus(file)
        case _:
            clip = read_mp4(file)
    if clip is None:
        return Clip(playable=False)
    return Clip(True, **dataclasses.asdict(clip))


if __name__ == "__main__":
    main()
