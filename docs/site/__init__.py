"""Make the site: ``python -m docs.site``, with what ``pip install -e '.[docs]'`` installs.

Pages are read where they are in the repository, so that none is copied by hand; references are
generated from the code. Everything is written below ``build/docs`` and checked by Zensical.
"""
