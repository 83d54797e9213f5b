"""LoRAs by hand: when each works, how strongly, and which of them do at once.

Read ``when`` first (one LoRA's start, end and curve), then ``cut`` (its curve in a few levels), ``course``
(what all of them are at each moment) and ``scheduled`` (the method).
"""

from .course import MOST_SUMS
from .scheduled import AsScheduled, as_scheduled
from .when import ALWAYS, MOST_LEVELS, When
