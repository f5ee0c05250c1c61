"""Deliberate faults, put into the package one at a time: each must be killed by a test of ``make check`` (``make mutants``).

The tool stands with the tests, for it tests them: the table of faults moves with the code as they do.
"""
