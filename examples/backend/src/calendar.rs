//! When the market is open.

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveTime, Utc, Weekday};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use crate::{
    reply::{self, Problem, Reply},
    routes::Call,
};

/// The time of India, the same all year.
const IST: FixedOffset = FixedOffset::east_opt(19_800).expect("less than a day");
const OPENS: NaiveTime = NaiveTime::from_hms_opt(9, 15, 0).expect("a time of day");
const CLOSES: NaiveTime = NaiveTime::from_hms_opt(15, 30, 0).expect("a time of day");

/// The trading holidays of the National Stock Exchange of India, without those on a weekend.
///
/// The exchange publishes them in a circular in the December before ("Trading Holidays for the Calendar
/// Year"; that of 2026 is CMTR71775), and amends them: a real service keeps them in a table that someone
/// looks after. Those of 2027 are not published yet, and stand here as far as they can be expected.
///
/// Sessions out of the ordinary are left out: an hour at Diwali, a Sunday with a budget.
static CALENDARS: [Calendar; 2] = [
    Calendar {
        year: 2026,
        published: true,
        holidays: &[
            holiday(2026, 1, 15, "Municipal Corporation Election"),
            holiday(2026, 1, 26, "Republic Day"),
            holiday(2026, 3, 3, "Holi"),
            holiday(2026, 3, 26, "Shri Ram Navami"),
            holiday(2026, 3, 31, "Shri Mahavir Jayanti"),
            holiday(2026, 4, 3, "Good Friday"),
            holiday(2026, 4, 14, "Dr. Baba Saheb Ambedkar Jayanti"),
            holiday(2026, 5, 1, "Maharashtra Day"),
            holiday(2026, 5, 28, "Bakri Id"),
            holiday(2026, 6, 26, "Muharram"),
            holiday(2026, 9, 14, "Ganesh Chaturthi"),
            holiday(2026, 10, 2, "Mahatma Gandhi Jayanti"),
            holiday(2026, 10, 20, "Dussehra"),
            holiday(2026, 11, 10, "Diwali-Balipratipada"),
            holiday(2026, 11, 24, "Prakash Gurpurb Sri Guru Nanak Dev"),
            holiday(2026, 12, 25, "Christmas"),
        ],
    },
    Calendar {
        year: 2027,
        published: false,
        holidays: &[
            holiday(2027, 1, 26, "Republic Day"),
            holiday(2027, 3, 10, "Id-Ul-Fitr"),
            holiday(2027, 3, 22, "Holi"),
            holiday(2027, 3, 26, "Good Friday"),
            holiday(2027, 4, 14, "Dr. Baba Saheb Ambedkar Jayanti"),
            holiday(2027, 4, 15, "Shri Ram Navami"),
            holiday(2027, 5, 17, "Bakri Id"),
            holiday(2027, 6, 16, "Muharram"),
            holiday(2027, 10, 29, "Diwali Laxmi Pujan"),
        ],
    },
];

/// The holidays of a year.
#[derive(Debug, Serialize)]
struct Calendar {
    year: i32,
    /// Whether the exchange has published them; otherwise they are what is expected.
    published: bool,
    holidays: &'static [Holiday],
}

#[derive(Debug, Serialize)]
struct Holiday {
    day: NaiveDate,
    name: &'static str,
}

const fn holiday(year: i32, month: u32, day: u32, name: &'static str) -> Holiday {
    Holiday { day: NaiveDate::from_ymd_opt(year, month, day).expect("a day"), name }
}

/// The session of a day.
#[derive(Debug, PartialEq, Serialize)]
struct Session {
    day: NaiveDate,
    hours: Option<Hours>,
    /// Why there are no hours.
    closed_for: Option<&'static str>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Hours {
    opens: DateTime<FixedOffset>,
    closes: DateTime<FixedOffset>,
}

#[derive(Debug, Deserialize)]
struct HolidaysQuery {
    year: Option<i32>,
}

#[derive(Debug, Deserialize)]
struct SessionQuery {
    day: Option<NaiveDate>,
}

