"""A fragment of English with a grammar and a judge: text to train on, and whether each of its verbs agrees.

sentence  -> [front ,] subject [adverb] predicate .
subject   -> noun phrase | it | they
noun phrase -> the [adjective] noun [preposition the noun | relative clause]
relative clause -> that verb the noun | that the noun verb
predicate -> copula adjective | copula preposition the noun | verb the noun | have participle the noun

`words` has its words, `story` writes it, `judge` reads it.
"""
