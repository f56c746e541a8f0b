"""Verification comes before belief: which messages of a batch are genuine, and why the others are not."""

from __future__ import annotations

import json
from datetime import datetime

from metering import messages
from metering.errors import MeteringError
from metering.sifting.genuine import Refused, Sifted
from metering.sifting.judge import Judge, Rules
from metering.sifting.rows import RowJudge
from metering.sifting.together import judge_together
from metering.sifting.whole import judge_whole
from metering.signing import header_bytes


class Sifter:
    """Judges batches. It remembers the series and metadata it has found to be in bounds."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.judge = Judge(rules)

    def sift(self, batch: messages.Batch, now: datetime, disabled: frozenset[str] = frozenset()) -> Sifted:
        """Judge every message by its own signature; one bad message costs only itself."""
        sifted = Sifted()
        header = batch.header
        try:
            sifted.signer = self.rules.keyring.check(
                header.publisher, header.fields.get("signature"), header_bytes(header.fields)
            )
            if header.publisher not in disabled:
                sifted.receipt = header
        except MeteringError as exc:  # neither receipt nor announcement; its samples are judged on their own
            if not batch.rows and not batch.whole:
                sifted.refused.append(_refused_header(header, exc))
        self._sift_rows(batch, now, disabled, sifted)
        for text in batch.whole:
            try:
                sifted.genuine.append(judge_whole(self.judge, text, now, disabled))
            except MeteringError as exc:
                sifted.refused.append(Refused(text if isinstance(text, str) else json.dumps(text), str(exc), ""))
        return sifted

    def _sift_rows(self, batch: messages.Batch, now: datetime, disabled: frozenset[str], sifted: Sifted) -> None:
        judge = RowJudge(self.judge, batch, now, disabled)
        genuine = judge_together(judge)
        if genuine is not None:
            sifted.genuine += genuine
            return
        for row in batch.rows:
            try:
                sifted.genuine.append(judge.genuine(row))
            except MeteringError as exc:
                sifted.refused.append(judge.refused(row, str(exc)))


def _refused_header(header: messages.Header, why: MeteringError) -> Refused:
    """All that is left of a batch without samples whose header is not believed, such as a node's announcement.

    Without what differs each time it is sent, so that a node with a wrong key is one row with a count.
    """
    told = {name: value for name, value in header.fields.items() if name not in ("signed_at", "signature")}
    return Refused(json.dumps(told, sort_keys=True), f"its header: {why}", header.publisher)
