"""An operator who is logged in without a password: to hash one takes longer than most of these tests."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User


@pytest.fixture
def admin_user(db: None) -> User:
    return User.objects.create(username="operator", is_staff=True, is_superuser=True)
