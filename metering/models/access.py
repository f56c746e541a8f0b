"""Who asks: callers and their tokens."""

from __future__ import annotations

import hashlib
import logging
import secrets
from dataclasses import dataclass
from datetime import datetime

from django.db import Error, models
from django.db.models import F, Q
from django.utils import timezone

log = logging.getLogger(__name__)

OF_MEMBERS = ("member", "reader")  # roles of whom we let in ourselves, as Keystone names them
OF_ADMINS = ("admin", *OF_MEMBERS)
_LENGTH = 43  # characters of a token's text; no token of Keystone's is as short


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks for data. An admin sees every project; anybody else sees ``project_id`` only."""

    user_id: str | None
    project_id: str | None
    is_admin: bool = False
    roles: tuple[str, ...] = ()  # what the rules of the policy file ask for

    def __str__(self) -> str:
        return self.user_id or self.project_id or "admin"

    @property
    def is_authenticated(self) -> bool:
        return True


def new_text() -> str:
    """256 random bits. A dash at their beginning would make ``ceilometer --os-token`` take them for an option."""
    while (text := secrets.token_urlsafe(32)).startswith("-"):
        pass
    return text


class TokenQuerySet(models.QuerySet["Token"]):
    """Tokens."""

    def valid(self, text: str) -> Token | None:
        """The unexpired token that was given out as this text. Asks nothing for a text that cannot be one."""
        if len(text) != _LENGTH:
            return None
        try:
            token = self.get(digest=Token.digest_of(text))
        except Token.DoesNotExist:
            return None
        return token if token.expires is None or token.expires > timezone.now() else None


class Token(models.Model):
    """A right to read (and post) one project's samples, or every project's. Only its hash is kept.

    The text is 256 random bits, so a plain SHA-256 of it cannot be searched for.
    """

    name = models.CharField(max_length=200, help_text="Who holds it, and for what.")
    digest = models.BinaryField(max_length=32, unique=True)
    user_id = models.TextField(blank=True, null=True)
    project_id = models.TextField(blank=True, null=True)
    is_admin = models.BooleanField(default=False, help_text="May read every project.")
    created = models.DateTimeField(auto_now_add=True)
    expires = models.DateTimeField(blank=True, null=True)
    last_used = models.DateField(blank=True, null=True, help_text="The day; blank until one after it was made.")

    objects = TokenQuerySet.as_manager()

    class Meta:
        db_table = "token"
        ordering = (F("created").desc(),)
        constraints = (
            models.CheckConstraint(
                name="token_sees_a_project_or_all",
                condition=Q(is_admin=True) | Q(project_id__isnull=False),
                violation_error_message="A token is an admin's, or bound to a project.",
            ),
        )

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def digest_of(text: str) -> bytes:
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()

    @classmethod
    def issue(
        cls,
        name: str,
        *,
        project_id: str | None = None,
        is_admin: bool = False,
        user_id: str | None = None,
        expires: datetime | None = None,
    ) -> str:
        """Make a token and return its text, which is never shown again."""
        text = new_text()
        cls.objects.create(
            name=name,
            digest=cls.digest_of(text),
            project_id=project_id,
            user_id=user_id,
            is_admin=is_admin,
            expires=expires,
        )
        return text

    def note_use(self) -> None:
        """Keep the day, with one statement a day and not one a request. Nothing fails for it."""
        today = timezone.now().date()
        if (self.last_used or self.created.date()) < today:
            try:
                Token.objects.filter(pk=self.pk).update(last_used=today)
            except Error as exc:
                log.warning("the use of a token was not kept: %s", exc)

    @property
    def opens(self) -> str:
        return "every project" if self.is_admin else f"project {self.project_id}"

    @property
    def caller(self) -> Caller:
        return Caller(self.user_id, self.project_id, self.is_admin, OF_ADMINS if self.is_admin else OF_MEMBERS)
