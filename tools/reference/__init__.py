"""The reference tables of the documents, made from the code: settings, routes, errors, limits, keys, …

`make docs` (`python -m tools.reference`) writes them; `tests/unit/test_reference.py` fails while one is not
current. A table is what is between two lines of a page::

    <!-- generated: errors -->
    <!-- end of errors -->

The text around them is written by hand, and nothing here changes it. To add a table: a function in
`tables.py`, its name in `TABLES` of `pages.py`, and the two lines in a page.
"""
