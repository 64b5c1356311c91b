"""What tidegate wants to reach, in one place, and whether a figure does."""

# Processor time per request over that of the best other proxy in the same table.
TO_BEST_PEER = {
    "h1-small": 0.80, "tls-h1-small": 0.75, "h2-tls-small": 0.92, "h1-64k": 0.80, "h1-1m": 0.70,
    "post-16k": 0.78, "tls-handshake": 0.65, "conn-churn": 1.00,
}
# Memory of an idle connection over that of the best other proxy, and in KiB.
IDLE_TO_BEST_PEER = {"idle-plain": 0.40}
IDLE_KIB = {"idle-plain": 3.0, "idle-tls": 12.0}
# Processor time per request with a feature over that without.
FEATURE, LOG = 1.05, 1.15
# From the rename of a file to its being live, in milliseconds, by the number of its routes.
LIVE_MS = {10: 20, 10_000: 200}


class Verdicts:
    """The figures that there is a goal for."""

    def __init__(self):
        self.rows = []

    def add(self, what, figure, goal, unit="", precise=2):
        """Notes a figure, which wants to be at most its goal; gives the verdict in words."""
        reached = figure <= goal
        verdict = "reached" if reached else "not reached"
        self.rows.append({"what": what, "figure": figure, "goal": goal, "unit": unit, "reached": reached,
                          "text": [what, f"{figure:.{precise}f} {unit}".strip(), f"≤ {goal:g} {unit}".strip(), verdict]})
        return verdict

    def cells(self):
        return [row["text"] for row in self.rows]
