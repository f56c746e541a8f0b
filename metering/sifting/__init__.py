"""Verification comes before belief: batches in, genuine and refused messages out.

No database here: what it must know (keys, disabled publishers) is told. What is genuine is ready to be stored.
"""

from metering.sifting.genuine import Genuine, Refused, Series, SeriesKey, Sifted, SignerKey, refusal, repacked
from metering.sifting.judge import LONGEST_REMEMBERED, Rules, identity_of
from metering.sifting.sifter import Sifter
from metering.sifting.whole import key_of

__all__ = [
    "LONGEST_REMEMBERED",
    "Genuine",
    "Refused",
    "Rules",
    "Series",
    "SeriesKey",
    "Sifted",
    "Sifter",
    "SignerKey",
    "identity_of",
    "key_of",
    "refusal",
    "repacked",
]
