"""Rows become items. Pure: no network, no clock."""
