"""What a LoRA does to a layer, dW, as factors or as a matrix; LoRAs side by side as rows.

Read ``scaled`` first (what every kind has), then ``matrices``, ``products`` and ``remapped`` (the kinds),
``tiles`` (their matrices, some rows at a time), then ``rows``. ``layer_weight`` is a layer's own weight for
the kinds that depend on it, ``gates`` are changes that depend on the layer's input, ``digest`` tells equal
deltas, ``projection`` what one LoRA does on inputs that another does not read, ``ungated`` refuses those,
``several`` is what several do at once.
"""

from .digest import Digests, contents, cryptographic, digest, digests, hashed
from .gates import Gated, is_gated
from .layer_weight import LayerWeight
from .matrices import Dense, LowRank, lora
from .output_map import OutputMap, cayley
from .products import Additive, Factor, Hadamard, Kron, factor_shape
from .projection import SharedInputs, off_inputs, project_off_inputs
from .remapped import Delta, Deltas, Remapped
from .rows import LAYERS, Row, Rows, meet, meet_all, rows
from .scaled import as_float32
from .several import Candidate, Made, Several, lanes, stacked
from .tiles import Tiles, spans
from .ungated import check_ungated
