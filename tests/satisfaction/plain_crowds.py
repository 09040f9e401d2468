"""Crowds of ratings as one would look for them who has all the time: tests compare with this."""

from collections import defaultdict


def plainly(rows, kind, key, number, within, least_stars):
    """Every finding, by looking at every span from every rating on: (at, key), ids, units."""
    found = []
    of = defaultdict(list)
    for row in rows:
        of[row[key]].append(row)
    for its in of.values():
        its.sort(key=lambda it: (it["at"], str(it["id"])))
        belonging = []
        for one in its:
            span = [it for it in its if one["at"] <= it["at"] <= one["at"] + within]
            if len(span) >= number and min(it["stars"] for it in span) >= least_stars:
                belonging += [it for it in span if it not in belonging]
        belonging.sort(key=lambda it: (it["at"], str(it["id"])))
        groups = []
        for it in belonging:
            if not groups or it["at"] - groups[-1][-1]["at"] > within:
                groups.append([])
            groups[-1].append(it)
        for group in groups:
            ids = [str(it["id"]) for it in group]
            found.append(((group[-1]["at"], f"{kind}:{min(ids)}"), ids,
                          {it["unit"] for it in group}, group[0]["at"],
                          sum(it["stars"] == 5 for it in group)))  # fmt: skip
    return sorted(found, reverse=True)
