"""PynamoDB's `Model.batch_write()`, for the table of nine columns."""

import os

from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.models import Model

from benchmarks.case import TABLE
from benchmarks.peers.common import items


class Person(Model):
    class Meta:
        table_name = TABLE
        region = os.environ["AWS_REGION"]
        host = os.environ["AWS_ENDPOINT_URL_DYNAMODB"]

    PK = UnicodeAttribute(hash_key=True)
    SK = UnicodeAttribute(range_key=True)
    id = NumberAttribute()
    email = UnicodeAttribute()
    first_name = UnicodeAttribute(null=True)
    last_name = UnicodeAttribute(null=True)
    city = UnicodeAttribute(null=True)
    bio = UnicodeAttribute(null=True)
    score = NumberAttribute(null=True)
    visits = NumberAttribute(null=True)
    created_at = UnicodeAttribute(null=True)


with Person.batch_write() as batch:
    for item in items(to_number=float):
        batch.save(Person(**item))
