"""What else is computed of a network, a pair or a cell: one file per measure, its section in the study's `measures`.

A measure of pairs, found by its name, has `measure_pair(sender, receiver, dataset, ...)`, which gives a table, or a
named tuple of tables, called as its rule's outputs are. Beside `precision` and `device` it takes what the rule names:
records and stitches by the names of the rule's inputs, `settings` (its section of the study file) and `study_seed`.
"""
