"""Every code with which a row can be rejected while it is rendered, in one table.

The codes are part of the contract: scripts act on them, so one is added but never renamed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

#: code -> what it means, in one line
REJECT_CODES: Mapping[str, str] = MappingProxyType(
    {
        # keys
        "null_key": "a column of the table's key is NULL",
        "empty_key": "a key of the table is empty as a whole",
        "missing_key": "the item lacks a key of the table",
        "key_type": "a key of the table has another type than the table declares",
        "key_too_long": "a key is over 2048 (partition) or 1024 (sort) bytes of UTF-8",
        "index_key_type": "an index key has another type than the index declares",
        "index_key_empty": "an index key is empty",
        "duplicate_key": "an earlier row gave another item for the same key",
        # values
        "invalid_utf8": "text that is not UTF-8",
        "blob_in_template": "a BLOB where text is needed; filter it with hex or base64",
        "not_text": "a list, map, set or JSON null where text is needed",
        "number_not_finite": "NaN or an infinity, which DynamoDB cannot hold",
        "number_out_of_range": "a number above 9.99E+125 or nearer to zero than 1E-130",
        "number_too_precise": "a number of more than 38 significant digits",
        "unsupported_value": "a filter gave a value that DynamoDB has no type for",
        "lone_surrogate": "text with half of a surrogate pair, which UTF-8 cannot hold",
        # filters
        "not_a_number": "filter number: not a decimal number",
        "not_a_boolean": "filter bool: neither 0/1 nor true/false, yes/no, t/f, y/n, on/off",
        "not_a_date": "a date filter met something that is no date in any form it knows",
        "date_out_of_range": "a date filter met a number too large for a date, or a year outside 1 to 9999",
        "invalid_json": "filter json or get: text that is not JSON",
        "duplicate_name": "a map would get one name twice",
        "set_mixed": "filter set: members that are not all text, all numbers or all binary",
        "not_binary": "filter binary: neither text nor a BLOB",
        "invalid_base64": "filter base64: text that is not base64",
        "invalid_hex": "filter hex: text that is not pairs of hexadecimal digits",
        "pad_not_digits": "filter pad: neither an integer nor text of digits",
        "pad_negative": "filter pad: a negative number, which zeros in front would sort wrongly",
        "pad_too_long": "filter pad: more digits than asked for, which would sort wrongly",
        "filter_failed": "a filter of the user's own raised an error",
        # children
        "many_rows": "one: found more than one child row",
        "null_name": "entries: the name of an entry is NULL",
        # items
        "item_too_large": "the item is over 400 KB by DynamoDB's rules",
        "nesting_too_deep": "maps and lists nested deeper than 31",
        "empty_name": "an attribute without a name, also inside a map",
        "name_too_long": "an attribute name over 64 KB",
        "empty_set": "a set without members",
        "duplicate_in_set": "a set holds one member twice",
        # rules: the rule's name is the code
        "required": "rule required: NULL",
        "type": "rule type: a value of another type",
        "one_of": "rule one_of: a value that is not in the list",
        "min": "rule min: a smaller value, or one that cannot be compared",
        "max": "rule max: a larger value, or one that cannot be compared",
        "max_length": "rule max_length: more characters of text, or bytes of a BLOB",
        "pattern": "rule pattern: text in which the pattern is not found",
        "unique": "rule unique: a value that an earlier row has",
    }
)
