"""Every error that Nephometer raises on purpose."""

from __future__ import annotations


class MeteringError(Exception):
    """Something that Nephometer foresees, said in one line for an operator."""


class BadSetting(MeteringError, ValueError):
    """A setting is missing or malformed; the text names it and, unless it is secret, what it got."""


class BadCounter(MeteringError, ValueError):
    """A plugin yielded a counter that cannot become a sample."""


class BadEvent(MeteringError, ValueError):
    """A notification cannot be kept as an event: a trait has no value of its type, or it is out of bounds."""


class MalformedBatch(MeteringError):
    """A text is no metering batch: not JSON, too large, too deep, or of the wrong shape."""


class MalformedMessage(MeteringError):
    """A metering message lacks a field, or has one of the wrong type or out of bounds."""


class BadSignature(MeteringError):
    """A signature is absent, unreadable, by an unknown key, or does not fit what it signs."""


class PostRefused(MeteringError):
    """A posted sample may not be stored, and so none of its post is."""


class NotAllowed(MeteringError):
    """A genuine publisher sent what its role may not send, or is disabled."""


class BrokerAway(MeteringError):
    """The broker did not confirm a message: unreachable, blocked, full, or nobody listens there."""


class StoreAway(MeteringError):
    """The database cannot be reached now; the same work may succeed later."""


class KeystoneAway(MeteringError):
    """Keystone cannot say now whose a token is: it does not answer, or refuses us."""


class LeaseLost(MeteringError):
    """Work that one process at a time does took longer than it said, and another process does it now."""


class PluginError(MeteringError):
    """Installed plugins cannot work together, or one does not keep its contract."""


class PollError(MeteringError):
    """One reading could not be made; the others can."""


class InstanceGone(PollError):
    """The instance was deleted or shut off while it was polled."""


class HypervisorAway(PollError):
    """The hypervisor does not answer: nothing of this host can be read now."""


class ServiceFailed(PollError):
    """An OpenStack service did not answer, or not with what was asked for; ``status`` is HTTP's, if it gave one."""

    def __init__(self, service: str, what: str, status: int | None = None) -> None:
        super().__init__(f"{service}: {what}")
        self.service, self.what, self.status = service, what, status


class MalformedOrder(MeteringError):
    """A poll order lacks a field, or has one of the wrong type or out of bounds."""


class CutShort(MeteringError):
    """A compressed file ends within a frame: whoever wrote it was killed, or it was not copied whole."""


class MalformedNotification(MeteringError):
    """A notification's body is not JSON, or no envelope that OpenStack services send."""


class Overtaken(MeteringError):
    """Somebody else did the same work meanwhile; nothing was changed."""


class ArchiveFailed(MeteringError):
    """A day's samples could not be archived whole, or a file is no sound archive."""


class RollupsBehind(MeteringError):
    """Samples cannot expire yet, because the roll-ups do not hold all of them."""


class BadPath(MeteringError, ValueError):
    """A definition's JSONPath cannot be read."""


class BadReading(MeteringError, ValueError):
    """One of several readings in a notification cannot be used; the others can."""
