"""Measures of a network, a pair or a cell beside accuracy: one module per measure, with a section in `measures`.

A measure of pairs is found by its name, and has a function `measure_pair(sender, receiver, dataset, ...)`. It returns a
table, or a named tuple of tables with the names of its rule's outputs. Beside `precision` and `device` it takes what
its rule names: records and stitches by the names of the rule's inputs, `settings` (its section of the study file) and
`study_seed`.
"""
