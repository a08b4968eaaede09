"""What several processes add to a run that they learn together: ranks, as one of them sees the others.

Imports torch only where there are several.
"""
