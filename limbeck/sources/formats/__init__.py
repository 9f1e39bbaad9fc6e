"""File formats: one module a format; a new one is read by corpora and tasks with the rest.

Each offers `ENDINGS`, the ends of its files' names (before that of a compression); `SERVES`, which
of `corpora` (rows with a text, read in bounded memory) and `tasks` read it; and
`read(path, options, *, start)`, which yields the rows after number `start`. One whose files declare
the names of classes has `read_class_names(path)`, which returns them by column.
"""
