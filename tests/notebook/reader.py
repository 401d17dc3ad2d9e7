"""A view in Python: applies the messages of `nbkit.notebook.deltas` as compare.js does, counting in UTF-16 units."""


class Page:
    """What a view shows: per (pane, turn) a dict of `html`, `think`, `status`, `end` ..."""

    def __init__(self):
        self.seq, self.turns, self.foot, self.titles, self.slots = -1, {}, None, [], {}
        self.lost = False

    def receive(self, message):
        """Take a message; False where the view has to ask for a resync."""
        if message["type"] == "snapshot":
            self.seq, self.turns, self.titles, self.lost = message["seq"], {}, message["panes"], False
        elif message["type"] == "delta":
            if self.seq < 0 or self.lost:
                return True
            if message["seq"] != self.seq + 1:
                self.lost = True
                return False
            self.seq = message["seq"]
        else:
            return True
        self.titles = message.get("panes", self.titles)
        for news in message["news"]:
            self._apply(news)
        self.foot = message.get("foot", self.foot)
        self.slots |= message.get("slots", {})
        return True

    def _apply(self, news):
        if news.get("drop"):
            place = news["pane"], news["turn"]
            self.turns = {key: turn for key, turn in self.turns.items() if key[0] != place[0] or key[1] < place[1]}
            return
        fresh = {"closed": "", "tail": "", "think": "", "end": None}
        turn = self.turns.setdefault((news["pane"], news["turn"]), dict(fresh))
        if news.get("reset"):
            turn |= fresh
        for name in ("prompt", "status", "end"):
            if name in news:
                turn[name] = news[name]
        turn["think"] += news.get("think", "")
        opened = turn["tail"].encode("utf-16-le")
        if "tail" in news:
            keep, cut = 2 * news["keep"], 2 * news.get("cut", 0)
            opened = opened[:keep] + news["tail"].encode("utf-16-le") + opened[len(opened) - cut :]
        closed = 2 * news.get("closed", 0)
        turn["closed"] += opened[:closed].decode("utf-16-le")
        turn["tail"] = opened[closed:].decode("utf-16-le")
        if "final" in news:
            turn["closed"], turn["tail"] = news["final"], ""

    def html(self, pane=0, turn=0):
        return self.turns[pane, turn]["closed"] + self.turns[pane, turn]["tail"]
