"""Django's admin: look, search and filter; a sample is never edited."""

from django.contrib import admin

from metering.admin import accounts, events, meters, nodes, polls, quarantine, resources, samples, tokens

__all__ = ["accounts", "events", "meters", "nodes", "polls", "quarantine", "resources", "samples", "tokens"]

admin.site.index_template = "metering/dashboard.html"
