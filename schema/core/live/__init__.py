"""Live streams: one evaluation for all who ask the same; everybody is told each change once.

Subscribers with the same document, variables and permissions are a *group*. A group has a *feed*
for each interest among them, which the broker finds by its index. What its feeds are offered while
it works is evaluated together, once, and encoded once; the bytes go to every subscriber.

Where a subscriber begins, its feed's position and the log are joined: what is up to that position
comes from the log, in pages, and what is after it from the feed. No place is in both or in neither.
Who reads too slowly leaves its feed, and nothing is kept for it in memory: what it has not read is
in the log.

Read from the bottom: `delivery` is what goes to subscribers, `sharing` tells who can share it,
`feed` hears of events, `group` has them evaluated, `subscriber` joins the log and a feed, and
`live` is where a process has them all.
"""

from schema.core.live.delivery import Delivery, Evaluates, Push, passes
from schema.core.live.live import Live
from schema.core.live.subscriber import Subscriber

__all__ = ["Delivery", "Evaluates", "Live", "Push", "Subscriber", "passes"]
