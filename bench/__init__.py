"""How fast the service is on this machine, held against what the machine could do at most.

``python -m bench`` runs everything; ``bench/README.md`` says what each row means.
"""
