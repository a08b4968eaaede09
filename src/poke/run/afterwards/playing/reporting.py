"""Say what battles came to, however they end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from poke.envs.showdown.installation import ShowdownError
from poke.run.afterwards.playing.players import PlayingError, one_line
from poke.run.afterwards.playing.stopping import Stoppable
from poke.run.afterwards.playing.tally import Tally


@contextmanager
def reporting(tally: Tally, who: str) -> Iterator[Stoppable]:
    """Heed signals while battles are played in the block, and print behind it what they came to.

    Args:
        tally: of the battles.
        who: plays whom, in which format.

    Raises:
        PlayingError: it failed; what was finished before is printed.
    """
    try:
        with Stoppable().heeding() as stoppable:
            yield stoppable
    except ImportError as error:
        raise PlayingError(
            f"playing needs {error.name}: pip install 'poke[showdown]'", 1
        ) from error
    except (ShowdownError, ValueError, OSError) as error:
        if not tally.is_empty:
            tally.print(who)
        raise PlayingError(one_line(error), 1) from error
    tally.print(who)
