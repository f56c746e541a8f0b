"""Where the API and the admin are."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("api.urls")),
]
handler400 = "api.errors.bad_request"
handler500 = "api.errors.server_error"
