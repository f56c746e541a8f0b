"""Django's settings, from the environment (see the README's table)."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

import django_stubs_ext
from environ import Env

from metering import environment

django_stubs_ext.monkeypatch()

METERING = environment.load(os.environ)

BASE_DIR = Path(__file__).resolve().parent.parent
# Only the API keeps anything that this key protects; elsewhere one that dies with the process will do.
SECRET_KEY = METERING.django_secret_key or secrets.token_urlsafe(50)
DEBUG = False
ALLOWED_HOSTS = list(METERING.allowed_hosts)
ROOT_URLCONF = "metering.urls"
WSGI_APPLICATION = "metering.wsgi.application"
USE_TZ = True
TIME_ZONE = "UTC"  # Django puts it into the process's TZ: logs of all workers tell one time
LANGUAGE_CODE = "en"
USE_I18N = False
FORMAT_MODULE_PATH = "metering.formats"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = False  # the API answers both forms itself, the admin adds its own

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular_sidecar",  # the files of the page that shows the API's description
    "metering",
    "api",
]
MIDDLEWARE = [
    "metering.proxies.ProxyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "api.cors.CorsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]


def _database(url: str, **options: object) -> dict[str, Any]:
    told = Env.db_url_config(url)
    return {
        **told,
        "CONN_MAX_AGE": 600,
        "CONN_HEALTH_CHECKS": True,
        "DISABLE_SERVER_SIDE_CURSORS": True,  # transaction-pooling safe
        "OPTIONS": options | told.get("OPTIONS", {}),
    }


# A command that needs no database runs where there is none.
DATABASES = {
    "default": _database(METERING.database_url) if METERING.database_url else {"ENGINE": "django.db.backends.dummy"}
}
# Only the API reads elsewhere, and waits for a replica no longer than a client would.
if METERING.role == "api" and METERING.replica_urls:
    DATABASE_ROUTERS = ["metering.replicas.ReplicaRouter"]
    for number, url in enumerate(METERING.replica_urls, 1):
        DATABASES[f"replica{number}"] = _database(url, connect_timeout=2)
CACHES: dict[str, dict[str, Any]] = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": METERING.cache_url,
        "OPTIONS": {  # a request waits so many seconds for it, and nothing in it can run here
            "serializer": "metering.cache.PlainSerializer",
            "socket_connect_timeout": 0.5,
            "socket_timeout": 0.5,
        },
    }
    if METERING.cache_url
    else {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
}

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True  # serves what the packages bring, with no collectstatic step

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = METERING.https
SECURE_SSL_REDIRECT = METERING.https
SECURE_HSTS_SECONDS = 31_536_000 if METERING.https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = METERING.https
# Where the proxies are named, only what they say counts (metering/proxies.py).
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if METERING.https and not METERING.access.trusted_proxies else None
)

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "api.authentication.TokenAuthentication",
        "api.authentication.AdminSessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": [
        "api.media.JSONRenderer",
        "api.pages.PageRenderer",
    ],
    "DEFAULT_PARSER_CLASSES": ["api.media.JSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "api.media.Preference",
    "EXCEPTION_HANDLER": "api.errors.answer",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
    "DEFAULT_SCHEMA_CLASS": "api.schema.ViewSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Nephometer",
    "DESCRIPTION": "Metering of an OpenStack cloud: the Ceilometer v2 API, and what goes beyond it.",
    "VERSION": "2",
    "LICENSE": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    "OAS_VERSION": "3.1.0",
    "SERVE_URLCONF": "api.urls",
    "PREPROCESSING_HOOKS": ["api.schema.plain_paths"],
    "POSTPROCESSING_HOOKS": ["api.schema.with_components"],
}

UNFOLD = {
    "SITE_TITLE": "Nephometer",
    "SITE_HEADER": "Nephometer",
    "SITE_SYMBOL": "cloud",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": "/static/metering/favicon.svg"}],
    "DASHBOARD_CALLBACK": "metering.admin.dashboard.with_figures",
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
}
