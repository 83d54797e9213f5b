"""Pick and learn: a sheet of pictures by many rules, the ones that a person picked, one LoRA of these.

Read ``text`` first (what a person did, as text), then ``rules``, ``sheet`` (which pictures a round shows),
``liked`` (what the picks say) and ``teaching`` (how they are learned, by ``taught``).
"""

from .liked import NOTHING, Course, best_rule, counts, course, result
from .rules import AsMerge, Rule, learned_for, parse_rule, parse_rules, taking_part, usual
from .sheet import Part, Picture, parse_part, seeds_of, sheet
from .teaching import Recipe, options_of, spread, start_of
from .text import MORE, TAKE, Pick, Picks, parse_picks
