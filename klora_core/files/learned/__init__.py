"""Files that are no LoRAs by themselves, or LoRAs that need hooks: trained gates, and ranks that are chosen.

Read ``gate_file`` first (what a gate says, and its check), then ``gate_io`` (to and from a file), ``content``
(how a gate knows its LoRAs again) and ``ranks`` (a LoRA whose ranks take turns by the picture).
"""

from .content import content_of, content_of_file
from .gate_file import ABOUT, GateFile, LoraMark, SlotGate, gate_of, gate_tensors, is_gate
from .gate_io import open_gate, save_gate
from .ranks import RanksOf, rank_tensors
