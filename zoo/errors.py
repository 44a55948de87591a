"""What a user did wrong, said in one line: what, where, and what to type next."""

import difflib
from collections.abc import Iterable


class ZooError(Exception):
    """A mistake the user can mend. The command line prints its text alone and exits with code 2."""


def unknown(kind: str, name: str, known: Iterable[str], look: str) -> ZooError:
    """The error for a name that is not there, with the nearest one that is.

    `look` is the command that lists the known names.
    """
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return ZooError(f"unknown {kind} '{name}': {hint}`{look}` lists what there is")
