"""The operator's side of a fleet: one file, `fleet.toml`, everything that is made from it, and the ways to its nodes.

Read `schema` for what may stand in it, `load` for the way from its text to a `Fleet`, `derive` for what follows for a node,
`checks` for what nodes can get wrong only together, and `render` for the files that they get. `transport` is what a way to
a node can do, `reach` how many are asked at once, `findings` what is wrong by what they answer.

Nothing is imported here: who only reaches a node need not load what reads a fleet file.
"""
