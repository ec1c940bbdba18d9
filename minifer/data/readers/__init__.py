"""Readers of data sets, a file a format; :mod:`minifer.data` passes their names on."""
