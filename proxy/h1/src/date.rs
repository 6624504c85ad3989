//! Dates as HTTP writes them.

const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// Seconds since 1970 as an IMF-fixdate (RFC 9110 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`. Render it once per second and
/// keep it. Years after 9999 wrap.
pub fn imf_fixdate(unix_seconds: u64) -> [u8; 29] {
    let days = unix_seconds / 86_400;
    let seconds = unix_seconds % 86_400;
    let (year, month, day) = civil(days);
    let mut date = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    date[..3].copy_from_slice(DAYS[(days % 7) as usize]);
    two_digits(&mut date, 5, day);
    date[8..11].copy_from_slice(MONTHS[(month % 12) as usize]);
    two_digits(&mut date, 12, year / 100 % 100);
    two_digits(&mut date, 14, year % 100);
    two_digits(&mut date, 17, seconds / 3600);
    two_digits(&mut date, 20, seconds / 60 % 60);
    two_digits(&mut date, 23, seconds % 60);
    date
}

fn two_digits(date: &mut [u8; 29], at: usize, number: u64) {
    date[at] = b'0' + (number / 10 % 10) as u8;
    date[at + 1] = b'0' + (number % 10) as u8;
}

/// Year, month (0 to 11) and day of a day since 1970, in the Gregorian calendar.
fn civil(days: u64) -> (u64, u64, u64) {
    // Count from 1 March of year 0: leap days then end a year, and a 400-year cycle has 146,097 days.
    let shifted = days + 719_468;
    let day_of_cycle = shifted % 146_097;
    let year_of_cycle = (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = shifted / 146_097 * 400 + year_of_cycle + u64::from(month < 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        for (seconds, date) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            assert_eq!(std::str::from_utf8(&imf_fixdate(seconds)), Ok(date));
        }
    }
}
