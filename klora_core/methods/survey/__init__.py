"""Every pair of some LoRAs by K-LoRA's numbers: what a person with a folder of them asks.

Read ``pairs`` first (what is known of a pair, and which of it is the same both ways), then ``measure`` (LoRAs
in, all of it out), ``words`` (the report) and ``document`` (JSON).
"""

from .document import dumps, to_json
from .measure import survey
from .pairs import Apart, FileInfo, Pair, Settings, Survey, Way
from .words import heading, text
