"""A model inside a Cloudera AI workbench: how it is called there, and what it answers.

A request is `{"dataframe_split": {"columns": ["lakeloop_row"], "data": [[ROW], ...]}}`, each ROW one raw row as JSON
text: a table of numbers would pass through pandas there, which turns a column with a null in it into doubles and so
changes large integers. `lakeloop_row` may also be the word `version`: who answers. Callers without lakeloop send
plain columns, or `{"rows": [...]}`.
"""
