"""Where batches run: worker processes of this host (`local`), later others through the same `port`.

Engines hand out what a claimer gives them. They claim nothing, keep nothing and retry nothing.
"""
