"""K-LoRA (Ouyang, Li, Hou, CVPR 2025, arXiv 2502.18461): the method, its numbers and its words.

Read ``choice`` first: Eqs. 7, 9 and 10. Then ``evidence`` (Eqs. 3 to 5), ``schedule``, ``method``.
``outside`` and the energy score are not the paper's; ``share``, ``handover``, ``why``, ``words`` and
``document`` tell what it did.
"""

from .choice import GAMMA_MODES
from .evidence import Evidence, Scorer, energies_of, evidence_of, top_k
from .handover import Handover, OneChange
from .method import DEFAULT_OUTSIDE, ENERGY, LOSERS, SCORES, TOP_K, KLora
from .schedule import DEFAULT_ALPHA, DEFAULT_BETA, SCHEDULES, Schedule, make_schedule
from .share import balance_for, style_share
from .words import formula
