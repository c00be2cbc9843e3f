"""Currencies and units of measure: data every module refers to."""
