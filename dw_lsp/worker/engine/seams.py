"""How the sounds of films meet, and how loud they are beside each other."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy

from dw_lsp.worker.engine.sounds import Film, Sound, channels

logger = logging.getLogger(__name__)

#: How the loudness of a recording is told: by its mean power, or by its loudest sample.
Measure = Literal["rms", "peak"]
#: The level that sounds are brought to if none is said, in dB below full scale.
USUAL_LEVELS: dict[Measure, float] = {"rms": -20.0, "peak": -1.0}
#: No sound is made louder than this by its loudest sample.
_LOUDEST = -0.5
#: Fades shorter than this are heard as a click.
USUAL_FADE = 0.003


@dataclass(frozen=True)
class Cut:
    """How sounds meet where no frames are left out, which they could be crossfaded over.

    For `bleed` seconds the end of the first dies away in the second, `gain` times as loud; where there is none, both
    are faded for `fade` seconds on their side of the cut.
    """

    bleed: float = 0.0
    gain: float = 1.0
    fade: float = 0.0

    def joined(self, first: Any, second: Any, rate: int) -> Any:
        """Two recordings (channel, sample), one after the other. Arguments: `rate` are samples a second."""
        shorter = min(first.shape[1], second.shape[1])
        bled = min(round(self.bleed * rate), shorter)
        if bled:
            # Backwards, so that it goes on from where the first ends.
            dying = first[:, -bled:][:, ::-1] * numpy.linspace(self.gain, 0.0, bled, dtype=numpy.float32)
            return numpy.concatenate([first, second[:, :bled] + dying, second[:, bled:]], axis=1)
        faded = min(round(self.fade * rate), shorter)
        whole = numpy.concatenate([first, second], axis=1)
        if faded:
            rise, seam = numpy.linspace(0.0, 1.0, faded, dtype=numpy.float32), first.shape[1]
            whole[:, seam - faded : seam] *= rise[::-1]
            whole[:, seam : seam + faded] *= rise
        return whole


HARD = Cut()


def levelled(films: Sequence[Film], measure: Measure, level: float | None = None) -> list[Film]:
    """Films whose sounds are equally loud. Arguments: `level` are dB below full scale.

    What would be louder than full scale at that level is brought to just below it, with a warning.
    """
    target = USUAL_LEVELS[measure] if level is None else level
    found = []
    for number, film in enumerate(films):
        if film.audio is not None:
            sound = _brought_to(film.audio, measure, target, number)
            film = dataclasses.replace(film, audio=sound)
        found.append(film)
    return found


def _brought_to(sound: Sound, measure: Measure, level: float, number: int) -> Sound:
    samples = channels(sound)
    peak = float(numpy.abs(samples).max())
    power = float(numpy.sqrt((samples.astype(numpy.float64) ** 2).mean()))
    if not peak or not power:
        return sound  # Silence stays silence.
    gain, most = from_decibels(level) / (power if measure == "rms" else peak), from_decibels(_LOUDEST) / peak
    if gain > most:
        logger.warning("the sound of video %d cannot be as loud as %g dB: it would be distorted", number, level)
    return Sound(samples * numpy.float32(min(gain, most)), sound.sample_rate)


def from_decibels(level: float) -> float:
    """What a level in dB multiplies samples by."""
    return float(10.0 ** (level / 20.0))
