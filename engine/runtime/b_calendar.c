/* Instants as dates and clocks in UTC: time.date, time.clock, time.weekday, time.add_date, time.diff.
 *
 * An operand that names a time zone is a matter of the host, which has the tables: the call goes there as it is, under the
 * name of the builtin, so that OPA's own SDKs serve it too.
 */
#include "b_time.h"

#define NANOSECONDS 1000000000
#define DAY 86400

static const char ADD_DATE[] = "time.add_date";
static const char CLOCK[] = "time.clock";
static const char DATE[] = "time.date";
static const char DIFF[] = "time.diff";
static const char WEEKDAY[] = "time.weekday";
static const char INSTANT[] = "either number (ns) or [number (ns), string (tz)]";

typedef enum { BAD, UTC, ZONED } reading;

typedef struct {
    int64_t year, month, day, hour, minute, second, nanosecond;
    int64_t days; /* since 1970 */
} moment;

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

/* ---- the calendar ---- */

/* Days since March 1 of a year far before the first, so that no year that fits is negative. */
#define YEAR_ZERO 292277022400u
static uint64_t days_since_start(uint64_t year, uint32_t month, int64_t day) {
    uint64_t y = year + YEAR_ZERO - (month < 3), century = y / 100;
    uint32_t of_century = (uint32_t)(y % 100), from_march = (month + 9) % 12;
    uint32_t of_days = 1461 * of_century / 4 + (153 * from_march + 2) / 5;
    return 146097 * century / 4 + of_days + (uint64_t)day - 1;
}

uint64_t b_midnight(uint64_t year, uint32_t month, int64_t day) {
    return (days_since_start(year, month, day) - days_since_start(1970, 1, 1)) * DAY;
}

bool b_nanoseconds(uint64_t seconds, int64_t nanosecond, int64_t *out) {
    /* Before 1970 the seconds are one too low for the fraction: -1 s + 0.5 s; the product must not overflow on the way. */
    int64_t s = (int64_t)seconds, high = s < 0 ? s + 1 : s, low = s < 0 ? nanosecond - NANOSECONDS : nanosecond;
    return high <= INT64_MAX / NANOSECONDS && high >= INT64_MIN / NANOSECONDS &&
           !__builtin_add_overflow(high * NANOSECONDS, low, out);
}

/* Of a day since 1970, within the years that an instant can be in. */
static void date_of(moment *at) {
    int64_t days = at->days + 719468, era = floor_div(days, 146097), of_era = days - era * 146097;
    int64_t of_400 = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * of_400 + of_400 / 4 - of_400 / 100), from_march = (5 * of_year + 2) / 153;
    at->day = of_year - (153 * from_march + 2) / 5 + 1;
    at->month = from_march < 10 ? from_march + 3 : from_march - 9;
    at->year = era * 400 + of_400 + (at->month < 3);
}

static moment moment_of(int64_t nanoseconds) {
    int64_t seconds = floor_div(nanoseconds, NANOSECONDS), days = floor_div(seconds, DAY);
    int64_t clock = seconds - days * DAY, rest = nanoseconds % NANOSECONDS;
    moment at = {.days = days, .nanosecond = rest < 0 ? rest + NANOSECONDS : rest};
    at.hour = clock / 3600;
    at.minute = clock / 60 % 60;
    at.second = clock % 60;
    date_of(&at);
    return at;
}

/* ---- operands ---- */

/* Exactly 64 bits, once rounded to as many as OPA's floating point has. */
static bool whole_nanoseconds(rt_v number, int64_t *out) {
    if (rt_num_to_int(number, out)) return true;
    rt_decimal d;
    rt_num_decimal(number, &d);
    if (d.point < 0 || d.point > 19) return false;
    return rt_num_to_int(rt_num_mul(number, rt_int(1)), out);
}

/* `operand` is a number of nanoseconds, or an array of it and a zone; a layout that follows is looked at and not used. */
static reading read_instant(const char *name, rt_v operand, moment *out) {
    rt_v number = operand, zone = 0;
    if (rt_tag(operand) == RT_ARRAY) {
        uint32_t len = rt_array_len(operand);
        number = len ? rt_array_at(operand, 0) : operand;
        if (len && rt_tag(number) != RT_NUMBER) return rt_type_error(name, 1, "number", number), BAD;
        for (uint32_t i = 1; i < len && i < 3; i++) {
            rt_v text = rt_array_at(operand, i);
            if (rt_tag(text) != RT_STRING) return rt_type_error(name, 1, "string", text), BAD;
            if (i == 1) zone = text;
            /* An unknown zone is an error before a layout that is no string. */
            if (zone && rt_str_len(zone) && !rt_str_is(zone, "UTC") && !rt_str_is(zone, "Local")) return ZONED;
        }
    }
    if (rt_tag(number) != RT_NUMBER) return rt_type_error(name, 1, INSTANT, operand), BAD;
    int64_t nanoseconds;
    if (!whole_nanoseconds(number, &nanoseconds)) return rt_builtin_error(name, "timestamp too big"), BAD;
    *out = moment_of(nanoseconds);
    return UTC;
}

