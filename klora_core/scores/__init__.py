"""How large a change is: the sums that K-LoRA compares, energies, and both kept by content.

Read ``scoring`` first (what is asked, and who works it out), then ``entries`` and ``kronecker`` (the sums
over |dW|, tile by tile), ``energy``, ``overlap`` (how far two changes are one), ``cache`` and ``disk``.
"""

from .cache import ScoreCache
from .disk import ScoreFile
from .energy import energy
from .overlap import cosines, inner
from .scoring import Key, Request, Score, Scorer, score
from .side_by_side import FEW, side_by_side
