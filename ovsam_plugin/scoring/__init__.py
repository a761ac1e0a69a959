"""How far to trust a label, and which to look at first: pure functions of arrays.

Numpy, scipy and scikit-learn alone: nothing here knows FiftyOne or torch.
"""
