"""The days of the history: dates, moments, and which days are for work."""

from datetime import date, timedelta

DAY_SECONDS = 86_400
SATURDAY = 5
NEVER = 1_000_000
"""A day that does not come."""


class Calendar:
    """Counts days from 0, the first of the history, to the last, which is the day before today."""

    def __init__(self, today: date, days: int) -> None:
        self.days = days
        self.first = today - timedelta(days=days)

    def date(self, day: int) -> date:
        """Return the date of a day; days before and after the history have one, too."""
        return self.first + timedelta(days=day)

    def iso(self, day: int) -> str:
        """Write the date of a day."""
        return self.date(day).isoformat()

    def moment(self, day: int, second: int) -> str:
        """Write a second of a day, in UTC."""
        minutes, second = divmod(second, 60)
        hours, minutes = divmod(minutes, 60)
        return f"{self.iso(day)} {hours:02}:{minutes:02}:{second:02}+00"

    def weekday(self, day: int) -> int:
        """Return 0 for Monday to 6 for Sunday."""
        return self.date(day).weekday()

    def workday(self, day: int) -> int:
        """Return ``day`` itself or the Monday after it."""
        weekday = self.weekday(day)
        return day if weekday < SATURDAY else day + 7 - weekday