static rt_v numbers(const int64_t *values, int32_t count) {
    rt_v array = rt_array(count);
    for (int32_t i = 0; i < count; i++) rt_array_push(array, rt_int(values[i]));
    return array;
}

/* ---- the builtins ---- */

RT_EXPORT rt_v bi_time_date(rt_v instant) {
    moment at;
    reading is = read_instant(DATE, instant, &at);
    if (is == ZONED) return opa_builtin1(rt_zoned_ids[RT_ZONED_DATE], 0, instant);
    return is == UTC ? numbers((int64_t[]){at.year, at.month, at.day}, 3) : 0;
}

RT_EXPORT rt_v bi_time_clock(rt_v instant) {
    moment at;
    reading is = read_instant(CLOCK, instant, &at);
    if (is == ZONED) return opa_builtin1(rt_zoned_ids[RT_ZONED_CLOCK], 0, instant);
    return is == UTC ? numbers((int64_t[]){at.hour, at.minute, at.second}, 3) : 0;
}

RT_EXPORT rt_v bi_time_weekday(rt_v instant) {
    static const char *const names[] = {"Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"};
    moment at;
    reading is = read_instant(WEEKDAY, instant, &at);
    if (is == ZONED) return opa_builtin1(rt_zoned_ids[RT_ZONED_WEEKDAY], 0, instant);
    return is == UTC ? rt_string_c(names[at.days - floor_div(at.days, 7) * 7]) : 0; /* 1970 began on a Thursday */
}

RT_EXPORT rt_v bi_time_add_date(rt_v instant, rt_v years, rt_v months, rt_v days) {
    moment at;
    reading is = read_instant(ADD_DATE, instant, &at);
    if (is == ZONED) return opa_builtin4(rt_zoned_ids[RT_ZONED_ADD_DATE], 0, instant, years, months, days);
    if (is == BAD) return 0;
    int64_t add_years, add_months, add_days, result;
    B_INTEGER(ADD_DATE, 2, years, &add_years);
    B_INTEGER(ADD_DATE, 3, months, &add_months);
    B_INTEGER(ADD_DATE, 4, days, &add_days);
    /* Sums wrap around, as in Go. */
    int64_t from_january = (int64_t)((uint64_t)at.month + (uint64_t)add_months - 1), carry = floor_div(from_january, 12);
    int64_t month = from_january % 12 + (from_january % 12 < 0 ? 13 : 1);
    uint64_t year = (uint64_t)at.year + (uint64_t)add_years + (uint64_t)carry;
    int64_t day = (int64_t)((uint64_t)at.day + (uint64_t)add_days);
    uint64_t seconds = b_midnight(year, (uint32_t)month, day) +
                       (uint64_t)(at.hour * 3600 + at.minute * 60 + at.second);
    if (!b_nanoseconds(seconds, at.nanosecond, &result)) return rt_builtin_error(ADD_DATE, "time outside of valid range");
    return rt_int(result);
}

static int64_t days_in_month(const moment *at) {
    moment next = {.days = at->days - at->day + 32}; /* what would be day 32 */
    date_of(&next);
    return 32 - next.day;
}

RT_EXPORT rt_v bi_time_diff(rt_v first, rt_v second) {
    moment a, b;
    reading is = read_instant(DIFF, first, &a);
    if (is == BAD) return 0;
    reading other = is == UTC ? read_instant(DIFF, second, &b) : ZONED;
    if (other == ZONED) return opa_builtin2(rt_zoned_ids[RT_ZONED_DIFF], 0, first, second);
    if (other == BAD) return 0;
    int64_t clock_a = a.hour * 3600 + a.minute * 60 + a.second, clock_b = b.hour * 3600 + b.minute * 60 + b.second;
    bool ordered = a.days < b.days || (a.days == b.days && (clock_a < clock_b || (clock_a == clock_b && a.nanosecond <= b.nanosecond)));
    moment early = ordered ? a : b, late = ordered ? b : a;
    int64_t years = late.year - early.year, months = late.month - early.month, days = late.day - early.day;
    int64_t clock = ordered ? clock_b - clock_a : clock_a - clock_b;
    if (clock < 0) {
        clock += DAY;
        days--;
    }
    if (days < 0) {
        days += days_in_month(&early);
        months--;
    }
    if (months < 0) {
        months += 12;
        years--;
    }
    return numbers((int64_t[]){years, months, days, clock / 3600, clock / 60 % 60, clock % 60}, 6);
}