/// `GET /calendar/holidays`: of `year`, or of this one.
#[expect(clippy::unused_async, reason = "as every handler")]
pub async fn holidays(call: Call) -> Result<Reply, Problem> {
    answer(&call, |query: HolidaysQuery| holidays_of(query.year.unwrap_or_else(|| today().year())))
}

/// `GET /calendar/session`: of `day`, or of today.
#[expect(clippy::unused_async, reason = "as every handler")]
pub async fn session(call: Call) -> Result<Reply, Problem> {
    answer(&call, |query: SessionQuery| session_of(query.day.unwrap_or_else(today)))
}

/// When the session of a day ends; then its options expire.
pub(crate) fn close_of(day: NaiveDate) -> Option<DateTime<FixedOffset>> {
    day.and_time(CLOSES).and_local_timezone(IST).single()
}

/// Answers a request to the calendar, and records how it ended.
fn answer<Q, T>(
    call: &Call,
    look_up: impl FnOnce(Q) -> Result<T, Problem>,
) -> Result<Reply, Problem>
where
    Q: for<'de> Deserialize<'de>,
    T: Serialize,
{
    // The template: the label is open, and whoever calls could fill it with paths.
    let request = call.app.metrics.start_calendar_request(call.matched.template);
    let found = call.query().and_then(look_up);
    request.finish(&found);
    reply::json(StatusCode::OK, &found?)
}

fn today() -> NaiveDate {
    Utc::now().with_timezone(&IST).date_naive()
}

fn holidays_of(year: i32) -> Result<&'static Calendar, Problem> {
    CALENDARS
        .iter()
        .find(|known| known.year == year)
        .ok_or(Problem::NotFound("year in the calendar"))
}

fn session_of(day: NaiveDate) -> Result<Session, Problem> {
    let mut holidays = holidays_of(day.year())?.holidays.iter();
    let closed_for = match day.weekday() {
        Weekday::Sat | Weekday::Sun => Some("Weekend"),
        _ => holidays.find(|holiday| holiday.day == day).map(|holiday| holiday.name),
    };
    let hours = || {
        let opens = day.and_time(OPENS).and_local_timezone(IST).single()?;
        Some(Hours { opens, closes: close_of(day)? })
    };
    Ok(Session { day, hours: if closed_for.is_none() { hours() } else { None }, closed_for })
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, NaiveDate, Weekday};
    use serde_json::json;

    use super::{CALENDARS, holidays_of, session_of};
    use crate::reply::Problem;

    fn session(day: &str) -> serde_json::Value {
        serde_json::to_value(session_of(day.parse().unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn a_working_day_has_the_hours_of_the_exchange() {
        let monday = json!({
            "day": "2026-11-23",
            "hours": { "opens": "2026-11-23T09:15:00+05:30", "closes": "2026-11-23T15:30:00+05:30" },
            "closed_for": null,
        });
        assert_eq!(session("2026-11-23"), monday);
    }

    #[test]
    fn there_is_no_session_on_a_holiday_or_a_weekend() {
        let closed = |day: &str, why: &str| json!({ "day": day, "hours": null, "closed_for": why });
        assert_eq!(session("2026-12-25"), closed("2026-12-25", "Christmas"));
        assert_eq!(session("2026-11-28"), closed("2026-11-28", "Weekend"));
        assert_eq!(session("2027-01-26"), closed("2027-01-26", "Republic Day"));
    }

    #[test]
    fn a_year_that_is_not_known_is_not_found() {
        assert!(matches!(holidays_of(2025), Err(Problem::NotFound(_))));
        let day = NaiveDate::from_ymd_opt(2028, 1, 3).unwrap();
        assert!(matches!(session_of(day), Err(Problem::NotFound(_))));
    }

    #[test]
    fn holidays_are_weekdays_of_their_year_in_order() {
        for calendar in &CALENDARS {
            assert!(calendar.holidays.is_sorted_by_key(|holiday| holiday.day));
            for holiday in calendar.holidays {
                assert_eq!(holiday.day.year(), calendar.year, "{}", holiday.name);
                assert!(
                    !matches!(holiday.day.weekday(), Weekday::Sat | Weekday::Sun),
                    "{holiday:?}"
                );
            }
        }
    }
}
