"""Whether a worker can be started somewhere, before xdist tries: a failure there would end the whole run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import execnet

if TYPE_CHECKING:
    from execnet import XSpec

_LEAVE_WITHIN_S = 5.0
# Runs over there, where nothing of ours may be installed. What it sends is what is wrong.
_LOOK = """
import os, sys
folder = channel.receive()
wrong = ""
if folder and not os.path.isdir(folder):
    wrong = "there is no folder %s" % folder
else:
    for module in "pytest", "mailtrip":
        try:
            __import__(module)
        except Exception as error:
            wrong = "%s cannot be imported by %s: %s" % (module, sys.executable, error)
            break
channel.send(wrong)
"""


def why_unreachable(spec: XSpec) -> str | None:
    """What keeps pytest from running there; None where nothing does. A process of this machine is not tried."""
    if spec.popen or spec.via:  # pyright: ignore[reportUnknownMemberType]
        return None
    # Without the folder: execnet makes one that is missing, and an empty folder has no trips.
    parts = [part for part in str(spec).split("//") if not part.startswith(("chdir=", "id="))]
    group = execnet.Group()
    try:
        channel = group.makegateway("//".join(parts)).remote_exec(_LOOK)
        channel.send(spec.chdir if "chdir=" in str(spec) else "")
        wrong: str = channel.receive(timeout=60)
    except execnet.HostNotFound as error:
        return f"ssh does not reach {error}"
    except (OSError, EOFError, execnet.RemoteError, execnet.TimeoutError) as error:
        return f"no Python answers there ({str(error).strip().splitlines()[-1] if str(error).strip() else 'it ended'})"
    finally:
        group.terminate(_LEAVE_WITHIN_S)
    return wrong or None
