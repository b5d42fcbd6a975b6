"""What exports take in time and memory, beside what else one would use.

``python -m benchmarks`` measures; ``python -m benchmarks --help`` tells how. The files, from what
is measured to what is told about it:

* ``tables.py``, ``models.py``, ``sqlite.py``: the data; ``expected.py``: what a file must hold
* ``made.py``: rows without a database; ``counting.py``: how many of them a file holds
* ``case.py``: what a case is; ``cases.py``: our own ones; ``peers.py``, ``django_peer.py``: others
* ``writers.py``, ``writer_peers.py``: our own encoders alone, and what else writes these formats
* ``suites.py``: which cases run on how many rows; ``rounds.py``: in turns, each in a
  ``worker.py`` of its own, that reads its memory and clocks by ``measure.py``
* ``results.py``: what was measured; ``report.py``, ``charts.py``: shown; ``bounds.py``: judged
"""
