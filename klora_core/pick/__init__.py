"""A folder of LoRA files and a prompt in; which files suit it out, with scores and why.

Read ``ranking`` first, then ``words`` (trigger words in a prompt), ``text`` (what a header says), ``roles``,
``vectors`` (by meaning), ``index`` (what is kept) and ``telling`` (the report).
"""

from .index import State, TextIndex, state_of
from .ranking import Entry, Hit, Pick, picks, ranked
from .roles import Roles, parts_of, roles_of, selects
from .telling import nothing, told
from .text import NO_FILE, LoraText, text_of
from .vectors import Texts, Vector, VectorCache, cosines, mean
