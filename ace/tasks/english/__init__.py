"""Natural English for models of English: words, prompts crossed in two numbers, and the published prompts.

`words` has the nouns, `task` the prompts that claims are judged on, `published` those of the paper.
"""
