//! The time, read once per turn of a worker.

use std::cell::Cell;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use h1::date::imf_fixdate;

/// Wall-clock time is taken anew after this long, so that a corrected system clock is noticed.
const RESYNC: Duration = Duration::from_secs(1);

/// A clock that stands still during a turn.
///
/// It is stale after every flush and after every wait that ends without one ([`Clock::invalidate`]), and reads the time when it is
/// asked next.
#[derive(Debug)]
pub struct Clock {
    fresh: Cell<bool>,
    now: Cell<Instant>,
    /// What `now` is since the Unix epoch, once somebody asked.
    unix: Cell<Option<Duration>>,
    synchronized: Cell<(Instant, Duration)>,
    date: Cell<(u64, [u8; 29])>,
}

impl Clock {
    /// A clock for one worker.
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            fresh: Cell::new(false),
            now: Cell::new(now),
            unix: Cell::new(None),
            synchronized: Cell::new((now, unix_now())),
            date: Cell::new((0, imf_fixdate(0))),
        }
    }

    /// Says that time has passed.
    pub fn invalidate(&self) {
        self.fresh.set(false);
    }

    /// Now.
    pub fn now(&self) -> Instant {
        if !self.fresh.replace(true) {
            self.now.set(Instant::now());
            self.unix.set(None);
        }
        self.now.get()
    }

    /// Now, since the Unix epoch.
    pub fn unix(&self) -> Duration {
        let now = self.now();
        if let Some(unix) = self.unix.get() {
            return unix;
        }
        let (at, then) = self.synchronized.get();
        let passed = now.saturating_duration_since(at);
        let unix = if passed < RESYNC { then + passed } else { self.synchronize(now) };
        self.unix.set(Some(unix));
        unix
    }

    fn synchronize(&self, now: Instant) -> Duration {
        let unix = unix_now();
        self.synchronized.set((now, unix));
        unix
    }

    /// The time as an HTTP date (RFC 9110 5.6.7), such as `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub fn http_date(&self) -> [u8; 29] {
        let seconds = self.unix().as_secs();
        let (at, date) = self.date.get();
        if at == seconds {
            return date;
        }
        let date = imf_fixdate(seconds);
        self.date.set((seconds, date));
        date
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A date of the Gregorian calendar and a time of day, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Year.
    pub year: u64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 is Sunday.
    pub weekday: u8,
    /// 1 to 366.
    pub day_of_year: u16,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
}

impl Civil {
    /// Of so many seconds since the Unix epoch.
    pub fn from_unix(seconds: u64) -> Self {
        let (days, second_of_day) = (seconds / 86_400, (seconds % 86_400) as u32);
        // Counted from 1 March of the year 0, so that a leap day is the last of its year.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_from_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_from_march + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let leap = u64::from(year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)));
        let day_of_year = if month > 2 { day_from_march + 60 + leap } else { day_from_march - 305 };
        Self {
            year,
            month: month as u8,
            day: (day_from_march - (153 * month_from_march + 2) / 5 + 1) as u8,
            weekday: ((days + 4) % 7) as u8,
            day_of_year: day_of_year as u16,
            hour: (second_of_day / 3_600) as u8,
            minute: (second_of_day / 60 % 60) as u8,
            second: (second_of_day % 60) as u8,
        }
    }

    /// Three letters.
    pub fn weekday_name(self) -> &'static str {
        ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"].get(usize::from(self.weekday)).copied().unwrap_or_default()
    }

    /// Three letters.
    pub fn month_name(self) -> &'static str {
        const NAMES: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        NAMES.get(usize::from(self.month).wrapping_sub(1)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates_come_out_right() {
        let leap_day = Civil::from_unix(1_709_164_800);
        assert_eq!((leap_day.year, leap_day.month, leap_day.day, leap_day.day_of_year), (2024, 2, 29, 60));
        let last = Civil::from_unix(1_735_603_200);
        assert_eq!((last.year, last.month, last.day, last.day_of_year), (2024, 12, 31, 366));
        let first = Civil::from_unix(0);
        assert_eq!((first.year, first.month, first.day, first.weekday, first.day_of_year), (1970, 1, 1, 4, 1));
    }

    #[test]
    fn the_clock_stands_still_until_it_is_told_that_time_passed() {
        let clock = Clock::new();
        let first = clock.now();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(clock.now(), first);
        clock.invalidate();
        assert!(clock.now() > first);
    }
}
