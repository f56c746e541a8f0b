"""Samples and what they refer to. ``metering.store.writing`` is the only writer."""

from __future__ import annotations

from django.contrib.postgres.indexes import BrinIndex, GinIndex
from django.db import models

from metering.models.queries import (
    ResourceMetadataQuerySet,
    ResourceQuerySet,
    SampleQuerySet,
    SeriesQuerySet,
    ToldMetadataQuerySet,
)


class Series(models.Model):
    """What all samples of one meter on one resource of one owner have in common.

    ``digest`` is the SHA-256 of the other fields' canonical JSON, in which null and '' differ; ``tag`` is
    its first 32 bits, which stand in the message_id of each sample, so that an id alone finds its row.
    """

    id = models.AutoField(primary_key=True)
    digest = models.BinaryField(max_length=32, unique=True)
    tag = models.BigIntegerField(db_index=True)
    source = models.TextField()
    meter = models.TextField()
    type = models.TextField()
    unit = models.TextField()
    resource_id = models.TextField()
    user_id = models.TextField(null=True)
    project_id = models.TextField(null=True)
    # The row that says what is true of the resource now; the writer sees to it that there is one.
    resource = models.ForeignObject(
        "Resource",
        models.DO_NOTHING,
        from_fields=("resource_id", "source"),
        to_fields=("resource_id", "source"),
        related_name="series",
    )

    objects = SeriesQuerySet.as_manager()

    class Meta:
        db_table = "series"
        verbose_name = "meter"
        indexes = (
            models.Index(fields=("resource_id", "meter"), name="series_of_resource"),
            models.Index(fields=("project_id", "meter"), name="series_of_project"),
            models.Index(fields=("meter", "resource_id"), name="series_of_meter"),
        )

    def __str__(self) -> str:
        return f"{self.meter} of {self.resource_id}"


class ResourceMetadata(models.Model):
    """One distinct metadata. ``body`` is what was signed; ``document`` only serves searches.

    ``body`` stays text because jsonb does not give back what was signed (1e22, -0.0, a NUL);
    ``document`` is null where jsonb cannot hold it.
    """

    id = models.AutoField(primary_key=True)
    digest = models.BinaryField(max_length=32, unique=True)  # SHA-256 of body
    body = models.TextField()
    document = models.JSONField(null=True)

    objects = ResourceMetadataQuerySet.as_manager()

    class Meta:
        db_table = "resource_metadata"
        # Serves metadata.* of a query, typed: what a document contains at a path.
        indexes = (GinIndex(fields=["document"], opclasses=["jsonb_path_ops"], name="metadata_by_document"),)

    def __str__(self) -> str:
        return self.body[:80]


class ToldMetadata(models.Model):
    """That a resource has had this metadata: so the samples with it are found without reading everybody's."""

    pk = models.CompositePrimaryKey("metadata_id", "resource_id")
    metadata = models.ForeignKey(
        ResourceMetadata, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    resource_id = models.TextField()

    objects = ToldMetadataQuerySet.as_manager()

    class Meta:
        db_table = "told_metadata"

    def __str__(self) -> str:
        return f"{self.metadata_id} of {self.resource_id}"


class Resource(models.Model):
    """What is true now of a resource: its latest sample's owner and metadata. Serves listings."""

    id = models.BigAutoField(primary_key=True)
    source = models.TextField()
    resource_id = models.TextField()
    user_id = models.TextField(null=True)
    project_id = models.TextField(null=True)
    metadata = models.ForeignKey(ResourceMetadata, models.DO_NOTHING, db_constraint=False, related_name="+")
    first_sample = models.DateTimeField()
    last_sample = models.DateTimeField()
    publisher = models.TextField()  # who sent the latest sample
    moves = models.IntegerField(default=0)  # how often the publisher changed, as when an instance migrates
    revision = models.BigIntegerField(db_default=0)  # counts what is told but last_sample, for the writer

    objects = ResourceQuerySet.as_manager()

    class Meta:
        db_table = "resource"
        constraints = (models.UniqueConstraint(fields=("resource_id", "source"), name="resource_of_source"),)
        # No index on a time: each poll moves last_sample, and must not move an index entry as well.
        indexes = (models.Index(fields=("project_id", "resource_id"), name="resource_of_project"),)

    def __str__(self) -> str:
        return self.resource_id


class Signer(models.Model):
    """Whose key, and in which form, signed a sample."""

    id = models.AutoField(primary_key=True)
    scheme = models.TextField()  # n1, or ceilometer with its variant
    kid = models.TextField()
    publisher = models.TextField()

    class Meta:
        db_table = "signer"
        constraints = (models.UniqueConstraint(fields=("scheme", "kid", "publisher"), name="signer_once"),)

    def __str__(self) -> str:
        return f"{self.publisher} ({self.scheme}:{self.kid})"


class SampleFields(models.Model):
    """The columns of the table ``sample``: `Sample` by its true key, the admin's rows by a said one."""

    ts = models.DateTimeField()  # when it was read, by the clock of the host that read it
    volume = models.FloatField()  # in series.unit; means what series.type says
    recorded_at = models.DateTimeField()  # when we stored it: samples come late and out of order
    metadata = models.ForeignKey(
        ResourceMetadata, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    signer = models.ForeignKey(Signer, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    signature = models.BinaryField(max_length=32)

    class Meta:
        abstract = True


class Sample(SampleFields):
    """One verified reading of one meter on one resource. Written once, never changed."""

    pk = models.CompositePrimaryKey("series_id", "ts", "message_id")
    # The key's index serves both ways of asking: it starts with the series.
    series = models.ForeignKey(Series, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="samples")
    message_id = models.UUIDField()  # last part of the key: a repeat is the same sample

    objects = SampleQuerySet.as_manager()

    class Meta:
        db_table = "sample"

    def __str__(self) -> str:
        return str(self.message_id)


class SampleOriginal(models.Model):
    """The text of a message that packing its row again would not give back byte for byte."""

    pk = models.CompositePrimaryKey("series_id", "ts", "message_id")
    series = models.ForeignKey(Series, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    ts = models.DateTimeField()
    message_id = models.UUIDField()
    body = models.TextField()

    class Meta:
        db_table = "sample_original"

    def __str__(self) -> str:
        return str(self.message_id)


class ForeignId(models.Model):
    """Where a message lies whose id was not made by us and so does not say it."""

    pk = models.CompositePrimaryKey("message_id", "series_id", "ts")
    message_id = models.UUIDField()
    series = models.ForeignKey(Series, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    ts = models.DateTimeField()

    class Meta:
        db_table = "foreign_id"
        indexes = (BrinIndex(fields=("ts",), name="foreign_id_by_time"),)  # those of expired samples, found to go too

    def __str__(self) -> str:
        return str(self.message_id)
