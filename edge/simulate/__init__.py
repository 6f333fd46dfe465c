"""A fleet in virtual time: the policy of a node, for thousands of them, beside other policies.

`schema` is the file, `world` the arrays made of it, `run` goes through time, `outcome` is what is reported, `plot`
and `page` show it. Only `schema` and `contenders` do without numpy.
"""
