"""The notebooks in another language: extracted to catalogues, built from them, checked for drift.

The English notebooks are the source. `notebooks/i18n/zh/NN_name.po` holds their translation, and
`make zh` builds and executes `notebooks/zh/NN_name.ipynb` from both. How to translate is told in
`notebooks/i18n/zh/glossary.md`.
"""
