"""How a batch of rows differs from its reference: plain numpy, no Great Expectations, no profile, no decisions.

    cells      a column as counts: equal-mass bins, categories, nulls and infinities
    drift      two rows of counts: significance and effect; Holm's correction for a family of columns
    distances  two rows of counts by four measures, without what chance puts there
    joint      whether columns hang together as before: correlations, kernel, classifier
    encoding   rows as small integers, so that distances are the same on every machine
    labels     rows that sit among rows of another label: a test of "more of them than before"
    triggers   values that recur within one label
    strangers  rows far from their label; equal rows with different labels
    spectra    labels whose rows vary in a new direction
    tops       whether the highest scores are those of new rows
    copies     exact and near duplicates, and how many of them a reference explains

Imported inside functions only: these modules import numpy, pandas and scipy.
"""

from __future__ import annotations
